"""Run many trials of one step over four workers on either database, and count what came of them. See scripts/load."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from tests import postgres  # noqa: E402 - the checkout is no package
from tune.config.compose import compose  # noqa: E402
from tune.study.attempts import root  # noqa: E402
from tune.study.storage import load_study  # noqa: E402
from tune.track.mlflow_store import MlflowStore  # noqa: E402

N_WORKERS = 4
WORDS = [
    *("--config-dir", str(TOP / "scripts" / "load_conf"), "+sweep=steps", "model=tiny"),
    *("data.n_train=4", "data.n_validation=2", "data.n_test=0", "data.max_new_tokens=1"),
    *("evaluate.general=none", "evaluate.perplexity=false", "train.max_steps=1", "train.warmup_share=0"),
    *(f"workers.count={N_WORKERS}", "workers.threads=1"),
]


def main() -> int:
    """Print a line a database; return 1 where a trial was lost or told twice."""
    n_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    whole = True
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tune-load-")))
        bin_dir = postgres.programs()
        if bin_dir is None:
            print("PostgreSQL is not installed: run scripts/postgres.", file=sys.stderr)
            return 1
        server = stack.enter_context(postgres.running(bin_dir))
        for name, storage in (("sqlite", None), ("postgresql", server.url("load"))):
            whole &= run(name, top / name, n_trials, {"TUNE_STORAGE": storage} if storage else {}, top / "cache")
    return 0 if whole else 1


def run(name: str, runs: Path, n_trials: int, place: dict[str, str], cache: Path) -> bool:
    """Run one study; return whether every trial ended once, complete, with one finished run."""
    environment = {**os.environ, "TUNE_CACHE": str(cache), **place}
    command = [sys.executable, "-m", "tune", *WORDS, f"study.n_trials={n_trials}", f"track.folder='{runs}'"]
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        print(f"{name}: exit code {done.returncode}: {done.stderr[-2000:]}")
        return False
    os.environ.update(place)
    trials = load_study("steps", compose([f"track.folder='{runs}'"]), runs).get_trials(deepcopy=False)
    for variable in place:
        del os.environ[variable]
    report(name, trials, seconds)
    return is_whole(trials, runs, n_trials)


def report(name: str, trials: list[Any], seconds: float) -> None:
    """Print what was counted and how long a claim took, from asking for the lock to the first sign of life."""
    waits = sorted(trial.user_attrs["claim_s"] for trial in trials)
    states = ", ".join(f"{n} {state}" for state, n in Counter(trial.state.name for trial in trials).items())
    print(
        f"{name}: {states} of {len(trials)} attempts in {seconds:.0f} s ({len(trials) / seconds:.1f} a second); "
        f"claim {statistics.median(waits):.3f} s median, {waits[int(0.95 * len(waits))]:.3f} s at 95 %, "
        f"{waits[-1]:.3f} s largest",
        flush=True,
    )


def is_whole(trials: list[Any], runs: Path, n_trials: int) -> bool:
    """Return whether nothing was lost and nothing done twice, in the storage and in MLflow."""
    study_run = next(iter({trial.user_attrs["run_id"] for trial in trials}))
    store = MlflowStore(runs, "tune")
    parent = store.call("get_run", study_run).data.tags["mlflow.parentRunId"]
    statuses = Counter(run.status.value for run in store.children(parent))
    print(f"  MLflow: {', '.join(f'{n} {status}' for status, n in statuses.items())}")
    points = {trial.params["train.learning_rate"] for trial in trials}
    return (
        Counter(trial.state.name for trial in trials) == {"COMPLETE": n_trials}
        and len({root(trial) for trial in trials}) == len(points) == n_trials
        and statuses == {"finished": n_trials}
    )


if __name__ == "__main__":
    sys.exit(main())
