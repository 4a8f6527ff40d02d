"""A blind sheet as one HTML page that needs no network and runs no script but its own.

Texts of models are escaped into the page and never touched by the script as HTML. The page's security policy allows
the one script and the one style sheet by their hashes, and nothing else: a reply that got out of its place could run
nothing and send nothing.
"""

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template

from tune.report.sheet.draw import Item, Sheet

_HERE = Path(__file__).parent


def page(sheet: Sheet) -> str:
    """Return the page."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    template = Template((_HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        digest=escape(sheet.digest),
        items="\n".join(_item(item, n, len(sheet.items)) for n, item in enumerate(sheet.items, start=1)),
        n=len(sheet.items),
        script=script,
        script_hash=_hash(script),
        style=style,
        style_hash=_hash(style),
    )


def _item(item: Item, number: int, n: int) -> str:
    answer = "" if item.answer is None else _text("Right answer", item.answer, "answer")
    return (
        f'<article class="item" data-id="{escape(item.id)}" aria-label="Question {number} of {n}">\n'
        f"{_text(f'Question {number} of {n}', item.question, 'question')}{answer}"
        f'<div class="pair">\n{_text("Reply A", item.a, "reply")}{_text("Reply B", item.b, "reply")}</div>\n</article>'
    )


def _text(head: str, text: str, kind: str) -> str:
    """Return a titled box; `dir` and the style let each line run as its own script does."""
    inner = escape(text) if text.strip() else '<span class="none">(empty)</span>'
    return f'<section class="{kind}"><h2>{head}</h2><div class="text" dir="auto">{inner}</div></section>\n'


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
