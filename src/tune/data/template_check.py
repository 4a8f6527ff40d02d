"""Whether a chat template fits its tokenizer, seen from rendered chats before anything is trained.

Ends of an answer are the tokenizer's end token and whatever special token the template writes last in an answer
(`<|eot_id|>`, `<end_of_turn>`, `<|im_end|>` of a base whose end token is another). Generation must stop at all of them:
a model that learns to end its turns with a token at which nobody stops talks on to the length limit.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tune.config.data import Learn
from tune.data.mask import Tokens, tokenize
from tune.data.render import chat_of, render
from tune.data.template import adds_bos, foreign_marks, other_family
from tune.errors import DataError
from tune.examples import Example, Message

N_ROWS = 8
"""Rows of the data set that are looked at, besides the chats made here."""


def _probe(name: str, *roles: str) -> Example:
    messages = tuple(Message(role=role, content="word") for role in roles)
    return Example(id=f"({name})", messages=messages, answer="word")


_SINGLE = _probe("a question and its answer", "user")
_SYSTEM = _probe("a system message, a question and its answer", "system", "user")
_SEVERAL = _probe("two questions and their answers", "user", "assistant", "user")


def check_template(tokenizer: Any, examples: Sequence[Example], learn: Learn = Learn.all) -> None:
    """Refuse a template that the model would learn something wrong from.

    Rendered are small chats of the kinds that the data set has (a system message, several turns) and its first N_ROWS
    examples: a template may forbid or spoil what no row has.

    Args:
        tokenizer: With its chat template set by apply_template.
        examples: The data set.
        learn: Which turns are learned.

    Raises:
        DataError: BOS is missing or there twice, an answer does not end with a token at which generation stops, that
            token is not learned, or the template cannot write a row.
    """
    _check_bos(tokenizer, tokenize(tokenizer, _SINGLE, learn))
    ends = end_ids(tokenizer)
    for example in (_SINGLE, *examples[:N_ROWS], *_kinds(examples)):
        tokens = tokenize(tokenizer, example, learn)
        _check_first(tokenizer, example, tokens)
        _check_ends(tokenizer, example, tokens, ends)


def end_ids(tokenizer: Any) -> tuple[int, ...]:
    """Return the ids at which generation has to stop: the tokenizer's end token and the template's end of an answer."""
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = tokenize(tokenizer, _SINGLE, Learn.last).ids.tolist()
    # From the back: some templates have special tokens inside an answer, and Phi-3 has two at its end.
    closing = itertools.takewhile(lambda number: number in special or _is_blank(tokenizer, number), reversed(ids))
    stops = {number for number in closing if number in special} | {tokenizer.eos_token_id}
    return tuple(sorted(number for number in stops if number is not None))


def _kinds(examples: Sequence[Example]) -> Iterator[Example]:
    """Yield a small chat of each kind that the examples have; the examples themselves tell first what is forbidden."""
    roles = {message.role for example in examples for message in example.messages}
    if "system" in roles:
        yield _SYSTEM
    if "assistant" in roles:
        yield _SEVERAL


def _check_bos(tokenizer: Any, tokens: Tokens) -> None:
    ids, bos = tokens.ids.tolist(), tokenizer.bos_token_id
    _check_first(tokenizer, _SINGLE, tokens)
    if adds_bos(tokenizer) and ids.count(bos) != 1:
        msg = (
            f"the chat template writes {tokenizer.bos_token} {ids.count(bos)} times in {_SINGLE.id}; this model was "
            "trained with one, at the beginning. Take the others out of the template, and name the file as "
            "data.template."
        )
        raise DataError(msg)


def _check_first(tokenizer: Any, example: Example, tokens: Tokens) -> None:
    bos, first = tokenizer.bos_token_id, tokens.ids[:2].tolist()
    if adds_bos(tokenizer) and first[:1] != [bos]:
        msg = (
            f"example {example.id}: the chat template does not begin with {tokenizer.bos_token}, which this model has "
            "seen at the beginning of every text. Begin the template with {{ bos_token }}, and name the file as "
            "data.template."
        )
        raise DataError(msg)
    if bos is not None and first == [bos, bos]:
        msg = (
            f"example {example.id} begins with {tokenizer.bos_token} twice. Take one out of the chat template or of "
            "the row's text."
        )
        raise DataError(msg)


def _check_ends(tokenizer: Any, example: Example, tokens: Tokens, ends: Sequence[int]) -> None:
    """Check that each learned run ends with an end token, white space left aside."""
    edges = np.flatnonzero(np.diff(tokens.learned, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2).tolist():
        run = tokens.ids[start:end].tolist()
        while run and _is_blank(tokenizer, run[-1]):
            run.pop()
        if not run or run[-1] not in ends:
            raise _no_end(tokenizer, example, tokens.ids[end:].tolist(), ends)


def _is_blank(tokenizer: Any, number: int) -> bool:
    return not tokenizer.decode([number]).strip()


def _no_end(tokenizer: Any, example: Example, following: list[int], ends: Sequence[int]) -> DataError:
    """Return what is wrong: the end is there but not learned, the template is another family's, or there is none."""
    where = f"example {example.id}: an answer"
    if following[:1] and following[0] in ends:
        return DataError(
            f"{where} ends with {tokenizer.decode(following[:1])}, which is not learned, so the model would never "
            "learn to stop. Put {% endgeneration %} behind it in the template, and name the file as data.template."
        )
    foreign = foreign_marks(tokenizer, render(tokenizer, _SINGLE, chat_of(_SINGLE)))
    if foreign:
        return other_family(tokenizer, "the chat template", foreign)
    token = tokenizer.eos_token or "an end token, of which the tokenizer has none"
    earlier = ", or set data.learn=last if it is only an earlier answer" if following else ""
    return DataError(
        f"{where} does not end with {token} or another special token, so the model would never learn to stop. Write "
        "{{ eos_token }} behind what the assistant says, and name the file as data.template, or choose another "
        f"template{earlier}."
    )
