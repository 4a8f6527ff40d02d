"""Whether a chat template fits its tokenizer, seen from rendered chats before anything is trained.

Ends of an answer are the tokenizer's end token and whatever special token the template writes last in an answer
(`<|eot_id|>`, `<end_of_turn>`, `<|im_end|>` of a base whose end token is another). Generation must stop at all of them:
a model that learns to end its turns with a token at which nobody stops talks on to the length limit.
"""

import itertools
from collections.abc import Iterable, Iterator
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
_OTHERS = (
    _probe("a system message, a question and its answer", "system", "user"),
    _probe("two questions and their answers", "user", "assistant", "user"),
)


def check_template(tokenizer: Any, examples: Iterable[Example], learn: Learn = Learn.all) -> None:
    """Refuse a template that the model would learn something wrong from.

    Rendered are three small chats and the first N_ROWS examples. What the template forbids (a system message,
    several turns) is refused only where a row has it.

    Args:
        tokenizer: With its chat template set by apply_template.
        examples: The data set; its first rows are taken.
        learn: Which turns are learned.

    Raises:
        DataError: BOS is missing or there twice, an answer does not end with a token at which generation stops, that
            token is not learned, or the template cannot write a row.
    """
    single = tokenize(tokenizer, _SINGLE, learn)
    _check_bos(tokenizer, single)
    _check_ends(tokenizer, _SINGLE, single)
    for example in itertools.chain(_allowed(tokenizer, learn), itertools.islice(examples, N_ROWS)):
        tokens = tokenize(tokenizer, example, learn)
        _check_first(tokenizer, example, tokens)
        _check_ends(tokenizer, example, tokens)


def end_ids(tokenizer: Any) -> tuple[int, ...]:
    """Return the ids at which generation has to stop: the tokenizer's end token and the template's end of an answer."""
    tokens, ends = tokenize(tokenizer, _SINGLE, Learn.last), _ends(tokenizer)
    last = tokens.ids[tokens.n_prompt :].tolist()
    # From the back: some templates have special tokens inside an answer, and Phi-3 two at its end.
    closing = itertools.takewhile(lambda number: number in ends or _is_blank(tokenizer, number), reversed(last))
    stops = {number for number in closing if number in ends} | {tokenizer.eos_token_id}
    return tuple(sorted(number for number in stops if number is not None))


def _allowed(tokenizer: Any, learn: Learn) -> Iterator[Example]:
    for example in _OTHERS:
        try:
            tokenize(tokenizer, example, learn)
        except DataError:
            continue
        yield example


def _ends(tokenizer: Any) -> set[int]:
    """Return the special tokens that may end an answer."""
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    starts = {tokenizer.bos_token_id, tokenizer.unk_token_id}
    return {number for number in added - starts | {tokenizer.eos_token_id} if number is not None}


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


def _check_ends(tokenizer: Any, example: Example, tokens: Tokens) -> None:
    """Check that each learned run ends with an end token, white space left aside."""
    ends = _ends(tokenizer)
    edges = np.flatnonzero(np.diff(tokens.learned, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2).tolist():
        run = tokens.ids[start:end].tolist()
        while run and _is_blank(tokenizer, run[-1]):
            run.pop()
        if not run or run[-1] not in ends:
            raise _no_end(tokenizer, example, tokens, end)


def _is_blank(tokenizer: Any, number: int) -> bool:
    return not tokenizer.decode([number]).strip()


def _no_end(tokenizer: Any, example: Example, tokens: Tokens, end: int) -> DataError:
    """Return what is wrong: the end is there but not learned, the template is another family's, or there is none."""
    ends, following = _ends(tokenizer), tokens.ids[end : end + 1].tolist()
    if following and following[0] in ends:
        return DataError(
            f"example {example.id}: the token {tokenizer.decode(following)} that ends an answer is not learned, so the "
            "model would never learn to stop. Put {% endgeneration %} behind it in the template, and name the file as "
            "data.template."
        )
    foreign = foreign_marks(tokenizer, render(tokenizer, _SINGLE, chat_of(_SINGLE)))
    if foreign:
        return other_family(tokenizer, "the chat template", foreign)
    token = tokenizer.eos_token or "an end token, of which the tokenizer has none"
    return DataError(
        f"example {example.id}: an answer does not end with {token} or another special token, so the model would never "
        "learn to stop. Write {{ eos_token }} behind what the assistant says, and name the file as data.template, or "
        "choose another template."
    )
