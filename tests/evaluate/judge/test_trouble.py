"""A judge that is slow, wrong, limited or down: scores are missing, the reason is told, and it ends in time."""

import json
import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.evaluate.judge.server import Sent, Served, better, fair, is_pair, rubric, serve
from tests.evaluate.judge.test_replies import judged
from tune.config.judge import JudgeConfig
from tune.errors import EvaluationError
from tune.evaluate.judge.replies import Result

KEY = "quite-a-secret/of+mine"


def everything(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.rglob("*") if file.is_file())


def test_errors_of_the_server_are_retried() -> None:
    with serve(lambda text, number: Sent(status=500) if number < 2 else fair(text)) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert (found.n_missing, len(served.bodies)) == (0, 3)


def test_the_pause_doubles() -> None:
    with serve(lambda text, number: Sent(status=503) if number < 2 else fair(text)) as served:
        judged(served, ["x 2"], ["x 2"], backoff_s=0.1)

    first, second, third = served.times
    assert 0.1 <= second - first < 0.2
    assert third - second >= 0.2


def test_a_judge_that_stays_wrong_is_missing_and_told() -> None:
    with serve(lambda _text, _number: Sent(status=502)) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert (found.n_missing, found.why) == (1, {"HTTP 502": 1})
    assert len(served.bodies) == 3, "once, and two retries"


def test_it_is_asked_no_more_after_some_failures_in_a_row() -> None:
    with serve(lambda _text, _number: Sent(status=500)) as served:
        found = judged(served, [f"x {i}" for i in range(50)], [f"y {i}" for i in range(50)], max_failures=3, retries=0)

    assert len(served.bodies) == 3
    assert found.n_missing == 50
    opened = "the judge was asked no more: 3 questions in a row without a usable answer; at last: HTTP 500"
    assert found.why == {opened: 197, "HTTP 500": 3}


def test_answers_between_failures_keep_it_going() -> None:
    with serve(lambda text, number: Sent(status=500) if number % 2 else fair(text)) as served:
        judged(
            served,
            [f"x {i % 5 + 1}" for i in range(6)],
            [f"y {i % 4 + 1}" for i in range(6)],
            max_failures=2,
            retries=0,
        )

    assert len(served.bodies) == 24


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("I would give it a 4.", "no JSON object"),
        (rubric(7), "from 1 to 5"),
        (json.dumps({"helpfulness": 4}), "exactly"),
    ],
)
def test_a_bad_answer_is_asked_for_once_more_and_then_missing(bad: str, why: str) -> None:
    with serve(lambda _text, _number: bad) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert len(served.bodies) == 2, "not retried as often as an error is"
    assert found.n_missing == 1
    assert why in next(iter(found.why))
    assert why in served.bodies[1]["messages"][-1]["content"], "the second request says what was wrong"


def test_a_bad_answer_is_not_kept(tmp_path: Path) -> None:
    with serve(lambda _text, _number: "no") as served:
        judged(served, ["x 2"], ["x 2"])

    assert everything(tmp_path) == ""


@pytest.mark.parametrize(
    "body",
    ["", "<html>hello</html>", "{}", '{"choices": []}', '{"choices": [{"message": {"content": null}}]}', "[]", "3"],
)
def test_what_is_no_chat_completion(body: str) -> None:
    with serve(lambda _text, _number: Sent(text=body, raw=True)) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert "chat completion" in next(iter(found.why))
    assert len(served.bodies) == 3


def test_one_order_alone_decides_nothing() -> None:
    def script(text: str, _: int) -> str:
        return fair(text) if not is_pair(text) else better("B") if text.index("x 1") < text.index("y 5") else "no"

    with serve(script) as served:
        found = judged(served, ["x 1"], ["y 5"])

    assert found.pairs[0].result is None
    assert found.pairs[0].picks == ("B", None)
    assert found.count(Result.win) == 0
    assert found.tuned["style"].tolist() == [5], "the ratings stand"
    assert found.n_missing == 1


def test_too_many_requests_wait_as_long_as_is_asked() -> None:
    script = lambda text, number: Sent(status=429, headers={"Retry-After": "1"}) if number == 0 else fair(text)  # noqa: E731

    with serve(script) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert found.n_missing == 0
    assert 1.0 <= served.times[1] - served.times[0] < 2.0


