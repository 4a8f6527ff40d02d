"""GSM8K and BANKING77 in their published files.

Sources: Cobbe et al. 2021, https://arxiv.org/abs/2110.14168; Casanueva et al. 2020, https://arxiv.org/abs/2003.04807.
"""

from pathlib import Path

from tune.data.rows import Row, json_lines
from tune.data.tables import csv_rows
from tune.errors import DataError, nearest
from tune.examples import Example, Message


def read_gsm8k(file: Path) -> list[Example]:
    """Return the word problems; the number after #### stands in extra["number"].

    Raises:
        DataError: A row lacks its question or a number after ####.
    """
    return [_problem(file, row) for row in json_lines(file)]


def read_banking77(file: Path) -> list[Example]:
    """Return the customers' questions; the answer is the intent in words, without underscores, the label as it stands.

    Raises:
        DataError: A row has no text or no category.
    """
    return [_request(file, row) for row in csv_rows(file)]


def _problem(file: Path, row: Row) -> Example:
    question, answer = row.values.get("question"), row.values.get("answer")
    if not isinstance(question, str) or not isinstance(answer, str) or "####" not in answer:
        msg = f"{file} {row.place} needs a question, and an answer that ends in #### and a number. Mend or remove it."
        raise DataError(msg)
    right = answer.rsplit("####", 1)[1].strip().replace(",", "")
    return Example(
        id=f"{file.name}/{row.number}",
        messages=(Message(role="user", content=question),),
        answer=answer,
        extra={"number": right},
    )


def _request(file: Path, row: Row) -> Example:
    for column in ("text", "category"):
        if column not in row.values:
            msg = f"{file} has no column {column}. {nearest(column, row.values)} Rename the columns."
            raise DataError(msg)
    text, category = row.values["text"], row.values["category"]
    if not text.strip() or not category.strip():
        msg = f"{file} {row.place} has no text or no category. Complete or remove the row."
        raise DataError(msg)
    return Example(
        id=f"{file.name}/{row.number}",
        messages=(Message(role="user", content=text),),
        answer=category.replace("_", " "),
        label=category,
    )
