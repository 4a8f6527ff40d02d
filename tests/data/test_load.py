"""From files to splits: what is trained on, what is scored, and what is kept for the next start."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tune import paths
from tune.config import rules
from tune.config.compose import compose
from tune.config.data import Balance, BalanceConfig, CleanRowsConfig, ColumnsConfig, DataConfig, DataFormat, MixConfig
from tune.data import pool
from tune.data.load import load_splits
from tune.data.splits import NAMES, Splits
from tune.errors import AssetError, DataError
from tune.examples import Example

WORDS = [f"{first}{second}" for first in ("ka", "lo", "mi", "nu", "pe", "ra", "si", "to") for second in "bdfgklmnprst"]


def sentence(number: int, n_words: int = 12) -> str:
    """Words that no other number's sentence has in this order."""
    return " ".join(random.Random(number).choices(WORDS, k=n_words))


def alpaca(n: int, start: int = 0) -> list[dict]:
    return [
        {"instruction": sentence(i), "input": "", "output": sentence(-i - 1, 4), "kind": "ab"[i % 2]}
        for i in range(start, start + n)
    ]


def write(file: Path, rows: Sequence[object]) -> Path:
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def own(file: Path, **settings: object) -> DataConfig:
    splits = {"validation": 2, "test": 1, "n_train": None, "n_validation": None, "n_test": None}
    return DataConfig(format=DataFormat.files, path=str(file), **(splits | settings))


def said(rows: Sequence[Example]) -> list[tuple[str, str]]:
    return [(row.messages[-1].content, row.answer) for row in rows]


def sizes(splits: Splits) -> tuple[int, ...]:
    return tuple(len(getattr(splits, name)) for name in NAMES)


def test_the_splits_have_what_was_asked_for_and_every_row_once(tmp_path: Path) -> None:
    splits = load_splits(own(write(tmp_path / "rows.jsonl", alpaca(9))))

    assert sizes(splits) == (6, 2, 1)
    everything = [pair for name in NAMES for pair in said(getattr(splits, name))]
    assert Counter(everything) == Counter((row["instruction"], row["output"]) for row in alpaca(9))
    assert splits.account.n_read == 9
    assert splits.account.source == "Alpaca, 9 rows of 1 JSON lines file; 1 key not read: kind"


def test_rows_in_another_order_and_another_file_are_the_same_splits(tmp_path: Path) -> None:
    one = load_splits(own(write(tmp_path / "one.jsonl", alpaca(9))))
    two = load_splits(own(write(tmp_path / "two.jsonl", alpaca(9)[::-1])))

    assert one.digest == two.digest
    assert [said(getattr(one, name)) for name in NAMES] == [said(getattr(two, name)) for name in NAMES]


