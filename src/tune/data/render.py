"""A chat written out by a chat template; what the template refuses is one paragraph with the row's id.

Templates come with models and from users, so they are not trusted. What keeps them in is transformers' own sandbox,
jinja2's ImmutableSandboxedEnvironment without a loader, fed with plain texts: a template reaches no file, no import
and no attribute of Python's internals, and its `range` ends at 100,000. Nothing limits loops inside loops: a template
written to run for ever does.
"""

from typing import Any

from tune.errors import DataError
from tune.examples import Example

Chat = list[dict[str, str]]


def chat_of(example: Example) -> Chat:
    """Return all turns, the answer last, as templates take them."""
    turns = [{"role": message.role, "content": message.content} for message in example.messages]
    return [*turns, {"role": "assistant", "content": example.answer}]


def render(tokenizer: Any, example: Example, chat: Chat, *, ask: bool = False) -> str:
    """Return the text of the first turns of an example.

    Args:
        tokenizer: With its chat template set; the template is compiled once and kept by transformers.
        example: For its id.
        chat: The turns.
        ask: End with what an answer starts after.

    Raises:
        DataError: The template refuses the turns.
    """
    try:
        return str(tokenizer.apply_chat_template(chat, add_generation_prompt=ask, tokenize=False))
    except faults() as error:
        raise _refused(example, error) from error


def render_marked(tokenizer: Any, example: Example) -> list[tuple[int, int]]:
    """Return from where up to where, in characters, each `{% generation %}` block of an example reaches.

    Raises:
        DataError: The template refuses the turns.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        _, spans = render_jinja_template(
            conversations=[chat_of(example)],
            chat_template=tokenizer.get_chat_template(),
            return_assistant_tokens_mask=True,
            **tokenizer.special_tokens_map,
        )
    except faults() as error:
        raise _refused(example, error) from error
    found: list[tuple[int, int]] = spans[0]
    return found


def faults() -> tuple[type[Exception], ...]:
    """Return what a template can raise: its own words, or an operation that its values do not allow."""
    from jinja2 import TemplateError

    return TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError


def _refused(example: Example, error: Exception) -> DataError:
    roles = ", ".join(message.role for message in example.messages)
    words = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"example {example.id}: the chat template refuses a chat of the turns {roles}, assistant: {words.rstrip('.')}. "
        "Mend or remove the row, take data.system away where it adds the system message, or choose another template "
        "with data.template."
    )
