"""A small network of random weights over 32 words that are numbers; 0 pads, 1 ends."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def llama(*, seed: int, width: int = 32, spread: float = 0.3) -> LlamaForCausalLM:
    """Return the network of a seed; one thread from then on, so that its numbers are always the same."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=32, hidden_size=width, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        initializer_range=spread, bos_token_id=2, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config)