def test_all_threads_wait_for_it() -> None:
    def script(text: str, number: int) -> str | Sent:
        if number == 0:
            return Sent(status=429, headers={"Retry-After": "1"})
        return Sent(text=fair(text), after_s=0.3)

    with serve(script) as served:
        found = judged(served, [f"x {i % 5 + 1}" for i in range(6)], [f"x {i % 5 + 1}" for i in range(6)], n_parallel=2)

    assert found.n_missing == 0
    between = [at - served.times[0] for at in served.times]
    assert sum(at < 1.0 for at in between) <= 3, "those under way, and one that had its turn"


def test_a_date_to_wait_for() -> None:
    later = formatdate(time.time() + 2, usegmt=True)
    script = lambda text, number: Sent(status=429, headers={"Retry-After": later}) if number == 0 else fair(text)  # noqa: E731

    with serve(script) as served:
        judged(served, ["x 2"], ["x 2"])

    assert 0.9 <= served.times[1] - served.times[0] < 3.0, "the date has whole seconds"


def test_who_is_asked_to_wait_too_long_does_not() -> None:
    with serve(lambda _text, _number: Sent(status=429, headers={"Retry-After": "3600"})) as served:
        found = judged(served, ["x 2", "x 3"], ["y 2", "y 3"], max_down_s=5)

    assert len(served.bodies) == 1
    assert any("asks to wait 3600 s" in why for why in found.why)


def test_requests_start_as_often_as_is_allowed() -> None:
    with serve(fair) as served:
        judged(served, ["x 2", "x 3"], ["x 2", "y 4"], per_minute=600, n_parallel=4)

    gaps = [after - before for before, after in zip(served.times, served.times[1:], strict=False)]
    assert len(gaps) == 4
    # 600 a minute is one in 0.1 s; each may come to the server a little late
    assert min(gaps) > 0.05
    assert served.times[-1] - served.times[0] >= 0.38


def test_a_slow_judge_is_left() -> None:
    start = time.monotonic()
    with serve(lambda text, _: Sent(text=fair(text), after_s=1.0)) as served:
        found = judged(served, ["x 2"], ["x 2"], timeout_s=0.2, retries=1)
        took_s = time.monotonic() - start

    assert found.why == {"no whole answer within 0.2 s": 1} or "timed out" in next(iter(found.why))
    assert took_s < 1.0


def test_a_judge_that_drips_is_left_too() -> None:
    start = time.monotonic()
    with serve(lambda text, _: Sent(text=fair(text), drip_s=0.05)) as served:
        found = judged(served, ["x 2"], ["x 2"], timeout_s=0.4, retries=0)
        took_s = time.monotonic() - start

    assert found.why == {"no whole answer within 0.4 s": 1}
    assert took_s < 1.5


def test_a_judge_that_hangs_up_in_the_middle() -> None:
    with serve(lambda text, number: Sent(text=fair(text), cut=number < 2)) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert (found.n_missing, len(served.bodies)) == (0, 3)


