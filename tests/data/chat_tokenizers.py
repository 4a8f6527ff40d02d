"""Tokenizers small enough to work out by hand, with the marks of the families, and the families' own templates."""

import importlib.util
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tune.examples import Example, Message

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

CHATML_MARKS = ("<|im_start|>", "<|im_end|>")
LLAMA_MARKS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")

CHAT = Example(
    id="chat",
    messages=(
        Message(role="system", content="S"),
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
        Message(role="user", content="c"),
    ),
    answer="d",
)
"""Two questions behind a system message."""


def by_character(*marks: str, end: str, begin: str | None = None, template: str | None = None) -> Any:
    """One token a character, and the marks; puts `begin` before every text by itself."""
    words = [*marks, *map(chr, range(10, 127))]
    inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    return _finished(inner, marks, end=end, begin=begin, template=template)


def by_pieces(*marks: str, end: str, begin: str | None = None, template: str | None = None) -> Any:
    """Byte-level BPE that splits texts as Llama 3 and Qwen do: line breaks in a row are one token."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_line_breaks(), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300 + len(marks),
        special_tokens=list(marks),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["word\n\nword\n\nanswer answer", "\n\n\n"] * 3, trainer)
    return _finished(inner, marks, end=end, begin=begin, template=template)


def published(name: str) -> str:
    """A family's own template, as TRL carries it."""
    found = importlib.util.find_spec("trl")
    assert found is not None
    assert found.origin is not None
    return (Path(found.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def _line_breaks() -> Any:
    from tokenizers import Regex

    return Regex(r"\s*[\r\n]+|\s?[^\s]+|\s+")


def _finished(inner: Tokenizer, marks: tuple[str, ...], *, end: str, begin: str | None, template: str | None) -> Any:
    if begin:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, marks.index(begin))]
        )
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=end, pad_token=end, bos_token=begin)
    made.add_special_tokens({"additional_special_tokens": [mark for mark in marks if mark not in (end, begin)]})
    made.chat_template = template
    return made
