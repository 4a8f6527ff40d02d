"""Replies judged by a server that answers: scores, both orders, the cache, and what it costs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluate.judge.server import Sent, Served, better, block, fair, is_pair, rubric, serve
from tune.errors import EvaluationError
from tune.evaluate.judge.replies import Asked, Judgement, Result, judge_replies
from tune.evaluate.judge.summary import sentences, summarize


def questions(n: int) -> list[Asked]:
    return [Asked(id=f"t/{i}", question=f"Question {i}?", answer=f"right {i}") for i in range(n)]


def quiet(_done: int, _total: int) -> None:
    return


def judged(served: Served, base: Sequence[str], tuned: Sequence[str], **config: Any) -> Judgement:
    return judge_replies(questions(len(base)), base, tuned, served.config(**config), quiet)


def test_a_fair_judge_by_hand() -> None:
    with serve(fair) as served:
        found = judged(served, ["x 2", "x 3", "x 4"], ["y 5", "y 1", "y 4"])

    assert found.base["helpfulness"].tolist() == [2, 3, 4]
    assert found.tuned["style"].tolist() == [5, 1, 4]
    assert [pair.result for pair in found.pairs] == [Result.win, Result.loss, Result.tie]
    assert [pair.picks for pair in found.pairs] == [("B", "A"), ("A", "B"), ("tie", "tie")]
    assert not any(pair.is_by_place for pair in found.pairs)
    assert (found.n_missing, found.why) == (0, {})
    assert len(served.bodies) == 12, "each of three: two ratings and two orders"
    assert set(served.paths) == {"/v1/chat/completions"}


def test_a_request_asks_for_json_and_no_chance() -> None:
    with serve(fair) as served:
        judged(served, ["x 2"], ["x 2"])

    body = served.bodies[0]
    assert {name: body[name] for name in ("model", "temperature", "max_tokens", "response_format")} == {
        "model": "tester",
        "temperature": 0.0,
        "max_tokens": 512,
        "response_format": {"type": "json_object"},
    }


def test_what_a_server_does_not_know_is_left_out() -> None:
    with serve(fair) as served:
        judged(served, ["x 2"], ["x 2"], temperature=None, max_tokens=None, json_mode=False)

    assert served.bodies[0].keys() == {"model", "messages"}


@pytest.mark.parametrize("place", ["A", "B"])
def test_a_judge_that_takes_a_place_decides_nothing(place: str) -> None:
    with serve(lambda text, _: better(place) if is_pair(text) else fair(text)) as served:
        found = judged(served, ["x 1", "x 1"], ["y 5", "y 5"])

    assert [pair.result for pair in found.pairs] == [Result.tie, Result.tie]
    assert all(pair.is_by_place for pair in found.pairs)


def test_one_tie_and_one_choice_is_a_tie_and_no_bias() -> None:
    script = lambda text, _: rubric(3) if not is_pair(text) else better("tie" if block("REPLY A", text) == "x" else "A")  # noqa: E731

    with serve(script) as served:
        found = judged(served, ["x"], ["y"])

    assert (found.pairs[0].result, found.pairs[0].is_by_place) == (Result.tie, False)


def test_equal_replies_are_a_tie_and_rated_once() -> None:
    with serve(fair) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert len(served.bodies) == 1
    assert (found.pairs[0].result, found.pairs[0].is_same) == (Result.tie, True)
    assert found.base["accuracy"].tolist() == found.tuned["accuracy"].tolist() == [2]


def test_what_was_asked_before_is_not_asked_again() -> None:
    with serve(fair) as served:
        first = judged(served, ["x 2", "x 3"], ["y 5", "y 1"])
        again = judged(served, ["x 2", "x 3"], ["y 5", "y 1"])
        n_before = len(served.bodies)
        judged(served, ["x 2", "x 4"], ["y 5", "y 1"])

    assert n_before == 8
    assert (first.cost.n_requests, first.cost.n_cached) == (8, 0)
    assert (again.cost.n_requests, again.cost.n_cached, again.cost.input_tokens) == (0, 8, 0)
    assert again.to_json()["examples"] == first.to_json()["examples"]
    assert len(served.bodies) == n_before + 3, "one new reply: its rating and both orders"


def test_the_cache_knows_the_model_and_its_settings() -> None:
    with serve(fair) as served:
        judged(served, ["x 2"], ["x 2"])
        judged(served, ["x 2"], ["x 2"], temperature=1.0)

    assert len(served.bodies) == 2


def test_a_damaged_answer_is_asked_for_again(tmp_path: Path) -> None:
    with serve(fair) as served:
        judged(served, ["x 2"], ["x 2"])
        (kept,) = (tmp_path / "cache" / "judge").rglob("*.json")
        for damage in ("", "{}", json.dumps({"text": rubric(9)})):
            kept.write_text(damage)
            assert judged(served, ["x 2"], ["x 2"]).base["style"].tolist() == [2]

    assert len(served.bodies) == 4


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")

    with serve(fair) as served:
        found = judged(served, ["x 2"], ["y 5"])

    assert found.n_missing == 0
    assert "cache" in found.notes[0]


def test_the_cost_is_what_the_server_counts() -> None:
    with serve(fair) as served:
        found = judged(served, ["x 2"], ["y 5"], price_per_million_input=2.5, price_per_million_output=10.0)

    assert (found.cost.n_requests, found.cost.input_tokens, found.cost.output_tokens) == (4, 400, 40)
    # 400 tokens at 2.5 a million and 40 at 10 a million
    assert found.money == pytest.approx(0.001 + 0.0004)


def test_without_prices_or_counts_no_cost_is_made_up() -> None:
    prices = {"price_per_million_input": 3.0, "price_per_million_output": 15.0}
    with serve(lambda text, number: Sent(text=fair(text), **({} if number else {"usage": None}))) as served:
        found = judged(served, ["x 2"], ["y 5"], **prices)
        free = judged(served, ["x 3"], ["y 1"])

    # Three of four answers were counted: 300 tokens at 3 and 30 at 15 a million are the least that it cost.
    assert (found.cost.n_uncounted, found.cost.input_tokens) == (1, 300)
    assert "judge/cost_money" not in summarize(found, 0.95)
    assert "not counted by the server for 1 requests, at least 0.00135 in your currency" in sentences(found, 0.95)[-1]
    assert (free.money, "currency" in sentences(free, 0.95)[-1]) == (None, False)


def test_what_came_too_late_may_cost_too() -> None:
    prices = {"price_per_million_input": 3.0, "price_per_million_output": 15.0}
    with serve(lambda text, number: Sent(text=fair(text), after_s=0 if number else 1.0)) as served:
        found = judged(served, ["x 2"], ["x 2"], timeout_s=0.3, retries=1, **prices)

    assert (found.cost.n_requests, found.cost.n_uncounted) == (2, 1)
    assert "judge/cost_money" not in summarize(found, 0.95)


def test_answers_that_cannot_be_read_cost_too() -> None:
    with serve(lambda text, number: "no" if number == 0 else fair(text)) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert (found.cost.n_requests, found.cost.input_tokens) == (2, 200)


def test_the_limit_takes_the_same_examples_for_every_trial() -> None:
    replies = [f"x {i % 5 + 1}" for i in range(20)]

    with serve(fair) as served:
        ours = judged(served, replies, ["y 3"] * 20, limit=4)
        theirs = judged(served, replies, ["z 1"] * 20, limit=4)

    ids = [one.id for one in ours.asked]
    assert ids == [one.id for one in theirs.asked]
    assert (len(ids), ours.n_all) == (4, 20)
    assert ids == sorted(ids, key=lambda one: int(one.removeprefix("t/"))), "in their order"


def test_several_at_once_say_the_same() -> None:
    replies = [f"x {i % 5 + 1}" for i in range(12)]

    with serve(fair) as served:
        alone = judged(served, replies, ["y 3"] * 12)
    with serve(lambda text, _: Sent(text=fair(text), after_s=0.05)) as served:
        together = judged(served, replies, ["y 3"] * 12, n_parallel=8)
        took_s = served.times[-1] - served.times[0]

    assert together.to_json()["examples"] == alone.to_json()["examples"]
    assert took_s < 0.05 * len(served.bodies) / 2, "eight at once, not one after the other"


def test_replies_that_do_not_pair_are_refused() -> None:
    with serve(fair) as served, pytest.raises(EvaluationError, match="2 replies of the base and 1 of the adapted"):
        judge_replies(questions(2), ["x 1", "x 2"], ["y 1"], served.config(), quiet)


def test_what_is_missing_is_null_in_json() -> None:
    with serve(lambda text, _: "no" if is_pair(text) or "x 2" in text else fair(text)) as served:
        found = judged(served, ["x 2"], ["y 5"])

    (example,) = found.to_json()["examples"]
    assert (example["base"], example["result"], example["picks"]) == (None, None, [None, None])
    assert example["tuned"] == {"helpfulness": 5, "accuracy": 5, "style": 5}
    assert np.isnan(found.base["style"]).all()
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()