def nobody() -> str:
    """Return the address of a port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def test_nobody_is_there() -> None:
    start = time.monotonic()

    found = judged(Served(url=nobody()), [f"x {i}" for i in range(30)], [f"y {i}" for i in range(30)], max_failures=4)

    assert found.n_missing == 30
    assert found.why["not reached (Connection refused)"] == 4
    assert time.monotonic() - start < 3


def test_a_judge_that_is_silent_is_left_by_the_clock() -> None:
    start = time.monotonic()

    found = judged(Served(url=nobody()), ["x 2"], ["x 2"], retries=1000, backoff_s=0.05, max_down_s=0.5)

    assert 0.5 <= time.monotonic() - start < 2.5
    assert "no answer for 0.5 s" in next(iter(found.why))


def test_what_was_kept_is_there_although_the_judge_is_down() -> None:
    with serve(fair) as served:
        before = judged(served, ["x 2", "x 3"], ["y 5", "y 1"])
    after = judged(served, ["x 2", "x 3"], ["y 5", "y 1"])

    assert after.to_json()["examples"] == before.to_json()["examples"]


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_refusal_of_all_is_asked_once(status: int) -> None:
    body = json.dumps({"error": {"message": "we do not know you"}})

    with serve(lambda _text, _number: Sent(status=status, text=body, raw=True)) as served:
        found = judged(served, ["x 1", "x 2"], ["y 1", "y 2"])

    assert len(served.bodies) == 1
    assert all(f"HTTP {status}: we do not know you" in why for why in found.why)


def test_a_refusal_of_one_leaves_the_others() -> None:
    script = lambda text, _: Sent(status=400) if "y 5" in text else fair(text)  # noqa: E731

    with serve(script) as served:
        found = judged(served, ["x 1", "x 2"], ["y 5", "y 3"])

    assert [pair.result for pair in found.pairs] == [None, Result.win]
    assert found.why == {"HTTP 400": 3}
    assert len(served.bodies) == 8, "none of the three is repeated"


def test_a_redirection_is_not_followed() -> None:
    with serve(fair) as elsewhere:
        script = lambda _text, _number: Sent(status=302, headers={"Location": f"{elsewhere.url}/chat/completions"})  # noqa: E731
        with serve(script) as served:
            found = judged(served, ["x 2"], ["x 2"])

    assert (len(served.bodies), len(elsewhere.bodies)) == (1, 0)
    assert "HTTP 302" in next(iter(found.why))


def test_the_key_is_sent_and_kept_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_JUDGE_API_KEY", KEY)
    echo = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}. Bearer {KEY}"}})
    script = lambda text, number: fair(text) if number < 1 else Sent(status=401, text=echo, raw=True)  # noqa: E731

    with serve(script) as served:
        found = judged(served, ["x 1", "x 2"], ["y 5", "y 3"])

    assert served.headers[0]["Authorization"] == f"Bearer {KEY}"
    told = json.dumps(found.to_json()) + repr(found)
    assert "Incorrect API key provided: ***" in told
    assert KEY not in told
    assert "so it is" in everything(tmp_path), "the one answer was kept"
    assert KEY not in everything(tmp_path)


def test_without_a_key_none_is_sent_and_a_refusal_says_where_it_goes() -> None:
    with serve(lambda _text, _number: Sent(status=401)) as served:
        found = judged(served, ["x 1"], ["x 1"])

    assert "Authorization" not in served.headers[0]
    assert "no key was sent (the key is read from TUNE_JUDGE_API_KEY)" in next(iter(found.why))


def test_a_key_is_not_sent_in_the_clear_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_JUDGE", KEY)
    far = Served(url="http://judge.invalid/v1")

    with pytest.raises(EvaluationError, match="for everybody to read: take its https") as refused:
        judged(far, ["x 1"], ["x 1"], key_env="MY_JUDGE")

    assert KEY not in str(refused.value)


def test_a_key_of_two_lines_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_JUDGE_API_KEY", f"{KEY}\nX-More: 1")

    with pytest.raises(EvaluationError, match="TUNE_JUDGE_API_KEY holds signs") as refused:
        judged(Served(url="https://judge.invalid/v1"), ["x 1"], ["x 1"])

    assert KEY not in str(refused.value)


def test_the_key_is_no_setting() -> None:
    assert "key" not in {name for name in JudgeConfig.__slots__ if name != "key_env"}


def test_who_is_under_way_when_it_refuses_for_good_says_so_too() -> None:
    def refuse(text: str, number: int) -> Sent:
        return Sent(text=fair(text), after_s=1.0) if number else Sent(status=401)

    with serve(refuse) as served:
        found = judged(served, ["x 2", "x 3"], ["y 2", "y 3"], n_parallel=4, retries=4)

    assert len(served.bodies) <= 4, "nobody began another"
    assert not [why for why in found.why if "no whole answer" in why or "interrupted" in why]


def test_a_judge_on_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.setenv("TUNE_JUDGE_API_KEY", KEY)

    with serve(fair) as served:
        found = judged(served, ["x 2"], ["x 2"])

    assert found.n_missing == 0
    assert served.paths == ["/v1/chat/completions"]
