"""A toy Llama that is built in a second and needs no network, for tests and first steps.

It knows nothing, but it has what a real model has: grouped attention, a chat template,
special tokens, and weights large enough that an adapter can learn something.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tune.model.progress import no_progress_bars

VERSION = 1
"""Rises when the same texts would give another model."""

N_TOKENS = 1000
MAX_LENGTH = 1024
START, END, PAD, UNKNOWN = "<|im_start|>", "<|im_end|>", "<|pad|>", "<|endoftext|>"

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": MAX_LENGTH,
    "tie_word_embeddings": False,
    # The usual 0.02 leaves logits within about 1 of each other, whatever the adapter does, since the head is frozen.
    "initializer_range": 0.2,
}

# ChatML; no system prompt that nobody asked for.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def folder_name(texts: Sequence[str]) -> str:
    """Return a name that differs whenever the model would."""
    recipe = json.dumps([VERSION, N_TOKENS, SHAPE, CHAT_TEMPLATE, list(texts)], sort_keys=True)
    return f"tiny-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build(folder: Path, texts: Sequence[str], *, announce: Callable[[str], None]) -> None:
    """Fill an empty folder with the toy; the same texts give the same bytes.

    Args:
        folder: Where it goes.
        texts: What the tokenizer's pieces are learned from.
        announce: Is told that it is built.
    """
    announce("Building the toy model tiny.")
    with no_progress_bars():
        tokenizer = _tokenizer(texts)
        tokenizer.save_pretrained(folder)
        _model(tokenizer).save_pretrained(folder)


def _tokenizer(texts: Sequence[str]) -> Any:
    """Return a byte-level BPE tokenizer: every text can be written, frequent ones in few pieces."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=N_TOKENS,
        special_tokens=[UNKNOWN, START, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        bos_token=None,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=[START],
        model_max_length=MAX_LENGTH,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _model(tokenizer: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SHAPE,
    )
    # The caller's random numbers are left as they were.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(VERSION)
        return LlamaForCausalLM(config)
