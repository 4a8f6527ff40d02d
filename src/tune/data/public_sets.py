"""GSM8K and BANKING77 in their published files.

Sources: Cobbe et al. 2021, https://arxiv.org/abs/2110.14168; Casanueva et al. 2020, https://arxiv.org/abs/2003.04807.
"""

from pathlib import Path

from tune.data.rows import csv_rows, json_lines
from tune.errors import DataError
from tune.examples import Example, Message


def read_gsm8k(file: Path) -> list[Example]:
    """Return the word problems; the number after #### stands in extra["number"].

    Raises:
        DataError: A row lacks its question or a number after ####.
    """
    return [_problem(file, number, row) for number, row in json_lines(file)]


def read_banking77(file: Path) -> list[Example]:
    """Return the customers' questions; the answer is the intent in words, without underscores.

    Raises:
        DataError: A row has no text or no category.
    """
    examples = []
    for number, row in csv_rows(file, ("text", "category")):
        if not row["text"].strip() or not row["category"].strip():
            msg = f"{file} line {number} has no text or no category. Complete or remove the row."
            raise DataError(msg)
        answer = row["category"].replace("_", " ")
        examples.append(
            Example(id=f"{file.stem}/{number}", messages=(Message(role="user", content=row["text"]),), answer=answer)
        )
    return examples


def _problem(file: Path, number: int, row: dict[str, object]) -> Example:
    question, answer = row.get("question"), row.get("answer")
    if not isinstance(question, str) or not isinstance(answer, str) or "####" not in answer:
        msg = f"{file} line {number} needs a question, and an answer that ends in #### and a number. Mend or remove it."
        raise DataError(msg)
    right = answer.rsplit("####", 1)[1].strip().replace(",", "")
    return Example(
        id=f"{file.stem}/{number}",
        messages=(Message(role="user", content=question),),
        answer=answer,
        extra={"number": right},
    )
