"""Token ids of a chat, and which of them the loss is taken on.

Learned is what the model has to write by itself: from where a template lets an answer begin (its generation
prompt) to where it ends the turn, the end token and the line break after it included. A question that a reply is
generated from has exactly the tokens that stand before the last answer in training.

Templates seldom say where answers stand. Without `{% generation %}` markers each learned turn is rendered twice more,
as a question alone and as the chat's end; its text is what the second has beyond the first, and its tokens are those
that stand there. That holds only while a template appends and never rewrites, which is checked turn by turn. Where
there are markers, their author decides.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.data import Learn
from tune.data.render import chat_of, render, render_marked
from tune.errors import DataError
from tune.examples import NO_LOSS, Example

_AT_ONCE = 1000
"""Examples encoded in one call: enough for every core, few enough to hold in memory."""

_MARKER = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Turn:
    """An answer among its surroundings, as text."""

    question: str
    """All before it, ending where the answer starts."""

    answered: str
    """The chat up to and with the answer."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tokens:
    """One example as the model sees it."""

    ids: NDArray[np.int32]
    """(T,) token ids of the whole chat."""

    learned: NDArray[np.bool_]
    """(T,) whether the loss is taken on a token."""

    n_prompt: int
    """Where the last answer starts: so many ids are given when a reply is generated."""

    @property
    def labels(self) -> list[int]:
        """Return (T,) the ids that are learned, and NO_LOSS elsewhere."""
        labels: list[int] = np.where(self.learned, self.ids, NO_LOSS).tolist()
        return labels


def tokenize(tokenizer: Any, example: Example, learn: Learn = Learn.all) -> Tokens:
    """Return one chat in the tokenizer's template; see tokenize_all."""
    return next(tokenize_all(tokenizer, [example], learn))


def tokenize_all(tokenizer: Any, examples: Iterable[Example], learn: Learn = Learn.all) -> Iterator[Tokens]:
    """Yield the chats in the tokenizer's template, in their order.

    Args:
        tokenizer: With its chat template set.
        examples: Chats and their answers.
        learn: Take the loss on every turn of the assistant, or on the last answer alone.

    Raises:
        DataError: A row that the template refuses or that cannot be masked, by its id.
    """
    mask = _by_markers if _MARKER.search(tokenizer.get_chat_template()) else _by_prefixes
    waiting = iter(examples)
    while batch := list(itertools.islice(waiting, _AT_ONCE)):
        yield from mask(tokenizer, batch, learn)


def pieces(tokenizer: Any, tokens: Tokens) -> list[tuple[str, bool]]:
    """Return the text in runs of learned and not learned, special tokens visible."""
    edges = [0, *(np.flatnonzero(np.diff(tokens.learned)) + 1).tolist(), len(tokens.ids)]
    # Decoded from the start each time: some tokenizers drop a space at the beginning of what they decode.
    ids = tokens.ids.tolist()
    texts = [tokenizer.decode(ids[:edge], clean_up_tokenization_spaces=False) for edge in edges]
    return [
        (after[len(before) :], bool(tokens.learned[start]))
        for start, (before, after) in zip(edges, itertools.pairwise(texts), strict=False)
    ]


def _by_prefixes(tokenizer: Any, examples: Sequence[Example], learn: Learn) -> Iterator[Tokens]:
    turns = [_turns(tokenizer, example, learn) for example in examples]
    asked = _encode(tokenizer, [rendered[-1].question for rendered in turns])
    ids, places = _encode_with_places(
        tokenizer, [rendered[-1].answered for rendered in turns], needed=any(len(rendered) > 1 for rendered in turns)
    )
    for row, example in enumerate(examples):
        *earlier, last = turns[row]
        n_prompt = len(asked[row])
        _refuse_other_prompt(example, asked[row], ids[row], last)
        learned = np.zeros(len(ids[row]), dtype=np.bool_)
        learned[n_prompt:] = True
        for turn in earlier:
            start, end = _span(tokenizer, example, turn, last.answered, np.array(places[row]))
            learned[start:end] = True
        yield _tokens(example, ids[row], learned, n_prompt=n_prompt)


def _by_markers(tokenizer: Any, examples: Sequence[Example], learn: Learn) -> Iterator[Tokens]:
    turns = [_turns(tokenizer, example, Learn.last)[-1] for example in examples]
    spans = [render_marked(tokenizer, example) for example in examples]
    asked = _encode(tokenizer, [turn.question for turn in turns])
    ids, places = _encode_with_places(tokenizer, [turn.answered for turn in turns], needed=True)
    for row, example in enumerate(examples):
        n_prompt = len(asked[row])
        _refuse_other_prompt(example, asked[row], ids[row], turns[row])
        where = np.array(places[row])
        learned = np.zeros(len(ids[row]), dtype=np.bool_)
        for start, end in spans[row]:
            learned |= (where[:, 0] < end) & (where[:, 1] > start)
        if learn is Learn.last:
            learned[:n_prompt] = False
        yield _tokens(example, ids[row], learned, n_prompt=n_prompt)


