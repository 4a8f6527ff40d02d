"""Which questions come on a blind sheet, in which order, and on which side each reply stands.

All of it is drawn from an example's id and sheet.seed. Ids on the sheet are numbers in the order drawn, after a
digest of what raters see and whose sheet it is, so that votes find their sheet again and nothing tells the sides.
"""

import re
from dataclasses import dataclass

from tune.config.digest import digest
from tune.config.sheet import SheetConfig
from tune.data.draw import lot
from tune.errors import EvaluationError
from tune.report.sheet.key import Key, Placed
from tune.track.sides_record import AskedRecord, SidesRecord

_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ud800-\udfff\ufffe\uffff]")
"""What HTML cannot hold or nobody can see: control characters but tab and newline, and half surrogates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One question as raters see it."""

    id: str
    question: str
    answer: str | None
    """The right one; None where it is not shown."""

    a: str
    b: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """What raters see."""

    digest: str
    """Of all items and of whose they are; eight hexadecimal digits."""

    items: tuple[Item, ...]


def draw_sheet(sides: SidesRecord, config: SheetConfig) -> tuple[Sheet, Key]:
    """Return a sheet of questions whose two replies differ, and what says which side was which.

    Identical replies need no rater: the key counts them as ties.

    Raises:
        EvaluationError: All replies are identical.
    """
    same = tuple(one.id for one in sides.asked if _is_same(one))
    drawn = sorted(
        (one for one in sides.asked if not _is_same(one)),
        key=lambda one: lot(one.id.encode(), seed=config.seed, purpose="sheet order"),
    )[: config.n]
    if not drawn:
        msg = (
            f"trial {sides.trial} and {sides.other} gave the same reply to all {len(sides.asked)} questions, so there "
            "is nothing to rate. Take another trial with sheet.trial=…"
        )
        raise EvaluationError(msg)
    is_left = [lot(one.id.encode(), seed=config.seed, purpose="sheet side") < 0.5 for one in drawn]  # noqa: PLR2004
    texts = [_texts(one, left, config) for one, left in zip(drawn, is_left, strict=True)]
    # Two trials may reply alike; whose sheet it is says nothing of who stands where.
    name = digest([texts, sides.study, sides.trial, sides.against, sides.form])[:8]
    ids = [f"s{name}-{number:0{len(str(len(drawn)))}d}" for number in range(1, len(drawn) + 1)]
    items = tuple(
        Item(id=one, question=question, answer=answer, a=a, b=b)
        for one, (question, answer, a, b) in zip(ids, texts, strict=True)
    )
    placed = {
        one: Placed(example=asked.id, trial="A" if left else "B")
        for one, asked, left in zip(ids, drawn, is_left, strict=True)
    }
    key = Key(
        sheet=name,
        study=sides.study,
        trial=sides.trial,
        against=sides.against,
        form=sides.form,
        split=sides.split,
        confidence=sides.confidence,
        seed=config.seed,
        n_all=len(sides.asked),
        same=same,
        items=placed,
    )
    return Sheet(digest=name, items=items), key


def _texts(asked: AskedRecord, is_left: bool, config: SheetConfig) -> tuple[str, str | None, str, str]:
    """Return question, right answer and the replies on sides A and B."""
    replies = (asked.reply, asked.other) if is_left else (asked.other, asked.reply)
    a, b = (shown(reply) for reply in replies)
    return shown(asked.question), shown(asked.answer) if config.show_answer else None, a, b


def _is_same(asked: AskedRecord) -> bool:
    return shown(asked.reply).strip() == shown(asked.other).strip()


def shown(text: str) -> str:
    """Return a text as a page and a table can hold it: newlines alike, what cannot be written as U+FFFD."""
    return _UNWRITABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
