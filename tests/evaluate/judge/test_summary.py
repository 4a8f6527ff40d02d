"""What a judgement comes to, in figures worked by hand and in words."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from tune.evaluate.judge.pace import Cost
from tune.evaluate.judge.replies import Asked, Compared, Judgement, Result
from tune.evaluate.judge.summary import sentences, summarize
from tune.evaluate.judge.wording import ASPECTS

PICKS: Mapping[str, tuple[Result | None, tuple[str | None, str | None], bool]] = {
    "win": (Result.win, ("B", "A"), False),
    "loss": (Result.loss, ("A", "B"), False),
    "tie": (Result.tie, ("tie", "tie"), False),
    "place": (Result.tie, ("A", "A"), False),
    "same": (Result.tie, (None, None), True),
    "lost": (None, ("A", None), False),
}


def judgement(base: Sequence[float], tuned: Sequence[float], pairs: Sequence[str], **more: Any) -> Judgement:
    about = {"cost": Cost(n_requests=9, n_cached=3, input_tokens=900, output_tokens=90), "money": None, "why": {}}
    return Judgement(
        model="tester",
        asked=tuple(Asked(id=f"t/{n}", question="Q", answer="A") for n in range(len(base))),
        base={aspect: np.array(base, dtype=float) for aspect in ASPECTS},
        tuned={aspect: np.array(tuned, dtype=float) for aspect in ASPECTS},
        pairs=tuple(Compared(result=r, picks=picks, is_same=same) for r, picks, same in map(PICKS.__getitem__, pairs)),
        reasons=({},) * len(base),
        **({"n_all": len(base)} | about | more),
    )


def test_scores_by_hand() -> None:
    found = summarize(judgement([2, 3, 4, 3], [4, 3, 5, 4], ["win", "tie", "win", "win"]), 0.95)

    # changes 2, 0, 1, 1: mean 1, sample variance 2/3, stderr sqrt(2/3)/2, t of 3 degrees 3.182446
    reach = 3.182446 * math.sqrt(2 / 3) / 2
    assert found["judge/helpfulness"] == 4
    assert found["judge/helpfulness_base"] == 3
    assert found["judge/helpfulness_delta"] == 1
    assert found["judge/helpfulness_delta_low"] == pytest.approx(1 - reach, abs=1e-5)
    assert found["judge/helpfulness_delta_high"] == pytest.approx(1 + reach, abs=1e-5)


def test_wins_by_hand() -> None:
    found = summarize(judgement([3] * 10, [3] * 10, ["win"] * 6 + ["loss"] + ["tie", "place", "same"]), 0.95)

    assert (found["judge/wins"], found["judge/losses"], found["judge/ties"]) == (6, 1, 3)
    assert found["judge/win_rate"] == pytest.approx((6 + 3 / 2) / 10)
    # heads at most once, or at most once tails, in seven throws: 2 * (1 + 7) / 128
    assert found["judge/win_p"] == pytest.approx(0.125)
    assert found["judge/win_rate_low"] < 0.5 < found["judge/win_rate_high"]
    # of the nine that were asked, one was decided by the place
    assert found["judge/position_bias"] == pytest.approx(1 / 9)


@pytest.mark.parametrize(("wins", "losses"), [(0, 5), (12, 3), (20, 20), (1, 0)])
def test_the_sign_test_is_that_of_statsmodels(wins: int, losses: int) -> None:
    pairs = ["win"] * wins + ["loss"] * losses + ["tie"] * 2
    found = summarize(judgement([3] * len(pairs), [3] * len(pairs), pairs), 0.95)

    assert found["judge/win_p"] == pytest.approx(mcnemar([[0, losses], [wins, 2]], exact=True).pvalue)


def test_what_is_missing_on_one_side_leaves_the_pair() -> None:
    nan = math.nan
    found = summarize(judgement([1, 2, nan, 3], [5, nan, 5, 4], ["win", "lost", "win", "tie"]), 0.95)

    assert found["judge/accuracy_base"] == 2, "of the first and the last"
    assert found["judge/accuracy"] == 4.5
    assert found["judge/missing"] == 0.5
    assert found["judge/win_rate"] == pytest.approx(2.5 / 3)


def test_when_all_is_missing_there_are_no_figures_but_that() -> None:
    nan = math.nan
    found = judgement([nan, nan], [nan, nan], ["lost", "lost"], why={"HTTP 500": 8})

    metrics = summarize(found, 0.95)

    assert metrics["judge/missing"] == 1
    assert not any(name.startswith(("judge/helpfulness", "judge/win_rate", "judge/position")) for name in metrics)
    assert all(map(math.isfinite, metrics.values()))
    said = sentences(found, 0.95)
    assert said[0] == "tester compared 0 pairs of replies, too few to say which model is better."
    assert "2 of 2 examples are missing, in part or whole: HTTP 500 (8)." in said


def test_one_example_has_scores_and_no_interval() -> None:
    metrics = summarize(judgement([2], [4], ["win"]), 0.95)

    assert (metrics["judge/style"], metrics["judge/style_base"]) == (4, 2)
    assert "judge/style_delta" not in metrics
    assert "judge/win_rate" not in metrics


def test_a_preference_in_words() -> None:
    found = judgement([2, 3] * 10, [4, 3] * 10, ["win"] * 15 + ["tie"] * 4 + ["loss"])

    said = sentences(found, 0.95, tuned="trial 3")

    # of sixteen throws at most one tail, or one head: 34 in 65536
    assert said[0].startswith(
        "tester prefers trial 3 to its base: 15 wins, 1 losses and 4 ties of 20, win rate 0.850 ["
    )
    assert said[0].endswith("sign test p = 0.00052.")
    assert said[1].startswith("helpfulness: 2.50 to 3.50 of 5, +1.00 [+")
    assert said[1].endswith("at 95%: up")


def test_a_preference_for_the_base_in_words() -> None:
    said = sentences(judgement([3] * 8, [3] * 8, ["loss"] * 8), 0.95, tuned="trial 3")

    assert said[0].startswith("tester prefers the base to trial 3: 0 wins, 8 losses")
    assert said[1].endswith("no change shown")


def test_no_preference_in_words() -> None:
    said = sentences(judgement([3] * 4, [3] * 4, ["win", "win", "loss", "tie"]), 0.95)

    assert said[0].startswith("tester does not tell the adapted model and its base apart: 2 wins")


def test_doubts_and_cost_in_words() -> None:
    found = judgement([3] * 4, [3] * 4, ["place", "place", "win", "same"], n_all=40, money=0.0213, notes=("a note",))

    said = sentences(found, 0.95)

    assert "4 of 40 examples were judged (evaluate.judge.limit)." in said
    assert "On 1 of 4 both models replied the same: ties, without asking." in said
    (place,) = [one for one in said if "same place" in one]
    assert place.startswith("In 67% of the pairs")
    assert place.endswith("trust it little.")
    assert said[-2] == (
        "Cost: 9 requests, 3 answers from the cache, 900 tokens read and 90 written, 0.0213 in your currency."
    )
    assert said[-1] == "a note"