def _turns(tokenizer: Any, example: Example, learn: Learn) -> list[_Turn]:
    """Return the learned turns of the assistant; the last one's text is the whole chat's."""
    chat = chat_of(example)
    places = [place for place, turn in enumerate(chat) if turn["role"] == "assistant"]
    chosen = places if learn is Learn.all else places[-1:]
    if chosen[0] == 0:
        msg = (
            f"example {example.id} begins with the assistant's turn, which answers nothing, so it cannot be learned. "
            "Remove that turn, or set data.learn=last."
        )
        raise DataError(msg)
    return [
        _Turn(
            question=render(tokenizer, example, chat[:place], ask=True),
            answered=render(tokenizer, example, chat[: place + 1]),
        )
        for place in chosen
    ]


def _span(tokenizer: Any, example: Example, turn: _Turn, whole: str, where: NDArray[np.int64]) -> tuple[int, int]:
    """Return which tokens of the whole chat, from and up to, are an earlier answer's.

    A turn may be longer at the end of a chat: Phi-3 puts its end token there. A line break that is one token with what
    follows is not the turn's.
    """
    if not whole.startswith(turn.question):
        raise _rewritten(example)
    shared = len(commonprefix([turn.answered, whole]))  # noqa: RUF071 - texts, not paths
    start, end = (int((where[:, 1] <= length).sum()) for length in (len(turn.question), shared))
    if start < len(where) and where[start, 0] < len(turn.question):
        raise _joined(example, turn)
    missing = turn.answered[where[end - 1, 1] :]
    if end <= start or (shared < len(turn.answered) and not _is_closing(tokenizer, missing)):
        raise _rewritten(example)
    return start, end


def _is_closing(tokenizer: Any, text: str) -> bool:
    """Return whether a text is special tokens and white space alone."""
    return not tokenizer.decode(_encode(tokenizer, [text])[0], skip_special_tokens=True).strip()


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    out = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
    ids: list[list[int]] = out["input_ids"]
    return ids


def _encode_with_places(
    tokenizer: Any, texts: list[str], *, needed: bool
) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
    """Return ids, and where needed the first character and the end of each token."""
    if not needed:
        return _encode(tokenizer, texts), []
    if not tokenizer.is_fast:
        msg = (
            "this tokenizer is a slow one, which does not say where its tokens stand in the text, so earlier answers "
            "and {% generation %} markers cannot be found among them. Set data.learn=last, with a template without "
            "markers."
        )
        raise DataError(msg)
    out = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, return_offsets_mapping=True, verbose=False
    )
    return out["input_ids"], out["offset_mapping"]


def _tokens(example: Example, ids: list[int], learned: NDArray[np.bool_], *, n_prompt: int) -> Tokens:
    if learned.all() or not learned.any():
        msg = (
            f"example {example.id}: {'every' if learned.any() else 'no'} token would be learned, so the chat template "
            "does not tell answers from questions. Put {% generation %} markers around what the assistant writes, its "
            "end token included, and name the file as data.template."
        )
        raise DataError(msg)
    return Tokens(ids=np.array(ids, dtype=np.int32), learned=learned, n_prompt=n_prompt)


def _refuse_other_prompt(example: Example, prompt: list[int], whole: list[int], turn: _Turn) -> None:
    """Refuse an answer that would be learned behind other tokens than generation starts from."""
    if whole[: len(prompt)] == prompt and len(whole) > len(prompt):
        return
    if turn.answered.startswith(turn.question) and len(turn.answered) > len(turn.question):
        raise _joined(example, turn)
    msg = (
        f"example {example.id}: the chat template writes the question differently when the answer follows, "
        "so it cannot be said which tokens are the answer's. Use a model or a template that appends the answer."
    )
    raise DataError(msg)


def _joined(example: Example, turn: _Turn) -> DataError:
    beginning = turn.answered[len(turn.question) :][:10]
    return DataError(
        f"example {example.id}: an answer begins with {beginning!r}, which the tokenizer joins to the end of the "
        "question, so it cannot be said which tokens are the answer's. Take the white space off the beginning of the "
        "answer (or of what the template writes before it), or remove the row."
    )


def _rewritten(example: Example) -> DataError:
    return DataError(
        f"example {example.id}: the chat template writes an earlier answer differently once the chat goes on (as "
        "templates do that drop the reasoning of earlier turns), so that answer would be learned in a form that is "
        "never generated. Set data.learn=last, or name a template with {% generation %} markers as data.template."
    )