def test_fewer_training_rows_move_no_other_and_are_the_first_ones(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", alpaca(9))
    full, few = load_splits(own(file)), load_splits(own(file, n_train=2))

    assert list(few.validation) == list(full.validation)
    assert list(few.train) == list(full.train[:2])
    assert few.account.held == {"train": 6, "validation": 2, "test": 1}


def test_a_cap_that_is_not_reached_is_said_unless_the_split_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    data = own(write(tmp_path / "rows.jsonl", alpaca(40)), n_train=99, n_validation=64, n_test=64, test=None)

    notes = load_splits(data).account.notes

    assert [note.split()[0] for note in notes if "fewer than" in note] == ["train", "test"]
    assert not any("data.n_validation" in note for note in notes)


def test_a_cap_keeps_the_classes_in_proportion(tmp_path: Path) -> None:
    rows = [{**row, "kind": "rare" if i % 4 == 0 else "common"} for i, row in enumerate(alpaca(60))]
    data = own(write(tmp_path / "rows.jsonl", rows), columns=ColumnsConfig(label="kind"), validation=4, test=4)
    data.n_train = 12

    splits = load_splits(data)

    # 13 of 52 training rows are rare: of 12, that is 3
    assert Counter(row.label for row in splits.train) == {"common": 9, "rare": 3}


def test_the_second_start_reads_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = own(write(tmp_path / "rows.jsonl", alpaca(9)))
    first = load_splits(data)
    monkeypatch.setattr(pool, "read_source", None)

    second = load_splits(data)

    assert (second.digest, second.account) == (first.digest, first.account)
    assert list(second.train) == list(first.train)


def test_what_nobody_asked_for_in_a_month_is_forgotten(tmp_path: Path) -> None:
    old, used, new = (own(write(tmp_path / f"{name}.jsonl", alpaca(9, start))) for start, name in enumerate("abc"))
    load_splits(old)
    load_splits(used)
    month_ago = time.time() - 31 * 24 * 3600
    for manifest in (paths.cache_dir() / "data").glob("*/manifest.json"):
        os.utime(manifest, (month_ago, month_ago))

    load_splits(used)
    load_splits(new)

    left = {folder.name.split("-")[0] for folder in (paths.cache_dir() / "data").iterdir() if folder.is_dir()}
    assert left == {"rows", "splits"}
    assert len(list((paths.cache_dir() / "data").glob("splits-*"))) == 2
    assert list(load_splits(used).train)


def test_a_changed_row_a_changed_setting_and_a_damaged_cache_are_noticed(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    before = load_splits(own(write(file, alpaca(9))))
    read_before = said(before.train)
    other_seed = load_splits(own(file, seed=1))
    changed = load_splits(own(write(file, [*alpaca(8), *alpaca(1, start=20)])))
    for kept in (paths.cache_dir() / "data").glob("splits-*/train.arrow"):
        kept.write_bytes(kept.read_bytes()[:-100])
    again = load_splits(own(write(file, alpaca(9))))

    assert len({before.digest, other_seed.digest, changed.digest}) == 3
    assert (again.digest, said(again.train)) == (before.digest, read_before)


def test_rows_that_the_questions_ask_are_in_no_split(tmp_path: Path) -> None:
    asked = sentence(3)
    splits = load_splits(own(write(tmp_path / "rows.jsonl", alpaca(9))), questions={"mmlu": [f"{asked} yes no"]})

    assert sizes(splits) == (5, 2, 1)
    assert not any(asked in question for name in NAMES for question, _ in said(getattr(splits, name)))
    (step,) = [step for step in splits.account.taken if step.setting == "data.leaks" and step.count]
    assert (step.step, step.count, step.cases[0].why) == ("rows that stand in mmlu", 1, "stands in mmlu: text 1")


def test_a_row_of_validation_that_shares_a_passage_with_one_of_test_goes(tmp_path: Path) -> None:
    passage = sentence(500, 14)
    pair = [{"instruction": f"{sentence(501 + i, 30)} {passage}", "output": sentence(510 + i, 4)} for i in (0, 1)]
    file = write(tmp_path / "rows.jsonl", [*alpaca(20), *pair])

    def with_passage(splits: Splits) -> tuple[int, ...]:
        return tuple(sum(passage in question for question, _ in said(getattr(splits, name))) for name in NAMES)

    def data(seed: int, *, leaks: bool) -> DataConfig:
        return own(file, validation=8, test=8, seed=seed, leaks=leaks)

    seed = next(seed for seed in range(100) if with_passage(load_splits(data(seed, leaks=False))) == (0, 1, 1))

    assert with_passage(load_splits(data(seed, leaks=True))) == (0, 0, 1)


def test_each_split_has_a_digest_of_its_own(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", alpaca(9))
    one, fewer = load_splits(own(file)).digests, load_splits(own(file, n_train=2)).digests

    assert one["train"] != fewer["train"]
    assert (one["validation"], one["test"]) == (fewer["validation"], fewer["test"])


def test_general_rows_are_mixed_in_and_none_of_them_is_scored(tmp_path: Path) -> None:
    task, general = write(tmp_path / "rows.jsonl", alpaca(30)), write(tmp_path / "general.jsonl", alpaca(30, start=100))
    plain = load_splits(own(task))
    mixed = load_splits(own(task, mix=MixConfig(path=str(general), share=0.25)))

    assert sizes(plain) == (27, 2, 1)
    assert sizes(mixed) == (36, 2, 1)  # 27 are three quarters of 36
    assert sum(row.id.startswith("mix/general.jsonl/") for row in mixed.train) == 9
    assert list(mixed.validation) == list(plain.validation)


def test_general_rows_that_are_named_and_not_taken_are_a_note_and_no_mistake(tmp_path: Path) -> None:
    # The best trial of a search over shares may be the one of 0, and its command is given again as it is.
    words = ["data=jsonl", f"data.path='{write(tmp_path / 'rows.jsonl', alpaca(9))}'", "data.mix.path=general.jsonl"]
    config = compose([*words, "data.validation=2"])

    rules.check(config)
    splits = load_splits(config.data)
    generated = load_splits(DataConfig(mix=MixConfig(path="general.jsonl")))

    note = "data.mix.path is set and data.mix.share=0 takes none of it; data.mix.share=0.1 would."
    assert note in splits.account.notes
    assert generated.account.notes == (note,)


def test_general_rows_that_stand_in_validation_are_left_out(tmp_path: Path) -> None:
    task = write(tmp_path / "rows.jsonl", alpaca(30))
    scored = load_splits(own(task)).validation
    planted = [{"instruction": row.messages[-1].content, "output": row.answer} for row in scored]
    general = write(tmp_path / "general.jsonl", [*planted, *alpaca(30, start=100)])

    mixed = load_splits(own(task, mix=MixConfig(path=str(general), share=0.25)))

    assert not set(said(mixed.train)) & set(said(scored))
    (step,) = [s for s in mixed.account.taken if s.step.startswith("mix: rows that stand in")]
    assert step.count == 2


def test_general_rows_are_mixed_into_generated_ones_too(tmp_path: Path) -> None:
    general = write(tmp_path / "general.jsonl", alpaca(30, start=100))
    data = DataConfig(n_train=40, n_validation=4, n_test=2, mix=MixConfig(path=str(general), share=0.1))

    splits = load_splits(data)

    assert sizes(splits) == (40, 4, 2)
    assert sum(row.id.startswith("mix/") for row in splits.train) == 4


def test_classes_are_balanced_in_training_alone(tmp_path: Path) -> None:
    rows = [{**row, "kind": "rare" if i % 4 == 0 else "common"} for i, row in enumerate(alpaca(40))]
    file = write(tmp_path / "rows.jsonl", rows)
    label, cap = ColumnsConfig(label="kind"), BalanceConfig(how=Balance.cap, cap=5)
    splits = load_splits(own(file, columns=label, balance=cap, validation=8, test=4))
    by_column = load_splits(
        own(file, balance=BalanceConfig(how=Balance.cap, cap=5, column="kind"), validation=8, test=4)
    )

    assert Counter(row.label for row in splits.train) == {"common": 5, "rare": 5}
    assert Counter(row.label for row in splits.validation) == {"common": 6, "rare": 2}
    assert Counter(row.extra["kind"] for row in by_column.train) == {"common": 5, "rare": 5}


def test_white_space_around_answers_is_taken_off_and_counted(tmp_path: Path) -> None:
    rows = alpaca(9)
    rows[4]["output"] = f"\n\n{rows[4]['output']} \n"

    splits = load_splits(own(write(tmp_path / "rows.jsonl", rows)))

    assert splits.digest == load_splits(own(write(tmp_path / "plain.jsonl", alpaca(9)))).digest
    assert splits.account.notes == ("1 row had white space around an answer, which was taken off.",)


def test_a_system_message_stands_before_every_chat_that_has_none(tmp_path: Path) -> None:
    own_system = {
        "messages": [{"role": role, "content": f"{role} {sentence(50)}"} for role in ("system", "user", "assistant")]
    }
    chats = [
        {"messages": [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]}
        for row in alpaca(8)
    ]
    splits = load_splits(own(write(tmp_path / "rows.jsonl", [*chats, own_system]), system="Be brief."))

    firsts = Counter(row.messages[0].content for name in NAMES for row in getattr(splits, name))
    assert firsts == {"Be brief.": 8, f"system {sentence(50)}": 1}


@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        ([], {}, "is empty"),
        ([*alpaca(3), "not json"], {}, "line 4 is not JSON"),
        (alpaca(3), {}, "leave nothing to train on: after cleaning there are 3 rows"),
        ([{"instruction": "x", "output": " "}], {}, "cleaning left none of the 1 rows: empty answers 1"),
        (alpaca(9), {"mix": MixConfig(path="no.jsonl", share=0.5)}, "data.mix.path=no.jsonl does not exist"),
        (alpaca(9), {"columns": ColumnsConfig(label="class")}, "class"),
        (
            ['{"instruction": "a\\ud800", "output": "b"}', *alpaca(9)],
            {"clean": CleanRowsConfig(broken_text=False)},
            "rows.jsonl/1 holds half of a surrogate pair, which is no character",
        ),
        (alpaca(9), {"validation": 1}, "validation would have 1 row"),
    ],
)
def test_what_cannot_be_split_is_told(tmp_path: Path, rows: list, settings: dict, words: str) -> None:
    with pytest.raises(DataError) as caught:
        load_splits(own(write(tmp_path / "rows.jsonl", rows), **settings))

    assert words in str(caught.value)


def test_half_of_a_surrogate_pair_that_cleaning_lets_through_is_told_with_its_row(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [*alpaca(9), {"instruction": "half \ud800 of a pair", "output": "x"}])

    with pytest.raises(DataError, match=r"rows.jsonl/10 holds half of a surrogate pair, .* Mend or remove the row"):
        load_splits(own(file, clean=CleanRowsConfig(broken_text=False)))


def test_a_file_whose_name_is_not_utf_8_is_read_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    write(folder / os.fsdecode(b"caf\xe9.jsonl"), alpaca(9))
    (folder / os.fsdecode(b"\xe9.png")).touch()

    splits = load_splits(own(folder))

    assert {row.id.rpartition("/")[0] for row in splits.train} == {r"caf\udce9.jsonl"}
    assert splits.words.encode()  # can be printed


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("TUNE_CACHE", str(tmp_path / "cache"))

    with pytest.raises(AssetError, match=r"cannot write the data to the cache .* TUNE_CACHE"):
        load_splits(own(write(tmp_path / "rows.jsonl", alpaca(9))))


@pytest.mark.parametrize("kind", [DataFormat.files, DataFormat.banking77])
def test_a_home_folder_that_nobody_has_is_told(kind: DataFormat) -> None:
    with pytest.raises(DataError, match=r"data.path=~nobody_of_this_name/x.jsonl (does not exist|holds no train.csv)"):
        load_splits(DataConfig(format=kind, path="~nobody_of_this_name/x.jsonl"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_splits(DataConfig(format=DataFormat.files, path=str(tmp_path / "no.jsonl")))
    with pytest.raises(DataError, match=r"holds no train\.jsonl"):
        load_splits(DataConfig(format=DataFormat.gsm8k, path=str(tmp_path)))


def test_gsm8k_loses_no_problem_but_duplicates_and_leaks(shared_data: Path) -> None:
    data = DataConfig(format=DataFormat.gsm8k, path=str(shared_data / "gsm8k"), n_train=None, n_validation=None)
    splits = load_splits(data)

    went = sum(step.count for step in splits.account.taken)
    assert len(splits.train) + len(splits.validation) == 7473 - went
    assert went < 75  # one in a hundred
    assert splits.account.held["test"] == 1319
    assert len(splits.test) == 64
    assert not {row.id for row in splits.train} & {row.id for row in splits.validation}
