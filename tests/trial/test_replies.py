"""The task's replies in a trial: what is scored and counted, and what another setting makes another base of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tune.config import rules
from tune.config.metrics import metric_names
from tune.config.schema import Config
from tune.errors import ConfigError, EvaluationError
from tune.evaluate.task import score_replies
from tune.trial.baseline import fingerprint
from tune.trial.bench import Bench
from tune.trial.measure import Measured, compare, measure
from tune.trial.replies import reply_notes
from tune.trial.task import read_task

TEXTS = ("data.metrics=[token_f1,rouge1,rougeL,bleu,chrf,json_valid,regex]", "data.scoring.regex='[a-z]'")


def measured(bench: Bench, config: Config) -> Measured:
    rules.check(config)
    task = read_task(config)
    return measure(bench.base.model, bench.base.tokenizer, config, task, fingerprint="f", on=lambda *_: None)


def test_every_metric_of_texts_is_measured_and_named(bench: Bench, small: Callable[..., Config]) -> None:
    config = small(*TEXTS, "evaluate.general=none")
    found = measured(bench, config)

    metrics = compare(found, found, config)

    named = [name for name in metric_names(config) if name.startswith(("task/", "reply/"))]
    assert sorted(named) == sorted(name for name in metrics if name.startswith(("task/", "reply/")))
    asked = read_task(config).splits.validation
    for metric in config.data.metrics[:-1]:
        assert found.scores[metric].tolist() == score_replies(asked, found.replies, metric).tolist()
    assert metrics["task/score"] == metrics["task/token_f1"]
    assert metrics["reply/capped_delta"] == 0


def test_a_metric_of_one_s_own_is_the_score_and_is_given_the_example(
    bench: Bench, small: Callable[..., Config], tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("def mine(example, reply): return len(reply) + len(example['extra']['setup'])\n")
    config = small(f"evaluate.metric={own}:mine", "evaluate.general=none")

    found = measured(bench, config)

    asked = read_task(config).splits.validation
    by_hand = [len(reply) + len(one.extra["setup"]) for one, reply in zip(asked, found.replies, strict=True)]
    assert found.scores["mine"].tolist() == by_hand
    assert compare(found, found, config)["task/score"] == np.mean(by_hand)


def test_a_metric_that_raises_names_the_example(bench: Bench, small: Callable[..., Config], tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def mine(example, reply): return example['no such key']\n")
    config = small(f"evaluate.metric={own}:mine", "evaluate.general=none")
    first = read_task(config).splits.validation[0].id

    with pytest.raises(EvaluationError, match=rf"example {first}, reply .*KeyError: 'no such key'"):
        measured(bench, config)


def test_a_metric_that_is_not_there_is_said_when_the_task_is_read(small: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.py cannot be read"):
        read_task(small("evaluate.metric=nowhere.py:mine"))


def test_what_moves_a_base_score_is_in_its_fingerprint(small: Callable[..., Config], tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def mine(example, reply): return 1\n")

    def name(*overrides: str) -> str:
        config = small(*overrides)
        return fingerprint(config, read_task(config), weights="w", dtype="d", template="t", ends=(1,))

    changes = [
        (),
        ("data.stop=[';']",),
        ("data.scoring.normalise=[space]",),
        ("evaluate.sampling.temperature=0.5",),
        ("evaluate.sampling.temperature=0.5", "evaluate.sampling.seed=1"),
        ("evaluate.sampling.temperature=0.5", "evaluate.sampling.top_p=0.9"),
        (f"evaluate.metric={own}:mine",),
    ]
    names = [name(*words) for words in changes]
    assert len(set(names)) == len(changes)
    own.write_text("def mine(example, reply): return 0\n")
    assert name(f"evaluate.metric={own}:mine") not in names
    assert name() == names[0]


def test_stopped_and_drawn_replies_in_a_trial(bench: Bench, small: Callable[..., Config]) -> None:
    plain = measured(bench, small("evaluate.general=none"))
    mark = next(mark for reply in plain.replies for mark in reply if mark.isalnum())

    stopped = measured(bench, small("evaluate.general=none", f"data.stop=['{mark}']"))
    drawn = [
        measured(bench, small("evaluate.general=none", "evaluate.sampling.temperature=1", *words)).replies
        for words in ((), ("evaluate.generation_batch_size=1",), ("evaluate.sampling.seed=1",))
    ]

    assert stopped.replies == tuple(reply.split(mark)[0].strip() for reply in plain.replies)
    assert drawn[0] == drawn[1]
    assert len({plain.replies, drawn[0], drawn[2]}) == 3


def test_one_reply_in_twenty_is_worth_a_sentence(small: Callable[..., Config]) -> None:
    config = replace(small("data.max_new_tokens=9"))
    few, many = np.zeros(40), np.zeros(40)
    few[:1], many[:2] = 1, 1

    said = reply_notes({"reply/empty": few, "reply/repetition": np.zeros(40), "reply/capped": many}, config)

    assert said == ["2 of 40 replies of the adapted model were cut at data.max_new_tokens=9."]
