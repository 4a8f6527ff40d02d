"""Token ids of an example, and which of them the loss is taken on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tune.errors import DataError
from tune.examples import NO_LOSS, Example, Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """One example as the model sees it."""

    ids: tuple[int, ...]
    """(T,) token ids of question and answer."""

    n_prompt: int
    """How many of them are the question's; loss is taken on the rest."""

    @property
    def labels(self) -> list[int]:
        """Return (T,) the ids of the answer, and NO_LOSS before it."""
        return [NO_LOSS] * self.n_prompt + list(self.ids[self.n_prompt :])


def tokenize(tokenizer: Any, example: Example) -> Tokens:
    """Return the chat in the model's own template; the answer ends as the template ends a turn.

    Raises:
        DataError: The template renders the question otherwise once the answer follows, so no mask can be made.
    """
    prompt = prompt_ids(tokenizer, example)
    chat = [*_chat(example.messages), {"role": "assistant", "content": example.answer}]
    ids = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=True)["input_ids"]
    if ids[: len(prompt)] != prompt or len(ids) == len(prompt):
        msg = (
            f"example {example.id}: the chat template writes the question differently when the answer follows, "
            "so it cannot be said which tokens are the answer's. Use a model or a template that appends the answer."
        )
        raise DataError(msg)
    return Tokens(ids=tuple(ids), n_prompt=len(prompt))


def prompt_ids(tokenizer: Any, example: Example) -> list[int]:
    """Return (T,) the token ids of the question, ending where the answer starts."""
    rendered = tokenizer.apply_chat_template(
        _chat(example.messages), add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return list(rendered["input_ids"])


def _chat(messages: Iterable[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
