"""Token ids of a chat, and which of them the loss is taken on.

Learned is what the model has to write by itself: from where a template lets an answer begin (its generation
prompt) to where it ends the turn, the end token and the line break after it included. So each learned token is
trained behind exactly the tokens that generation will start from.

Templates seldom say where that is. Without `{% generation %}` markers each learned turn is rendered twice more, as
a question alone and as the chat's end, and its tokens are those that the second has beyond the first. That holds only
while a template appends and never rewrites, which is checked turn by turn. Where there are markers, their author
decides.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
    marked = _MARKER.search(tokenizer.get_chat_template()) is not None
    if marked and not tokenizer.is_fast:
        msg = (
            "the chat template has {% generation %} markers, but this tokenizer is a slow one and does not say where "
            "its tokens stand in the text. Take the markers out of the template, and name the file as data.template."
        )
        raise DataError(msg)
    mask = _by_markers if marked else _by_prefixes
    waiting = iter(examples)
    while batch := list(itertools.islice(waiting, _AT_ONCE)):
        yield from mask(tokenizer, batch, learn)


def prompt_ids(tokenizer: Any, example: Example) -> list[int]:
    """Return (T,) the token ids of the question, ending where the answer starts."""
    text = render(tokenizer, example, chat_of(example)[:-1], ask=True)
    return _encode(tokenizer, [text])[0]


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
    texts: list[
        list[tuple[str, str]]
    ] = []  # for each example, for each learned turn: (question alone, turn at the end)
    for example in examples:
        chat = chat_of(example)
        turns = [place for place, turn in enumerate(chat) if turn["role"] == "assistant"]
        chosen = turns if learn is Learn.all else turns[-1:]
        _refuse_unasked(example, chosen[0])
        texts.append(
            [
                (render(tokenizer, example, chat[:place], ask=True), render(tokenizer, example, chat[: place + 1]))
                for place in chosen
            ]
        )
    encoded = iter(_encode(tokenizer, [text for pairs in texts for pair in pairs for text in pair]))
    for example, pairs in zip(examples, texts, strict=True):
        spans = [(next(encoded), next(encoded)) for _ in pairs]
        whole = spans[-1][1]
        learned = np.zeros(len(whole), dtype=np.bool_)
        for (prompt, turn), written in zip(spans, pairs, strict=True):
            end = _shared(turn, whole)
            _refuse_other_prompt(example, prompt, whole, written, last=turn is whole)
            if end <= len(prompt) or tokenizer.decode(turn[end:], skip_special_tokens=True).strip():
                raise _rewritten(example)
            learned[len(prompt) : end] = True
        yield _tokens(example, whole, learned, n_prompt=len(spans[-1][0]))


def _by_markers(tokenizer: Any, examples: Sequence[Example], learn: Learn) -> Iterator[Tokens]:
    prompts = [render(tokenizer, example, chat_of(example)[:-1], ask=True) for example in examples]
    marked = [render_marked(tokenizer, example) for example in examples]
    asked = _encode(tokenizer, prompts)
    out = tokenizer([text for text, _ in marked], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    for place, example in enumerate(examples):
        text, spans = marked[place]
        ids, prompt = out["input_ids"][place], asked[place]
        _refuse_other_prompt(example, prompt, ids, (prompts[place], text), last=True)
        where = np.array(out["offset_mapping"][place]).reshape(-1, 2)  # (T, 2) first character and end of each token
        learned = np.zeros(len(ids), dtype=np.bool_)
        for start, end in spans:
            learned |= (where[:, 0] < end) & (where[:, 1] > start)
        if learn is Learn.last:
            learned[: len(prompt)] = False
        yield _tokens(example, ids, learned, n_prompt=len(prompt))


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    out = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
    ids: list[list[int]] = out["input_ids"]
    return ids


def _shared(turn: list[int], whole: list[int]) -> int:
    """Return how many ids the two have in common from the start.

    A turn may be longer by what its template puts at the end of a chat alone (Phi-3: the end token), or have line
    breaks that are one token with what follows.
    """
    if turn == whole[: len(turn)]:
        return len(turn)
    return next(
        place for place, (one, other) in enumerate(zip([*turn, -1], [*whole, -2], strict=False)) if one != other
    )


def _tokens(example: Example, ids: list[int], learned: NDArray[np.bool_], *, n_prompt: int) -> Tokens:
    if learned.all() or not learned.any():
        msg = (
            f"example {example.id}: {'every' if learned.any() else 'no'} token would be learned, so the chat template "
            "does not tell answers from questions. Put {% generation %} markers around what the assistant writes, its "
            "end token included, and name the file as data.template."
        )
        raise DataError(msg)
    return Tokens(ids=np.array(ids, dtype=np.int32), learned=learned, n_prompt=n_prompt)


def _refuse_unasked(example: Example, first: int) -> None:
    if first == 0:
        msg = (
            f"example {example.id} begins with the assistant's turn, which answers nothing, so it cannot be learned. "
            "Remove that turn, or set data.learn=last."
        )
        raise DataError(msg)


def _refuse_other_prompt(
    example: Example, prompt: list[int], whole: list[int], written: tuple[str, str], *, last: bool
) -> None:
    """Refuse a turn that would be learned behind other tokens than generation starts from."""
    question, answered = written
    if whole[: len(prompt)] == prompt and len(whole) > len(prompt):
        return
    if not last and not answered.startswith(question):
        raise _rewritten(example)
    if answered.startswith(question) and len(answered) > len(question):
        msg = (
            f"example {example.id}: an answer begins with {answered[len(question) :][:10]!r}, which the tokenizer "
            "joins to the end of the question, so it cannot be said which tokens are the answer's. "
            "Take the white space off the beginning of the answer (or of what the template writes before it), or "
            "remove the row."
        )
        raise DataError(msg)
    msg = (
        f"example {example.id}: the chat template writes the question differently when the answer follows, "
        "so it cannot be said which tokens are the answer's. Use a model or a template that appends the answer."
    )
    raise DataError(msg)


def _rewritten(example: Example) -> DataError:
    return DataError(
        f"example {example.id}: the chat template writes an earlier answer differently once the chat goes on (as "
        "templates do that drop the reasoning of earlier turns), so that answer would be learned in a form that is "
        "never generated. Set data.learn=last, or name a template with {% generation %} markers as data.template."
    )
