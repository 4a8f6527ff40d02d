"""lm-eval's own `hf` model around a live one, which stays as it is.

Two things of lm-eval are gone around: the compiling of a prompt template for every question (70 s for MMLU with five
shots), and its hold on the model, which it would switch to eval mode and leave there.
"""

import copy
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def open_reader(model: Any, tokenizer: Any, batch_size: int) -> Any:
    """Return lm-eval's `hf` model around a live one.

    Args:
        model: A causal language model of transformers, quantized or not, or a PEFT model around one.
        tokenizer: Its tokenizer; where it has no padding token, a copy of it is given one.
        batch_size: Sequences in one pass.
    """
    from lm_eval.models.huggingface import HFLM

    if tokenizer.pad_token_id is None:
        tokenizer = copy.deepcopy(tokenizer)  # HFLM would set a padding token on the caller's
    # Log-softmax in bfloat16 keeps three digits, so choices tie; in float32 nothing changes.
    return HFLM(pretrained=_View(model), tokenizer=tokenizer, batch_size=batch_size, softmax_dtype="float32")


class _View:
    """What lm-eval may see of a model: where it is, how it is configured, its logits and what it writes.

    It is no torch module, so lm-eval neither changes its mode nor ties its weights again.
    """

    def __init__(self, model: Any) -> None:
        self.device = model.device
        self.config = model.config
        self._model = model

    def __call__(self, token_ids: Any) -> Any:
        """Return the model's output for a batch of tokens, (B, T), padded on the right: logits are (B, T, V)."""
        return self._model(token_ids, use_cache=False)

    def generate(self, *, input_ids: Any, max_length: int, **settings: Any) -> Any:
        """Return prompts and replies, (B, T + new); virtual tokens before a prompt take nothing from its reply."""
        return self._model.generate(input_ids=input_ids, max_new_tokens=max_length - input_ids.shape[1], **settings)


class Progress:
    """Hears from lm-eval after each request, in the place of its cache of answers."""

    def __init__(self, n_items: int, *, requests_each: int, report: Callable[[int, int], None] | None) -> None:
        """Report items done and items in all, where each item takes so many requests."""
        self._n_items = n_items
        self._requests_each = requests_each
        self._report = report
        self._n_answers = 0

    def add_partial(self, _kind: str, _request: Any, _answer: Any) -> None:
        """Count one more answer, and report when that makes an item."""
        self._n_answers += 1
        done, rest = divmod(self._n_answers, self._requests_each)
        if self._report and not rest:
            self._report(done, self._n_items)


def cut_requests(reader: Any, requests: Sequence[Any]) -> list[int]:
    """Return the places of those that lm-eval cuts on the left to fit the model's context."""
    most = reader.max_length + 1  # the last token is only predicted, never read
    cut = []
    for place, request in enumerate(requests):
        text = "".join(request.args)
        # A token has at least a byte, save for a few special ones: short texts need no second look.
        if len(text.encode()) + 8 > most and len(reader.tok_encode(text)) > most:
            cut.append(place)
    return cut


def longest_text(tokenizer: Any, texts: set[str]) -> int:
    """Return the most tokens that one of the texts has."""
    longest = 0
    for text in sorted(texts, key=lambda text: -len(text.encode())):
        if len(text.encode()) + 8 <= longest:  # a token has at least a byte, save for a few special ones
            break
        longest = max(longest, len(tokenizer(text).input_ids))
    return longest


@contextmanager
def quiet() -> Iterator[None]:
    """Keep lm-eval from warning of a live model and local rows, once a subject."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def no_bars() -> Iterator[None]:
    """Keep datasets from drawing bars into what a person reads; who calls says what is read."""
    import datasets

    were_off = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not were_off:
            datasets.enable_progress_bars()


@contextmanager
def templates_compiled_once() -> Iterator[None]:
    """Make lm-eval's template environment remember what it compiled.

    It compiles the same few templates for every question and shot: 4.9 ms a question with five shots, else 0.1.
    """
    from lm_eval.utils import env

    env.from_string = functools.cache(env.from_string)
    try:
        yield
    finally:
        del env.from_string  # the method of the class is there again


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Switch dropout off, and afterwards give each module the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
