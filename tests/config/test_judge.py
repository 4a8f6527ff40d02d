"""Settings of the judge: which are refused, and that none of them is part of a trial."""

from dataclasses import replace

import pytest

from tune.config import rules
from tune.config.compose import compose, difference, value_at
from tune.config.judge import check_judge
from tune.errors import ConfigError

BASE = ["evaluate.judge.base_url=http://127.0.0.1:8000/v1", "evaluate.judge.model=m"]


def refused(*words: str) -> str:
    with pytest.raises(ConfigError) as error:
        rules.check(compose(list(words)))
    return str(error.value)


def test_there_is_no_judge_unless_it_is_asked_for() -> None:
    config = compose([])

    rules.check(config)
    with pytest.raises(ConfigError, match=r"evaluate\.judge\.base_url is not set, so there is no judge"):
        check_judge(config.evaluate.judge)


def test_a_judge_is_allowed() -> None:
    config = compose([*BASE, "evaluate.judge.key_env=null", "evaluate.judge.temperature=null"])

    rules.check(config)
    check_judge(config.evaluate.judge)


def test_a_judge_is_no_part_of_a_trial() -> None:
    assert difference(compose(BASE)) == difference(compose([]))


def test_a_judge_is_not_searched() -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.judge\.model says nothing about a trial"):
        value_at(compose([]), "evaluate.judge.model")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limit", "1"),
        ("per_minute", "0"),
        ("n_parallel", "65"),
        ("timeout_s", "0"),
        ("retries", "-1"),
        ("backoff_s", "-1"),
        ("max_failures", "0"),
        ("max_down_s", "0"),
        ("temperature", "2.1"),
        ("max_tokens", "16"),
        ("trial", "-1"),
        ("price_per_million_input", "-1"),
    ],
)
def test_a_number_out_of_its_range(key: str, value: str) -> None:
    assert f"evaluate.judge.{key}={value}" in refused(*BASE, f"evaluate.judge.{key}={value}").replace(".0 ", " ")


def test_an_address_needs_a_model() -> None:
    assert "evaluate.judge.model is not set" in refused(BASE[0])


@pytest.mark.parametrize("address", ["ftp://host/v1", "host:8000", "http://", "http://host:0/v1", "http://[::1/v1"])
def test_what_is_no_address(address: str) -> None:
    assert f"evaluate.judge.base_url={address} is not allowed" in refused(
        f"evaluate.judge.base_url='{address}'", BASE[1]
    )


@pytest.mark.parametrize("address", ["https://me:hush-hush@host/v1", "https://host/v1?api-key=hush-hush"])
def test_an_address_with_a_secret_is_refused_without_it(address: str) -> None:
    said = refused(f"evaluate.judge.base_url='{address}'", BASE[1])

    assert "evaluate.judge.base_url=… is not allowed" in said
    assert "hush" not in said


@pytest.mark.parametrize("key", ["sk-proj-hushhush123", "hushhush123", "A B"])
def test_a_key_in_place_of_its_variable_is_refused_without_it(key: str) -> None:
    said = refused(*BASE, f"evaluate.judge.key_env='{key}'")

    assert "evaluate.judge.key_env is not allowed" in said
    assert key not in said


def test_one_price_alone() -> None:
    assert "set both, or neither" in refused(*BASE, "evaluate.judge.price_per_million_input=1")


def test_a_finalist_keeps_its_judge() -> None:
    evaluate = compose(BASE).evaluate

    assert replace(evaluate.for_finalists()).judge.model == "m"
