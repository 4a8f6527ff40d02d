"""Metrics and what they need: refused where something is missing or has no effect, and written as it comes back."""

from dataclasses import replace

import pytest

from tune.config import rules
from tune.config.compose import compose, difference, from_yaml, to_yaml
from tune.config.metrics import metric_names, task_metrics
from tune.errors import ConfigError


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.metrics=[regex]"], ["data.metrics has regex", "data.scoring.regex=…"]),
        (["data.metrics=[json_schema]"], ["data.metrics has json_schema", "data.scoring.json_schema=…"]),
        (["data.scoring.regex=a"], ["data.scoring.regex=a has no effect", "add regex to data.metrics"]),
        (["data.metrics=[regex]", "data.scoring.regex='(a'"], ["data.scoring.regex=(a", "unterminated subpattern"]),
        (["data.scoring.regex_whole=true"], ["regex_whole=true has no effect"]),
        (["data.scoring.labels=[a,b]"], ["no effect without a metric of labels"]),
        (["data.metrics=[accuracy]", "data.scoring.labels=[a]"], ["data.scoring.labels=['a']", "two or more"]),
        (["data.metrics=[accuracy]", "data.scoring.labels=[a,a]"], ["two or more different labels"]),
        (["data.metrics=[accuracy]", "data.scoring.labels=[a,' ']"], ["none of them empty"]),
        (["data.scoring.label_from=last"], ["no effect without a metric of labels"]),
        (["data.scoring.normalise=[case,case]"], ["names a rule twice"]),
        (["data.stop=['']"], ["data.stop=['']", "none of them empty"]),
        (["data.stop=[a,a]"], ["must be different"]),
        (["evaluate.sampling.temperature=-1"], ["evaluate.sampling.temperature=-1", "from 0 to 10"]),
        (["evaluate.sampling.temperature=1", "evaluate.sampling.top_p=0"], ["above 0, at most 1"]),
        (["evaluate.sampling.top_p=0.9"], ["evaluate.sampling.top_p=0.9 has no effect", "temperature above 0"]),
        (["evaluate.sampling.seed=1"], ["evaluate.sampling.seed=1 has no effect"]),
        (["evaluate.metric=own.py"], ["evaluate.metric=own.py is not allowed", "FILE.py:FUNCTION"]),
        (["evaluate.metric='own.txt:f'"], ["FILE.py:FUNCTION"]),
        (["evaluate.metric='own.py:f()'"], ["FILE.py:FUNCTION"]),
        (["evaluate.metric='own.py:chrf'"], ["task/chrf is a metric of tune's own"]),
        (["evaluate.metric='own.py:score'"], ["task/score is a metric of tune's own"]),
    ],
)
def test_what_cannot_work_is_refused(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        rules.check(compose(overrides))

    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.metrics=[accuracy,macro_f1]", "data.scoring.labels=['two words',b]", "data.scoring.label_from=last"],
        ["data.metrics=[regex]", "data.scoring.regex='^\\d+ it\\'s$'", "data.scoring.regex_whole=true"],
        ["data.metrics=[regex]", r"data.scoring.regex='\\\\'"],
        ["data.stop=['\n\n','###',';']", "data.scoring.normalise=[]"],
        ["evaluate.sampling.temperature=0.7", "evaluate.sampling.top_p=0.9", "evaluate.sampling.seed=3"],
        ["evaluate.metric='my own.py:f'"],
    ],
)
def test_what_can_is_the_same_in_yaml_and_in_the_overrides_of_a_run(overrides: list[str]) -> None:
    config = compose(overrides)
    rules.check(config)

    assert from_yaml(to_yaml(config)) == config
    assert compose(difference(config)) == config


def test_a_metric_of_one_s_own_is_the_score() -> None:
    config = compose(["evaluate.metric=own.py:mine"])

    assert task_metrics(config) == ["mine", "execution", "exact_match"]
    assert {"task/mine", "task/mine_delta_high", "reply/capped_base"} <= set(metric_names(config))


def test_replies_without_a_label_are_reported_where_there_are_labels() -> None:
    config = compose([])
    labelled = replace(config, data=compose(["data.metrics=[accuracy]"]).data)

    assert "reply/no_label" not in metric_names(config)
    assert "reply/no_label_delta" in metric_names(labelled)
