"""What is rejected is never run: the expressions, and the claims."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study.test_attempts import DONE, new_study
from tests.study.test_space import sweep
from tune.config.compose import compose
from tune.config.schema import Config
from tune.errors import ConfigError, StudyError
from tune.failpoint import PLACES
from tune.study import attempts
from tune.study import claim as claims
from tune.study.attempts import end, reap, rejected
from tune.study.claim import claim
from tune.study.signature import sign
from tune.study.space import grid, parse_space, read_space
from tune.study.space.expression import parse
from tune.study.storage import StudyFolder, open_study, snapshot

VALUES: dict[str, Any] = {
    "lora.rank": 16,
    "lora.targets": "qv",
    "data.n_train": None,
    "quantization.double": True,
    "train.learning_rate": 2e-4,
    "data.metrics": ["numeric"],
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("lora.rank > 8", True),
        ("lora.rank > 16 or lora.rank >= 16 and not lora.rank == 8", True),
        ("8 < lora.rank < 16", False),
        ("lora.rank * 2 - 1 == 31", True),
        ("-lora.rank // 5 == -4 and lora.rank % 5 == 1 and lora.rank / 32 == 0.5", True),
        ("lora.targets == 'qv' and lora.targets != \"mlp\"", True),
        ("lora.targets in ['mlp', 'qv']", True),
        ("lora.targets not in ('mlp', 'qv')", False),
        ("lora.rank in [4, 8]", False),
        ("'numeric' in data.metrics", True),
        ("quantization.double", True),
        ("quantization.double == false", False),
        ("data.n_train < 500 or data.n_train >= 500", False),
        ("data.n_train == null", True),
        ("not (data.n_train < 500)", True),
        ("lora.rank / 0 > 1 or lora.rank / 0 < 1", False),
        ("true and not false", True),
        ("train.learning_rate < 3e-4 and (lora.rank + 16) * train.learning_rate < 0.0065", True),
    ],
)
def test_expressions_by_hand(text: str, result: bool) -> None:
    assert parse(text, VALUES.__getitem__).is_true(VALUES.__getitem__) is result


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lora.rank >", r"cannot be read at character \d+"),
        ("lora.rank > 8 and", "cannot be read at character"),
        ("", "cannot be read"),
        ("lora.rnk > 8", r"lora.rnk does not exist.*lora.rank"),
        ("quantization.kind == nf4", r"nf4 does not exist.*A text is quoted: 'nf4'"),
        ("study.seed > 0", "says nothing about a trial"),
        ("quantization == 'nf4'", "whole group"),
        ("lora.rank", "is a number, and must be true or false"),
        ("lora.rank + 1", "is a number, and must be true or false"),
        ("lora.rank > 8 and lora.alpha", "`lora.alpha` in .* is a number and must be true or false"),
        ("lora.rank > '8'", r"compares lora.rank \(number\) with '8' \(text\)"),
        ("lora.rank == '8'", "compares lora.rank"),
        ("lora.targets < 'qv'", "compares lora.targets"),
        ("lora.rank in 8", "compares lora.rank"),
        ("lora.targets + 'x' == 'qvx'", "must be a number"),
        ("__import__('os').system('true')", "is not allowed"),
        ("open('x') == 1", r"`open\('x'\)` in .* is not allowed"),
        ("(lambda: true)", "is not allowed"),
        ("lora.rank ** 9 > 1", "is not allowed"),
        ("lora.rank is 8", "never meant"),
        ("[x for x in [1]] == [1]", "is not allowed"),
        ("'a'.join(['b']) == 'b'", "is not allowed"),
        ("f'{lora.rank}' == '8'", "is not allowed"),
        ("(x := 1) == 1", "is not allowed"),
        ("lora.__class__ == 1", "does not exist"),
        ("lora.rank > 1j", "is not allowed"),
        ("(" * 300 + "true" + ")" * 300, "cannot be read"),
        ("x" * 1001, "is no expression"),
        (7, "is no expression"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_place(text: object, words: str) -> None:
    config = sweep({"lora.rank": [4, 8]})
    config.sweep.reject = [text]

    with pytest.raises(ConfigError, match=words):
        parse_space(config)


NUMBERS = st.integers(-9, 9).map(str) | st.sampled_from(["a", "b"])
SIGNS = st.sampled_from(["+", "-", "*", "/", "//", "%"])
SUMS = st.recursive(NUMBERS, lambda s: st.builds("({} {} {})".format, s, SIGNS, s))
TRUTHS = st.recursive(
    st.builds("{} {} {}".format, SUMS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), SUMS),
    lambda t: st.builds("({} {} {})".format, t, st.sampled_from(["and", "or"]), t) | st.builds("(not {})".format, t),
    max_leaves=6,
)


@settings(deadline=None)
@given(TRUTHS, st.integers(-9, 9), st.integers(-9, 9))
def test_an_expression_says_what_python_says(text: str, a: int, b: int) -> None:
    values = {"a": a, "b": b}
    try:
        wanted = eval(text, {}, values)  # noqa: S307 - the text is our own; it is what the walk is compared with
    except ZeroDivisionError:
        return

    assert parse(text, values.__getitem__).is_true(values.__getitem__) is wanted


@settings(deadline=None)
@given(st.text(alphabet="abl.rank()[]'\"+-*/%<>=! 019,:{}", max_size=40))
def test_any_text_is_an_expression_or_a_mistake_of_the_user(text: str) -> None:
    try:
        parse(text, {"a": 1, "b": True}.__getitem__)
    except (ConfigError, KeyError):
        return


def rejecting(expressions: Any, *words: str, space: dict | None = None) -> Config:
    config = compose(["+sweep=smoke", *words])
    assert config.sweep is not None
    config.sweep.space = space or {"lora.rank": {"low": 1, "high": 64}, "lora.targets": ["qv", "mlp"]}
    config.sweep.reject = expressions
    return config


def test_a_grid_leaves_rejected_cells_out(tmp_path: Path) -> None:
    space = {"lora.rank": [4, 8], "lora.alpha": {"times": "lora.rank", "choices": [1, 2]}}
    config = rejecting("lora.alpha >= 16", space=space)

    assert grid(parse_space(config), config) == [
        {"lora.rank": 4, "lora.alpha/lora.rank": 1.0},
        {"lora.rank": 4, "lora.alpha/lora.rank": 2.0},
        {"lora.rank": 8, "lora.alpha/lora.rank": 1.0},
    ]
    study, _ = open_study(config, tmp_path)
    assert snapshot(study, StudyFolder(runs=tmp_path, name="smoke")).n_trials == 3


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_a_space_in_which_all_is_rejected_is_refused_with_the_expression(sampler: str) -> None:
    words = [f"study.sampler={sampler}", "study.n_trials=3"]
    config = rejecting(["lora.dropout > 1", "lora.rank >= 1"], *words, space={"lora.rank": [4, 8]})

    with pytest.raises(ConfigError, match=r"`lora\.rank >= 1` rejects every point"):
        parse_space(config)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_rejected_point_is_told_and_the_next_is_drawn(tmp_path: Path, sampler: str) -> None:
    config = rejecting(["lora.rank > 16 and lora.targets == 'mlp'"], f"study.sampler={sampler}", "study.n_trials=14")
    study, _ = open_study(config, tmp_path)
    space = parse_space(config)
    points = []
    while claimed := claim(study, config, space, worker=sign()):
        points.append(claimed.point)
        end(study, claimed.number, DONE, value=0.5)

    told = [trial for trial in study.get_trials(deepcopy=False) if rejected(trial)]
    assert len(points) == 14
    assert all(point["lora.rank"] <= 16 or point["lora.targets"] == "qv" for point in points)
    assert told
    assert {trial.state.name for trial in told} == {"PRUNED"}
    assert told[0].constraints == {"reject": 1.0}
    now = snapshot(study, StudyFolder(runs=tmp_path, name="smoke"))
    assert (len(now.trials), now.done, now.n_rejected) == (14, 14, len(told))
    assert len({tuple(trial.params.items()) for trial in told}) > 1, "the next draw is another"


def test_what_hardly_ever_passes_is_found_after_some_draws(tmp_path: Path) -> None:
    space = {"train.learning_rate": {"low": 0.0001, "high": 0.1}}
    config = rejecting("train.learning_rate > 0.0002", "study.sampler=tpe", "study.n_trials=1", space=space)
    study, _ = open_study(config, tmp_path)

    claimed = claim(study, config, parse_space(config), worker=sign())

    assert claimed is not None
    assert claimed.point["train.learning_rate"] <= 0.0002
    assert snapshot(study, StudyFolder(runs=tmp_path, name="smoke")).n_rejected <= claims._MOST_TOLD


def test_a_claim_that_finds_nothing_ends_with_the_expression(tmp_path: Path, monkeypatch) -> None:
    config = rejecting("lora.rank > 0", "study.sampler=random", "study.n_trials=1")
    study, _ = open_study(config, tmp_path)
    monkeypatch.setattr(claims, "_MOST_TOLD", 2)

    with pytest.raises(StudyError, match=r"`lora\.rank > 0` rejects every point"):
        claim(study, config, read_space(config), worker=sign())


@pytest.mark.parametrize("place", [place for place in PLACES if place.startswith(("claim: asked", "end: noted"))])
def test_a_rejection_that_was_cut_off_loses_no_trial(tmp_path: Path, monkeypatch, place: str) -> None:
    config = rejecting(["lora.rank > 4"], "study.sampler=random", "study.n_trials=2")
    study, _ = open_study(config, tmp_path)
    space = parse_space(config)

    class DiedError(Exception):
        pass

    def die(reached: str) -> None:
        if reached == place:
            raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "reach", die)
        patch.setattr(claims, "reach", die)
        with pytest.raises(DiedError):
            claim(study, config, space, worker=sign())
    reap(study, grace_s=1e9, retries=2)
    claimed = [claim(study, config, space, worker=sign()) for _ in range(3)]

    assert [each is not None for each in claimed] == [True, True, False]
    assert len(Counter(each.root for each in claimed if each)) == 2


def test_first_attempts_of_the_smoke_sweep_are_as_before(tmp_path: Path) -> None:
    study, config = new_study(tmp_path)

    assert [trial.system_attrs["fixed_params"] for trial in study.get_trials(deepcopy=False)] == [
        {"lora.rank": 2},
        {"lora.rank": 4},
    ]
    assert config.sweep.reject == []
