"""From clean rows to splits: nothing that is scored stands in training, and training is what was asked for."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from tune.config.data import Balance, DataConfig, DataFormat
from tune.data.account import Taken, taken
from tune.data.balance import balance_rows
from tune.data.draw import content_key, order_in_split
from tune.data.leaks import HeldOut, find_leaks
from tune.data.listener import Listener
from tune.data.mix import mix_in
from tune.data.pool import load_pool
from tune.data.split import split_rows
from tune.data.splits import Splits, make_splits
from tune.errors import DataError
from tune.examples import Example, Message

_LEAST_SCORED = 2

Questions = Mapping[str, Sequence[str]]
"""Texts that the evaluation asks, by the name of what asks them."""


def divide(data: DataConfig, questions: Questions, listener: Listener) -> Splits:
    """Return the splits of a data set.

    Raises:
        DataError: A file is missing or broken, or a split cannot be made.
    """
    pool = load_pool(data, listener)
    rows, clusters, steps = list(pool.rows), list(pool.clusters), list(pool.account.taken)
    # What stands in a published test file or a knowledge question must not be validated on either.
    elsewhere: HeldOut = {**({"test": pool.test} if pool.test else {}), **questions}
    listener.on("looking for leaks", 0, len(rows))
    kept, step = _without_leaks(data, rows, elsewhere)
    rows, clusters, steps = [rows[i] for i in kept], [clusters[i] for i in kept], [*steps, *step]
    test_share = 0 if pool.test is not None else data.test
    try:
        parts = split_rows(rows, clusters, validation=data.validation, test=test_share, seed=data.seed)
    except DataError as error:
        msg = f"data.path={data.path}: {error}"
        raise DataError(msg) from error
    train, validation, test = ([rows[i] for i in part] for part in (parts.train, parts.validation, parts.test))
    if pool.test is not None:
        test = sorted(pool.test, key=lambda row: order_in_split(content_key(row), seed=data.seed))
    else:
        kept, step = _without_leaks(data, validation, {"test": test})
        validation, steps = [validation[i] for i in kept], [*steps, *step]
    own: HeldOut = {"validation": validation, "test": test} if pool.test is None else {"validation": validation}
    kept, step = _without_leaks(data, train, own)
    train, steps = [train[i] for i in kept], [*steps, *step]
    held = {"train": len(train), "validation": len(validation), "test": len(test)}
    train, step, notes = to_train_on(data, train, {"test": test, "validation": validation, **questions}, listener)
    chosen = {"train": train, "validation": first(validation, data.n_validation), "test": first(test, data.n_test)}
    account = dataclasses.replace(
        pool.account,
        taken=(*steps, *step),
        held=held,
        notes=(*pool.account.notes, *parts.notes, *_short(data, chosen), *notes),
    )
    return make_splits({name: with_system(part, data.system) for name, part in chosen.items()}, account)


def general_set(data: DataConfig) -> DataConfig | None:
    """Return the general data set as a data set of its own, or None where none is mixed in."""
    if not data.mix.share:
        return None
    assert data.mix.path is not None  # config.rules has asked for it
    return DataConfig(format=DataFormat.files, path=data.mix.path, layout=data.mix.layout, clean=data.clean)


def with_system(rows: Sequence[Example], system: str | None) -> list[Example]:
    """Return the rows, each with the system message in front unless it has one."""
    if not system:
        return list(rows)
    first = Message(role="system", content=system)
    return [
        row if row.messages[0].role == "system" else dataclasses.replace(row, messages=(first, *row.messages))
        for row in rows
    ]


def _without_leaks(data: DataConfig, rows: Sequence[Example], held_out: HeldOut) -> tuple[list[int], list[Taken]]:
    """Return the places of the rows that stay, and the account of those that go."""
    held_out = {name: texts for name, texts in held_out.items() if texts}
    if not (data.leaks and held_out):
        return list(range(len(rows))), []
    found = dict(find_leaks(rows, held_out, ngram=data.leak_ngram, clean=data.clean))
    went = [(rows[place], f"stands in {where}") for place, where in found.items()]
    step = taken(f"rows that stand in {', '.join(held_out)}", "data.leaks", went)
    return [place for place in range(len(rows)) if place not in found], [step]


def to_train_on(
    data: DataConfig, train: list[Example], held_out: HeldOut, listener: Listener
) -> tuple[list[Example], list[Taken], list[str]]:
    """Return what is trained on, and an account of it: balanced, no more than asked for, with general rows mixed in.

    Raises:
        DataError: A class or the general set has too few rows.
    """
    steps: list[Taken] = []
    notes: list[str] = []
    if data.balance.how is not Balance.none:
        balanced = balance_rows(train, data.balance, class_of=_class_in(data), seed=data.seed)
        train = balanced.rows
        steps += [balanced.taken] if balanced.taken else []
        notes += [balanced.note] if balanced.note else []
    if general := general_set(data):
        pool = load_pool(general, listener, setting="data.mix.path")
        rows = list(pool.rows)
        kept, leaks = _without_leaks(data, rows, held_out)
        steps += [dataclasses.replace(step, step=f"mix: {step.step}") for step in (*pool.account.taken, *leaks)]
        mixed = mix_in(train, [rows[i] for i in kept], share=data.mix.share, n_train=data.n_train, seed=data.seed)
        return mixed.rows, steps, [*notes, f"mixed in: {pool.account.source}.", *([mixed.note] if mixed.note else [])]
    return first(train, data.n_train), steps, [*notes, *not_mixed(data)]


def not_mixed(data: DataConfig) -> list[str]:
    """Say that general rows are named and not taken: no mistake, for a search over shares may have 0 as its best."""
    if data.mix.path is None or data.mix.share:
        return []
    return ["data.mix.path is set and data.mix.share=0 takes none of it; data.mix.share=0.1 would."]


def first(rows: list[Example], count: int | None) -> list[Example]:
    """Return the first rows; where all have a label, each label's first ones, in the proportions of the whole."""
    if count is None or count >= len(rows) or any(row.label is None for row in rows):
        return rows[:count]
    sizes = Counter(row.label for row in rows)
    seen: Counter[str | None] = Counter()
    places = []
    for place, row in enumerate(rows):
        places.append(((seen[row.label] + 0.5) / sizes[row.label], place))
        seen[row.label] += 1
    return [rows[place] for place in sorted(place for _, place in sorted(places)[:count])]


def _class_in(data: DataConfig) -> Callable[[Example], str | None]:
    """Return what gives the class of a row that its rows are balanced by."""
    column = data.balance.column
    if column in {None, data.columns.label}:
        return lambda row: row.label
    return lambda row: str(row.extra[column]) if column in row.extra else None


def _short(data: DataConfig, chosen: Mapping[str, Sequence[Example]]) -> list[str]:
    """Say where a cap is not reached, but of a split whose size is asked for by data.validation or data.test."""
    if not chosen["train"]:
        msg = "no row is left to train on. Hold fewer rows out with data.validation and data.test, or give more rows."
        raise DataError(msg)
    if len(chosen["validation"]) < _LEAST_SCORED:
        msg = (
            f"validation would have {len(chosen['validation'])} row, and an interval takes {_LEAST_SCORED}. Ask "
            "for more with data.validation, or add rows."
        )
        raise DataError(msg)
    most = {
        "train": data.n_train,
        "validation": data.n_validation if data.validation is None else None,
        "test": data.n_test if data.test is None else None,
    }
    return [
        f"{name} has {len(chosen[name])} rows, fewer than the most that data.n_{name}={n} allows."
        for name, n in most.items()
        if n is not None and len(chosen[name]) < n
    ]
