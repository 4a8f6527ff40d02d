"""What makes a single row unfit; each check returns why, or an empty text for a row that is fit."""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator

from tune.config.data import CleanRowsConfig, Script
from tune.data.words import fold, words
from tune.examples import Example, Message

Check = Callable[[Example], str]

_REPEATED_WORDS = 5
"""An answer may begin with a question that is shorter: "Yes?" - "Yes? That depends." """

# C0 without tab, newline and carriage return; delete and C1; halves of surrogate pairs; the replacement character;
# what Unicode calls noncharacters. Joiners and direction marks are not here: Arabic, Hindi and emoji need them.
_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffd-\uffff]")
_BROKEN_BEYOND = re.compile(
    "[" + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17)) + "]"
)
_BROKEN_ASCII = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

# <|im_start|>, <|eot_id|>, <|user|>; DeepSeek's with the full-width bar, U+FF5C; Gemma's; Llama 2's and Mistral's.
_CHAT_MARK = re.compile(
    "<[|\uff5c][A-Za-z\u2581][A-Za-z0-9_\u2581]{1,40}[|\uff5c]>|<(?:start|end)_of_turn>|\\[/?INST\\]|<</?SYS>>"
)

_SCRIPTS = {
    Script.cjk: ("CJK",),
    Script.hiragana: ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "CJK"),  # Japanese is written in all of them
}


def checks(clean: CleanRowsConfig) -> list[tuple[str, str, Check]]:
    """Return (what it takes, its setting, the check) of each filter that is on, in their order."""
    least, most, script = clean.min_words, clean.max_words, clean.script
    counted: dict[int, int] = {}  # by object: both limits ask for the same rows, and counting is slow

    def count(row: Example) -> int:
        return counted[id(row)] if id(row) in counted else counted.setdefault(id(row), n_words(row))

    every: list[tuple[str, str, bool, Check]] = [
        ("broken text", "broken_text", clean.broken_text, broken_text),
        ("marks of a chat template", "chat_marks", clean.chat_marks, chat_mark),
        ("empty answers", "empty_answers", clean.empty_answers, empty_answer),
        ("too few words", "min_words", least is not None, lambda row: _too_few(count(row), least or 0)),
        ("too many words", "max_words", most is not None, lambda row: _too_many(count(row), most or 0)),
        ("another script", "script", script is not None, lambda row: other_script(script or Script.latin, row)),
        ("answers that repeat the prompt", "repeated_prompts", clean.repeated_prompts, repeated_prompt),
    ]
    return [(step, f"data.clean.{key}", check) for step, key, on, check in every if on]


def turns(row: Example) -> Iterator[Message]:
    """Yield every turn of a row, the answer last."""
    yield from row.messages
    yield Message(role="assistant", content=row.answer)


def broken_text(row: Example) -> str:
    """Look for characters that no text should have."""
    for turn in turns(row):
        found = _broken(turn.content)
        if found:
            return f"U+{ord(found[0]):04X} in a turn of the {turn.role}"
    return ""


def chat_mark(row: Example) -> str:
    """Look for what chat templates write between turns."""
    for turn in turns(row):
        if found := _CHAT_MARK.search(turn.content):
            return f"{found[0]} in a turn of the {turn.role}"
    return ""


def _broken(text: str) -> re.Match[str] | None:
    if text.isascii():
        return _BROKEN_ASCII.search(text)
    found = _BROKEN.search(text)
    return _BROKEN_BEYOND.search(text) if found is None and max(text) > "\uffff" else found


def empty_answer(row: Example) -> str:
    """Look for turns of the assistant that say nothing."""
    return "" if all(turn.content.strip() for turn in turns(row) if turn.role == "assistant") else "no words"


def n_words(row: Example) -> int:
    """Return the number of words of all turns but the system's."""
    return sum(len(words(fold(turn.content))) for turn in turns(row) if turn.role != "system")


def _too_few(count: int, least: int) -> str:
    return f"{count} words, data.clean.min_words={least}" if count < least else ""


def _too_many(count: int, most: int) -> str:
    return f"{count} words, data.clean.max_words={most}" if count > most else ""


def repeated_prompt(row: Example) -> str:
    """Look for turns of the assistant that say, or begin with, the turn before them."""
    asked = ""
    for turn in turns(row):
        if turn.role == "assistant" and asked:
            said = fold(turn.content)
            if said == asked:
                return "the answer is the question"
            if said.startswith(asked) and len(asked.split()) >= _REPEATED_WORDS and not said[len(asked)].isalnum():
                return "the answer begins with the question"
        asked = fold(turn.content) if turn.role == "user" else ""
    return ""


def other_script(script: Script, row: Example) -> str:
    """Count the letters of each script; a row without letters passes, for it has no wrong one."""
    text = "".join(turn.content for turn in turns(row) if turn.role != "system")
    if text.isascii():
        has_letters = any(map(str.isalpha, text))
        return "no letters of it" if has_letters and script is not Script.latin else ""
    names: Counter[str] = Counter()
    for letter, count in Counter(unicodedata.normalize("NFKC", text)).items():
        if letter.isalpha():
            names[_script(letter)] += count
    n_letters = sum(names.values())
    own = sum(names[name] for name in _SCRIPTS.get(script, (script.value.upper(),)))
    japanese_in_name_only = script is Script.hiragana and own == names["CJK"]
    if not n_letters or (2 * own >= n_letters and not japanese_in_name_only):
        return ""
    return f"{0 if japanese_in_name_only else own} of {n_letters} letters are {script.value}"


@functools.cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ", 1)[0]
