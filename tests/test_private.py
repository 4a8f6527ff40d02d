"""What tune writes is for its user alone, in a shell where new files are for everybody."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SMALL = ["data.n_train=16", "data.n_validation=4", "data.n_test=2", "data.max_new_tokens=8"]

pytestmark = pytest.mark.slow


def tune(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tune", *words, f"track.folder={folder}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "TUNE_CACHE": str(folder.parent / "cache")},
        umask=0o022,
    )
    assert done.returncode == 0, done.stderr
    return done


def open_to_others(folder: Path) -> Iterator[str]:
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077:
            yield f"{path.relative_to(folder.parent)} {mode:o}"


def test_nothing_that_a_study_writes_is_open_to_others(tmp_path: Path) -> None:
    runs = tmp_path / "new" / "runs"

    tune("+sweep=smoke", *SMALL, folder=runs)
    tune("report", "smoke", folder=runs)
    tune("status", "smoke", folder=runs)

    written = {path.name for path in runs.rglob("*")}
    # Databases, logs, adapters, MLflow's artifacts: the test saw what it is about.
    assert {"optuna.db", "mlflow.db", "workers.log", "adapter_model.safetensors", "config.yaml"} <= written
    assert list(open_to_others(runs)) == []
    assert list(open_to_others(runs.parent / "cache")) == []


def test_a_runs_folder_that_is_there_keeps_its_mode_and_what_a_trial_puts_in_it_is_private(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    runs.chmod(0o755)

    done = tune("model=tiny", *SMALL, "evaluate.limit=1", folder=runs)

    assert list(open_to_others(runs)) == ["runs 755"]
    assert "warn" not in done.stderr.lower()
