"""The estimate is made for the rows that a trial will really read."""

from collections.abc import Callable

import pytest

from tune.config.data import Learn
from tune.config.schema import Config
from tune.data.mask import tokenize_all
from tune.model import memory
from tune.model.memory import Estimate, Lengths
from tune.trial import forecast
from tune.trial.bench import Bench
from tune.trial.forecast import Forecaster

Asked = list[tuple[Config, Lengths]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What was estimated, and for which lengths."""
    calls: Asked = []

    def estimate(config: Config, sizes: object, *, lengths: Lengths, on_gpu: bool) -> Estimate:
        calls.append((config, lengths))
        return memory.estimate(config, sizes, lengths=lengths, on_gpu=on_gpu)

    monkeypatch.setattr(forecast, "estimate", estimate)
    return calls


def test_lengths_are_those_of_the_longest_rows(bench: Bench, small: Callable[..., Config], asked: Asked) -> None:
    config, splits = small(), bench.task.splits
    train = list(tokenize_all(bench.base.tokenizer, splits.train, config.data.learn))
    scored = list(tokenize_all(bench.base.tokenizer, splits.validation, Learn.last))

    Forecaster().estimate(config, bench.task, bench.folder)

    ((_, lengths),) = asked
    assert lengths.example == max(len(row.ids) for row in train)
    assert lengths.learned == max(int(row.learned.sum()) for row in train)
    assert lengths.prompt == max(row.n_prompt for row in scored)
    assert lengths.question >= max(len(row.ids) for row in scored)
    assert lengths.example < config.train.max_length


def test_a_batch_holds_no_more_rows_than_there_are(bench: Bench, small: Callable[..., Config], asked: Asked) -> None:
    n_rows = len(bench.task.splits.train)

    Forecaster().estimate(small("train.batch_size=5000"), bench.task, bench.folder)

    assert asked[0][0].train.batch_size == n_rows


def test_what_takes_no_memory_is_not_estimated_again(bench: Bench, small: Callable[..., Config], asked: Asked) -> None:
    forecaster = Forecaster()

    first = forecaster.estimate(small(), bench.task, bench.folder)
    same = forecaster.estimate(small("train.learning_rate=0.5", "train.epochs=9"), bench.task, bench.folder)
    other = forecaster.estimate(small("lora.rank=64"), bench.task, bench.folder)

    assert same is first
    assert other.peak > first.peak
    assert len(asked) == 2
