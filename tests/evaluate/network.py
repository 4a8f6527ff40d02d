"""A network of random weights over 32 words that are numbers; 0 pads, 1 ends."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def network() -> LlamaForCausalLM:
    torch.manual_seed(3)
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        initializer_range=0.3, bos_token_id=2, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()
