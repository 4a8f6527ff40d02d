"""Fewer rows a pass and as many a step: the same training to the last digits."""

from pathlib import Path

import pytest

from tune.config.compose import with_values
from tune.study.smaller import smaller
from tune.track.memory_store import MemoryStore
from tune.trial.bench import Bench
from tune.trial.run import run_trial


def test_smaller_pieces_lose_as_much_in_each_step(bench: Bench, small, tmp_path: Path) -> None:
    # Fourteen rows: the last step of each epoch has six of eight, in passes of four and two.
    whole = small("train.batch_size=8", "train.epochs=2", "train.max_steps=null", "data.n_train=14")
    ways = [whole]
    while reduced := smaller(ways[-1]):
        ways.append(with_values(ways[-1], reduced))

    losses = []
    for way in ways:
        recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})
        run_trial(way, bench, folder=tmp_path, recorder=recorder, on=lambda *_: None)
        losses.append([point.value for point in recorder._run.points["train/step_loss"]])

    assert [(way.train.batch_size, way.train.accumulation) for way in ways] == [(8, 1), (4, 2), (2, 4), (1, 8), (1, 8)]
    assert ways[-1].train.gradient_checkpointing
    assert len(losses[0]) == 4
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], abs=1e-5)
