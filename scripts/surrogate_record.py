"""Train every cell of a grid over the space of +sweep=joint on the tiny model, and keep the losses on the way.

The table stands for trainings, so that studies can be replayed by the hundred (scripts/surrogate.py).
"""

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "surrogate_joint_tiny.json"
RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
"""Where the learning rate of joint, which is continuous, is recorded; log-linear in between."""

WORDS = [
    *("model=tiny", "data.n_train=64", "data.n_validation=32", "data.n_test=2", "data.max_new_tokens=1"),
    *("evaluate.general=none", "train.evals=15", "train.epochs=4"),
]


def record() -> None:
    """Write the table: one row a cell, with the losses of its evaluations and the last one's."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from tune.config.compose import compose
    from tune.study.space import configured, parse_space

    config = compose(["+sweep=joint", *WORDS])
    config.sweep.space["train.learning_rate"] = list(RATES)
    space = parse_space(config)
    began, rows = time.monotonic(), []
    cells = list(_points(space, config))
    with tempfile.TemporaryDirectory() as folder:
        for number, point in enumerate(cells):
            rows.append({"point": point, **_train(configured(config, point), Path(folder))})
            sys.stderr.write(f"\r{number + 1}/{len(cells)} {time.monotonic() - began:.0f} s")
    about = {"words": WORDS, "rates": RATES, "seconds": round(time.monotonic() - began), "rows": rows}
    TABLE.write_text(json.dumps(about).replace('{"point"', '\n{"point"') + "\n")


def _points(space: Any, config: Any) -> Any:
    from tune.study.space.dimension import values
    from tune.study.space.draw import walk

    return (point for _, point in walk(space.order, config, values))


def _train(config: Any, folder: Path) -> dict[str, Any]:
    from tune.track.memory_store import MemoryStore
    from tune.trial.bench import open_bench
    from tune.trial.run import run_trial
    from tune.trial.task import model_folder, read_task

    if "bench" not in _KEPT:
        _KEPT["bench"] = open_bench(config, read_task(config), folder=model_folder(config, announce=logging.info))
    store = MemoryStore()
    recorder = store.trial_run(name="trial", study_run_id=None, tags={})
    outcome = run_trial(config, _KEPT["bench"], folder=folder, recorder=recorder, on=lambda *_: None)
    points = store.runs[recorder.run_id or ""].points
    evals = [[point.step, round(point.value, 5)] for point in points["eval/step_loss"]]
    return {"evals": evals, "steps": len(points["train/step_loss"]), "loss": round(outcome.metrics["eval/loss"], 5)}


_KEPT: dict[str, Any] = {}
