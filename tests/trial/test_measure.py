"""Two measurements compared: hand-worked changes, and refusals."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tune.errors import EvaluationError
from tune.evaluate.perplexity import Surprise
from tune.trial.baseline import Baseline
from tune.trial.measure import Measured, compare

IDS = {"task": tuple("abcd"), "general": tuple("abcd"), "subject": ("x", "x", "y", "y")}


def measured(*, right: list[float], said: list[float], nats: float, fingerprint: str = "f") -> Measured:
    n = len(right)
    one = np.ones(n)
    return Measured(
        fingerprint=fingerprint,
        scores={
            "execution": np.array(right),
            "exact_match": np.array(right),
            "reply/empty": 1 - np.array(right),
            "reply/repetition": 0 * one,
            "reply/capped": one,
            "general/right": np.array(right),
            "general/logprob": np.array(said),
            "corpus/nats": nats * one,
            "corpus/tokens": 2 * one,
        },
        ids={"task": tuple("abcd"[:n]), "general": tuple("abcd"[:n]), "subject": tuple("xyzw"[:n])},
        replies=("",) * n,
        surprise=Surprise(text=nats * one, text_tokens=2 * one, answer=nats * one, answer_tokens=one),
    )


def test_changes_by_hand(small) -> None:
    base = measured(right=[1, 1, 0, 0], said=[-1, -1, -1, -1], nats=2 * np.log(4))
    tuned = measured(right=[1, 1, 1, 0], said=[-1, -1, -1, -3], nats=2 * np.log(3))

    found = compare(base, tuned, small())

    # change = [0, 0, 1, 0]: mean 1/4, variance 1/4, standard error 1/4. One right answer gained in four, z = 1.95996:
    # the score interval is worked out in tests/evaluate/test_binary.py
    assert found["task/score"] == 0.75
    assert found["task/score_base"] == 0.5
    assert found["task/score_delta"] == 0.25
    assert found["task/score_delta_low"] == pytest.approx((1 - 1.95996**2) / (4 + 1.95996**2), abs=1e-5)
    assert found["task/score_delta_high"] == pytest.approx(0.69936, abs=1e-5)
    # two of four replies were empty, one is; all were cut at their limit before and after
    assert [found[f"reply/empty{end}"] for end in ("", "_base", "_delta")] == [0.25, 0.5, -0.25]
    assert found["reply/empty_delta_low"] == pytest.approx(-found["task/score_delta_high"])
    assert [found[f"reply/capped{end}"] for end in ("", "_base", "_delta")] == [1, 1, 0]
    # exp(2 log 4 / 2) = 4 before, 3 after, over two tokens a text; 2 log 3 nats on one answer token
    assert found["perplexity/domain_base"] == pytest.approx(4)
    # every token of every text lost log 4 - log 3 alike, so the change is -1 for sure
    assert [found[f"perplexity/domain_delta{end}"] for end in ("", "_low", "_high")] == pytest.approx([-1, -1, -1])
    assert found["eval/loss"] == pytest.approx(2 * np.log(3))
    assert found["general/probe/logprob_delta"] == pytest.approx(-0.5)
    assert found["general/probe/delta_stderr"] == pytest.approx(0.25)


def test_knowledge_is_judged_by_subject(small) -> None:
    base = replace(measured(right=[1, 1, 0, 0], said=[-1, -1, -1, -1], nats=1), ids=IDS)
    tuned = replace(measured(right=[1, 1, 0, 0], said=[0, 0, -1, -1], nats=1), ids=IDS)

    found = compare(base, tuned, small())

    # change = [1, 1, 0, 0] by two subjects: worked out in tests/evaluate/test_paired.py
    assert found["general/probe/logprob_delta_stderr"] == pytest.approx(0.5)
    assert found["general/probe/logprob_delta_high"] == pytest.approx(0.5 + 12.706 / 2, abs=1e-3)


def test_one_subject_has_no_groups(small) -> None:
    base, tuned = (
        replace(one, ids=one.ids | {"subject": ("x",) * 4})
        for one in (
            measured(right=[0, 0, 0, 1], said=[-2, -2, -2, -1], nats=3),
            measured(right=[1, 1, 0, 1], said=[-1, -1, -2, -1], nats=2),
        )
    )

    metrics = compare(base, tuned, small())

    assert metrics["general/probe/delta"] == pytest.approx(0.5)
    assert metrics["general/probe/delta_low"] < 0 < metrics["general/probe/delta_high"]


def test_no_delta_across_two_fingerprints(small) -> None:
    one = measured(right=[1, 0], said=[0, 0], nats=1)
    two = measured(right=[1, 0], said=[0, 0], nats=1, fingerprint="g")

    with pytest.raises(EvaluationError, match="not measured alike"):
        compare(one, two, small())


def test_a_measurement_survives_json() -> None:
    one = measured(right=[1, 0], said=[-0.1, -0.30000000000000004], nats=1)

    again = Measured.from_json(json.loads(json.dumps(one.to_json())))

    assert again.to_json() == one.to_json()
    assert again.scores["general/logprob"][1] == -0.30000000000000004


def test_the_base_is_measured_once_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_CACHE", str(tmp_path))
    calls = []

    def measure() -> Measured:
        calls.append(1)
        return measured(right=[1, 0], said=[0, 0], nats=1)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: Baseline("f").get(measure).fingerprint, range(8)))

    assert found == ["f"] * 8
    assert len(calls) == 1
