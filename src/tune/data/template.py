"""Which chat template a tokenizer writes with: the model's own, one that comes with tune, or a file of the user's.

A template of another model family still renders, but its marks (`<|im_start|>`, `[INST]`) fall apart into ordinary
tokens that the model has never seen as marks. So a template is taken only if its marks are single tokens here, or are
written as plain text by the model's own template too (Zephyr and Llama 2 do that).
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from tune.data.render import faults
from tune.errors import DataError, nearest

_FOLDER = Path(__file__).parent / "templates"

BUILT_IN = ("chatml", "llama3", "alpaca", "plain")
"""Files in templates/; each begins with _BOS_LINE."""

_BOS_LINE = "{{ bos_token -}}\n"

_SUFFIXES = (".jinja", ".jinja2", ".txt")

# What marks turns and ends of texts in the known families: <|im_start|> (DeepSeek: with the full-width bar, U+FF5C),
# <|turn>, <start_of_turn>, </s>, [INST], <<SYS>>. Not <think> or <tools>, which several families write as plain text.
_MARK = re.compile(
    r"<[|\uff5c][^<>|\uff5c\s]{1,40}[|\uff5c]?>|<[a-z]+\|>|<(?:start|end|begin)_of_[a-z_]+>|</?(?:s|bos|eos)>"
    r"|\[/?[A-Z][A-Z_]{2,}\]|<</?[A-Z]{3,}>>"
)

_PROBE = [{"role": role, "content": "word"} for role in ("user", "assistant", "user", "assistant")]


def apply_template(tokenizer: Any, template: str | None) -> None:
    """Set the tokenizer's chat template, so that training, generation and perplexity all write with it.

    Args:
        tokenizer: Of the base; changed in place.
        template: A name of BUILT_IN, a file (.jinja, .jinja2, .txt), or None for the model's own.

    Raises:
        DataError: There is no such template, it is broken, or it is another model family's.
    """
    if template is None:
        tokenizer.chat_template = _own(tokenizer)
        return
    text, name = _read(tokenizer, template), f"data.template={template}"
    own = tokenizer.chat_template
    foreign = [mark for mark in foreign_marks(tokenizer, rendered(tokenizer, text, name)) if mark not in str(own)]
    if foreign:
        raise other_family(tokenizer, name, foreign)
    tokenizer.chat_template = text


def template_digest(template: str | None) -> str | None:
    """Return what tells a template from others: the SHA-256 of its file, or None for the model's own.

    One that cannot be read is known by its name; apply_template says what is wrong with it.
    """
    if template is None:
        return None
    try:
        return hashlib.sha256(_file(template).read_bytes()).hexdigest()
    except (OSError, ValueError, RuntimeError):
        return template


def foreign_marks(tokenizer: Any, text: str) -> list[str]:
    """Return what looks like a mark of a chat template in a text but is not one token, in the order of appearance."""
    return [mark for mark in dict.fromkeys(_MARK.findall(text)) if not _is_one_token(tokenizer, mark)]


def fitting(tokenizer: Any) -> list[str]:
    """Return the built-in templates whose marks are tokens of this tokenizer, and that can end an answer."""
    texts = {name: _built_in(tokenizer, name) for name in BUILT_IN}
    return [
        name
        for name, text in texts.items()
        if not foreign_marks(tokenizer, rendered(tokenizer, text, name))
        and (tokenizer.eos_token or "eos_token" not in text)
    ]


def other_family(tokenizer: Any, name: str, foreign: list[str]) -> DataError:
    """Return the refusal of a template that writes marks which are no tokens here."""
    return DataError(
        f"{name} is a template of another model family: it writes {_listed(foreign)}, which "
        f"{'is no token' if len(foreign) == 1 else 'are no tokens'} of this model and would fall apart into ordinary "
        f"ones. {_choices(tokenizer)}"
    )


def adds_bos(tokenizer: Any) -> bool:
    """Return whether the tokenizer puts its BOS token before a text by itself, as it did in pretraining."""
    return tokenizer.bos_token_id is not None and tokenizer("word")["input_ids"][:1] == [tokenizer.bos_token_id]


def rendered(tokenizer: Any, text: str, name: str) -> str:
    """Return a chat of four short turns, or of the first two where a template refuses more.

    Raises:
        DataError: The template has a syntax error, or refuses even a question and its answer.
    """
    from jinja2 import TemplateError, TemplateSyntaxError

    try:
        try:
            return str(tokenizer.apply_chat_template(_PROBE, chat_template=text, tokenize=False))
        except TemplateSyntaxError:
            raise
        except TemplateError:
            return str(tokenizer.apply_chat_template(_PROBE[:2], chat_template=text, tokenize=False))
    except TemplateSyntaxError as error:
        msg = f"{name} line {error.lineno} has a syntax error: {str(error.message).rstrip('.')}. Mend the template."
        raise DataError(msg) from error
    except faults() as error:
        words = " ".join(str(error).split())
        msg = f"{name} cannot write a question and its answer: {words.rstrip('.')}. Mend the template."
        raise DataError(msg) from error


def _own(tokenizer: Any) -> str:
    """Return the model's template as one text; some models have several by name."""
    if tokenizer.chat_template is None:
        msg = f"the model has no chat template of its own. {_choices(tokenizer)}"
        raise DataError(msg)
    try:
        own = str(tokenizer.get_chat_template())
    except ValueError as error:
        names = ", ".join(sorted(tokenizer.chat_template))
        msg = f"the model has several chat templates ({names}) and none is its default. {_choices(tokenizer)}"
        raise DataError(msg) from error
    rendered(tokenizer, own, "the model's own chat template")
    return own


def _choices(tokenizer: Any) -> str:
    names = [f"data.template={name}" for name in fitting(tokenizer)]
    if tokenizer.chat_template is not None:
        names = ["data.template=null (the model's own)", *names]
    return f"Choose {', '.join([*names, 'or name a template file of your own'])}."


def _read(tokenizer: Any, template: str) -> str:
    if template in BUILT_IN:
        return _built_in(tokenizer, template)
    if not template.endswith(_SUFFIXES) and Path(template).name == template:
        msg = (
            f"data.template={template} is no chat template that comes with tune. {nearest(template, BUILT_IN)} "
            f"A file of your own ends with {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}."
        )
        raise DataError(msg)
    try:
        return _file(template).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"data.template={template} is not UTF-8 from byte {error.start} on. Save the template as UTF-8."
        raise DataError(msg) from error
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a home folder that nobody has
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"data.template={template} cannot be read: {reason}. Name a readable file, or {_names()}."
        raise DataError(msg) from error


def _file(template: str) -> Path:
    return _FOLDER / f"{template}.jinja" if template in BUILT_IN else Path(template).expanduser()


def _built_in(tokenizer: Any, name: str) -> str:
    """Return the template; it writes BOS only where the tokenizer would."""
    text = _file(name).read_text(encoding="utf-8")
    assert text.startswith(_BOS_LINE)
    return text if adds_bos(tokenizer) else text.removeprefix(_BOS_LINE)


def _is_one_token(tokenizer: Any, mark: str) -> bool:
    number = tokenizer.convert_tokens_to_ids(mark)
    if number is None or (number == tokenizer.unk_token_id and mark != tokenizer.unk_token):
        return False
    return number in tokenizer(mark, add_special_tokens=False)["input_ids"]


def _names() -> str:
    return f"one of {', '.join(BUILT_IN)}"


def _listed(marks: list[str]) -> str:
    return " and ".join([", ".join(marks[:-1]), marks[-1]] if len(marks) > 1 else marks)
