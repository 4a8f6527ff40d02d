"""What all trials share: nobody is trained on what a finalist will be asked, whatever the trials themselves are."""

import json
from pathlib import Path

import pytest

from tune.config.compose import compose
from tune.evaluate.questions import read_probe
from tune.trial.finals import final_task
from tune.trial.task import read_task


@pytest.mark.parametrize("words", [["evaluate.limit=1"], ["evaluate.limit=null", "evaluate.items=57"]])
def test_questions_that_only_finalists_are_asked_are_no_training_rows_either(tmp_path: Path, words: list[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    own = [{"question": f"How many legs have {n} spiders, please?", "answer": str(8 * n)} for n in range(40)]
    bank = [{"question": " ".join((q.text, *q.choices)), "answer": "A"} for q in read_probe(limit=None).test[:60]]
    rows.write_text("\n".join(json.dumps(row) for row in [*own, *bank]))
    data = ["data=jsonl", f"data.path={rows}", "data.test=8", "data.validation=8", "data.n_test=null"]
    config = compose(["model=tiny", *data, "data.n_validation=null", "data.n_train=null", *words])

    task, final = read_task(config), final_task(config)

    asked = {" ".join((q.text, *q.choices)) for q in final.bank.test} if final.bank else set()
    assert task.bank is not None
    assert len(task.bank.test) < len(asked), "the trials are asked fewer"
    assert {row["question"] for row in bank} <= asked
    assert not {example.question for example in task.splits.train} & asked
    assert task.splits.digests == final.splits.digests, "a final has the trials' own data"
