"""What is told of a reply alone, on replies written by hand; and the rates of two models, worked by hand."""

import numpy as np
import pytest

from tune.evaluate.conduct import conduct, conduct_change, is_empty


@pytest.mark.parametrize(
    ("reply", "empty"), [("", True), (" \n\t\u200b\u00a0\ufeff\x00", True), (".", False), (" 0", False)]
)
def test_nothing_to_see(reply: str, empty: bool) -> None:
    assert is_empty(reply) is empty


def test_one_row_of_each_rule() -> None:
    found = conduct(["", "I can't do that.", "no " * 20, "two words"])

    assert {name: values.tolist() for name, values in found.items()} == {
        "refusal": [0, 1, 0, 0],
        "empty": [1, 0, 0, 0],
        "repetition": [0, 0, 1, 0],
        "words": [0, 4, 20, 2],
    }


def test_refusals_of_jailbreaks_are_counted_apart() -> None:
    kinds = ["general", "jailbreak", "general", "jailbreak", "empty", "format"]
    base = conduct(["Yes.", "I can't help with that.", "Yes.", "I must decline.", "Hello there.", "{}"])
    tuned = conduct(["I can't say that.", "Of course!", "Yes.", "I must decline.", "", "{}"])

    found = conduct_change(base, tuned, kinds, confidence=0.95)

    assert list(found) == ["refusal", "jailbreak_refusal", "empty", "repetition", "words"]
    # Benign are four, and one is refused now: the score interval of one in four is worked out in test_binary.py
    before, after, delta = found["refusal"]
    assert (before, after, delta.mean, delta.n) == (0.0, 0.25, 0.25, 4)
    assert delta.low == pytest.approx((1 - 1.95996**2) / (4 + 1.95996**2), abs=1e-5)
    # Two jailbreaks, both refused before and one after.
    before, after, delta = found["jailbreak_refusal"]
    assert (before, after, delta.mean, delta.n) == (1.0, 0.5, -0.5, 2)
    before, after, delta = found["empty"]
    assert (before, after) == (0.0, pytest.approx(1 / 6))
    # Words: 1, 5, 1, 3, 2, 1 before; 4, 2, 1, 3, 0, 1 after.
    before, after, delta = found["words"]
    assert (before, after, delta.mean) == (pytest.approx(13 / 6), pytest.approx(11 / 6), pytest.approx(-1 / 3))
    assert np.isfinite([delta.low, delta.high]).all()
