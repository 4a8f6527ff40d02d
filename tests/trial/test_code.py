"""A trial whose rows are of HumanEval's form: programs are written, run and counted, before and after training."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tune.config import metrics
from tune.config.schema import Config
from tune.errors import DataError
from tune.evaluate.code_jail import CodeScore
from tune.track.memory_store import MemoryStore
from tune.trial.bench import Bench
from tune.trial.outcome import State
from tune.trial.replies import _programs, reply_notes
from tune.trial.run import run_trial
from tune.trial.task import read_task


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Twenty functions with one test each."""
    written = []
    for n, word in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] * 2):
        name = f"{word}_{'above' if n < 10 else 'below'}"
        written.append(
            {
                "prompt": f'def {name}(x):\n    """Return the number that is {word} {name[-5:]} {"x" * n}."""\n',
                "entry_point": name,
                "canonical_solution": f"    return x + {n}\n",
                "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
            }
        )
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in written))
    return file


def settings(small: Callable[..., Config], rows: Path) -> Config:
    return small("data=code", f"data.path={rows}", "data.n_train=8", "data.n_validation=4", "data.n_test=2",
                 "data.max_new_tokens=8", "data.clean.near_duplicates=false", "data.leaks=false")  # fmt: skip


def test_a_trial_on_programs_runs_to_its_end_all_wrong(
    bench: Bench, small: Callable[..., Config], rows: Path, tmp_path: Path
) -> None:
    config = settings(small, rows)
    bench = dataclasses.replace(bench, task=read_task(config))
    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})

    outcome = run_trial(config, bench, folder=tmp_path / "trial", recorder=recorder, on=lambda *_: None)

    assert outcome.state is State.complete
    assert set(outcome.metrics) == set(metrics.metric_names(config))
    assert outcome.metrics["task/score"] == outcome.metrics["task/code"] == 0  # a model of no training writes none
    scores = json.loads((tmp_path / "trial" / "scores.json").read_text())
    assert len(scores["adapted"]["scores"]["code"]) == len(scores["base"]["scores"]["reply/no_program"]) == 4


def test_what_programs_ended_as_is_counted_and_told(small: Callable[..., Config], rows: Path) -> None:
    verdicts = ("right", "wrong", "syntax", "empty", "timeout", "memory", "memory", "forbidden")
    counted = _programs([CodeScore(verdict=verdict, detail="") for verdict in verdicts])

    assert counted["code"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert counted["reply/no_program"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert counted["reply/over_limit"].tolist() == [0, 0, 0, 0, 1, 1, 1, 0]
    none = {f"reply/{rate}": np.zeros(8) for rate in ("empty", "repetition", "capped")}
    assert reply_notes(counted | none, settings(small, rows)) == [
        "2 of 8 replies of the adapted model are no Python program.",
        (
            "3 of 8 replies of the adapted model are programs that ran into evaluate.code.timeout_s=3 or "
            "evaluate.code.memory_mib=512."
        ),
    ]


def test_rows_without_tests_are_refused_before_the_model_is_loaded(
    small: Callable[..., Config], tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(
        "".join(json.dumps({"question": f"What is {n} + {n}?", "answer": str(n)}) + "\n" for n in range(20))
    )

    with pytest.raises(DataError, match=r"data\.metrics has code, but rows\.jsonl/\d+ has no tests"):
        read_task(settings(small, file))
