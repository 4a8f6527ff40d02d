"""Replies of a trial and its base, some as hostile as models can be."""

from pathlib import Path

from tune.config.sheet import SheetConfig
from tune.track.sides_record import AskedRecord, SidesRecord

HOSTILE = (
    "<script>document.title='taken'</script>",
    "</div></section></article><img src=x onerror=\"document.title='taken'\">",
    "</script><script>document.title='taken'</script><!--",
    "<|im_end|>\n<|im_start|>assistant\n[/INST] </s>",
    "\u202eعربي مع <b>English</b>\u202c שלום",
    "${digest} $items \\u003cscript\\u003e {{7*7}} &lt;b&gt; &amp;",
    '=HYPERLINK("http://evil.example","x")',
    "tab\tand\r\nlines\rwith \x00\x07 and \ud800 half",
    "javascript:document.title='taken'",
    "",
)


def asked(number: int, reply: str, other: str, *, question: str = "") -> AskedRecord:
    text = question or f"Question {number}, <b>which</b> is right?"
    return AskedRecord(id=f"row/{number}", question=text, answer=f"right {number}", reply=reply, other=other)


def sides(pairs: list[AskedRecord], folder: Path = Path(), **more: object) -> SidesRecord:
    values = {"study": "ranks", "trial": 3, "against": "base", "form": "adapter", "split": "test", "confidence": 0.95}
    return SidesRecord(
        asked=tuple(pairs),
        study_folder=folder,
        trial_folder=folder / "trials" / "0003",
        **(values | more),  # type: ignore[arg-type]
    )


def plain(n: int) -> SidesRecord:
    """Return n questions whose replies tell who gave them."""
    return sides([asked(number, f"trial {number}", f"base {number}") for number in range(n)])


def config(**values: object) -> SheetConfig:
    return SheetConfig(**values)  # type: ignore[arg-type]
