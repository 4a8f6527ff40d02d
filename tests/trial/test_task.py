"""What all trials share: nobody is trained on what a finalist will be asked, whatever the trials themselves are."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tune.config.compose import compose
from tune.evaluate.questions import Question, read_probe
from tune.trial.finals import final_task
from tune.trial.task import read_task


def with_choices(question: Question) -> str:
    return " ".join((question.text, *question.choices))


def alone(question: Question) -> str:
    return question.text


def with_letters(question: Question) -> str:
    choices = (f"{letter}. {choice}" for letter, choice in zip("ABCD", question.choices, strict=True))
    return "\n".join((question.text, *choices, "Answer:"))


@pytest.mark.parametrize("form", [with_choices, alone, with_letters])
@pytest.mark.parametrize("words", [["evaluate.limit=1"], ["evaluate.limit=null", "evaluate.items=57"]])
def test_questions_that_only_finalists_are_asked_are_no_training_rows_either(
    tmp_path: Path, words: list[str], form: Callable[[Question], str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    own = [{"question": f"How many legs have {n} spiders, please?", "answer": str(8 * n)} for n in range(40)]
    bank = [{"question": form(q), "answer": "A"} for q in read_probe(limit=None).test[:60]]
    rows.write_text("\n".join(json.dumps(row) for row in [*own, *bank]))
    data = ["data=jsonl", f"data.path={rows}", "data.test=8", "data.validation=8", "data.n_test=null"]
    config = compose(["model=tiny", *data, "data.n_validation=null", "data.n_train=null", *words])

    task, final = read_task(config), final_task(config)

    asked = {form(q) for q in final.bank.test} if final.bank else set()
    assert task.bank is not None
    assert len(task.bank.test) < len(asked), "the trials are asked fewer"
    assert {row["question"] for row in bank} <= asked
    assert not {example.question for example in task.splits.train} & asked
    assert task.splits.digests == final.splits.digests, "a final has the trials' own data"


def test_general_rows_are_no_labels(tmp_path: Path) -> None:
    moods = [{"question": f"I said {n} things, was I kind?", "answer": ("yes", "no")[n % 2]} for n in range(80)]
    general = [
        {"question": f"Tell me of the river {n}, its source and its mouth.", "answer": f"It runs {n} miles."}
        for n in range(80)
    ]
    for name, rows in (("rows.jsonl", moods), ("general.jsonl", general)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    data = ["data=jsonl", f"data.path={tmp_path}/rows.jsonl", "data.test=8", "data.validation=8", "data.n_test=null"]
    data += [
        "data.n_validation=null",
        "data.n_train=null",
        "data.metrics=[accuracy]",
        "data.clean.near_duplicates=false",
    ]
    mixed = [f"data.mix.path={tmp_path}/general.jsonl", "data.mix.share=0.25"]

    task = read_task(compose(["model=tiny", "evaluate.general=none", *data, *mixed]))

    assert any(row.id.startswith("mix/") for row in task.splits.train)
    assert task.scoring.labels is not None
    assert task.scoring.labels.names == ("no", "yes")
