"""Virtual tokens before every text: prompt tuning learns their embeddings, prefix tuning their keys and values.

PEFT makes and saves them, and joins them to what the model reads. Left to itself it gives logits for virtual tokens of
prompt tuning, which whoever reads logits by the place of a token would take for the text's; and in a batch that is
padded on the left the distance to the virtual tokens grows with the padding. Hooks on the base mend both, so that
loss, generation and scoring need to know nothing of virtual tokens.
"""

import warnings
from typing import Any

from tune.config.method import Method
from tune.config.recipe import LoraConfig
from tune.errors import ConfigError, NothingLearned

PEFT_TYPES = {Method.prompt: "PROMPT_TUNING", Method.prefix: "PREFIX_TUNING"}
"""Names of both in PEFT's configuration."""


class VirtualTokens:
    """The virtual tokens on a base, from when they are put there until `restore`.

    Args:
        model: PEFT model with prompt or prefix tuning; its virtual tokens are float32 from now on.
        network: The base in it.
    """

    def __init__(self, model: Any, network: Any) -> None:
        # PEFT drops the positions that transformers gives it and says so at every token; `_place` puts them back.
        warnings.filterwarnings("ignore", "Position ids are not supported for parameter efficient tuning", UserWarning)
        self._network = network
        self._learned = model.prompt_encoder.float()["default"].embedding.weight  # (V, width), V virtual tokens
        n_virtual = model.active_peft_config.num_virtual_tokens
        decoder = network.get_decoder()
        self._hooks = (
            decoder.register_forward_pre_hook(_place, with_kwargs=True),
            decoder.register_forward_hook(
                lambda _, __, inputs, output: _cut(inputs, output, n_virtual), with_kwargs=True
            ),
            network.register_forward_pre_hook(
                lambda _, args, inputs: (args, _cut_labels(inputs, n_virtual)), with_kwargs=True
            ),
        )
        self._start = self._learned.detach().clone()

    def settle(self) -> None:
        """Check that something was learned; there is nothing to rewrite.

        Raises:
            NothingLearned: The virtual tokens are where they began.
        """
        import torch

        if torch.equal(self._learned.detach(), self._start):
            msg = (
                "the virtual tokens are where they began, so the adapter changes nothing: not saved. No optimizer step "
                "reached it; look at train.learning_rate and train.max_steps, and whether any reply token is left to "
                "learn from."
            )
            raise NothingLearned(msg)

    def restore(self) -> None:
        """Leave the base as if there had been none."""
        for hook in self._hooks:
            hook.remove()
        # PEFT's generate() leaves these behind, on what it takes for its own.
        vars(self._network).pop("prepare_inputs_for_generation", None)
        vars(self._network.get_decoder()).pop("generation_config", None)


def peft_config(lora: LoraConfig) -> Any:
    """Return PEFT's settings of virtual tokens; prompt tuning begins as tokens drawn from the vocabulary.

    Source: Lester et al. 2021, https://arxiv.org/abs/2104.08691, section 3.2.
    """
    from peft import PrefixTuningConfig, PromptTuningConfig

    if lora.method is Method.prefix:
        return PrefixTuningConfig(num_virtual_tokens=lora.virtual_tokens, task_type="CAUSAL_LM")
    return PromptTuningConfig(
        num_virtual_tokens=lora.virtual_tokens, prompt_tuning_init="SAMPLE_VOCAB", task_type="CAUSAL_LM"
    )


def begin(model: Any, network: Any, lora: LoraConfig) -> None:
    """Let a fresh prefix begin as tokens drawn from the vocabulary; PEFT's own start is noise of variance 1."""
    import torch

    if lora.method is Method.prefix:
        n_tokens = network.get_input_embeddings().num_embeddings
        begin_prefix_as(model, network, torch.randint(n_tokens, (lora.virtual_tokens,)))


def begin_prefix_as(model: Any, network: Any, ids: Any) -> None:
    """Give the virtual tokens of a prefix the keys and values that the base has for these tokens.

    Args:
        model: PEFT model with prefix tuning.
        network: The base in it.
        ids: (V,) tokens.

    Raises:
        ConfigError: The blocks keep other keys and values than PEFT has made room for.

    Source: Li and Liang 2021, https://arxiv.org/abs/2101.00190, section 7.4 (a start from real words).
    """
    import torch

    with torch.no_grad():
        output = network(input_ids=ids[None].to(network.device), use_cache=True)
        layers = getattr(getattr(output, "past_key_values", None), "layers", ())
        kept: list[Any] = [
            getattr(layer, name, None) for layer in layers for name in ("keys", "values")
        ]  # (1, heads, V, width)
        _check_room(model.active_peft_config, kept)
        pairs = [tensor[0] for tensor in kept]
        start = torch.stack(pairs).permute(2, 0, 1, 3)  # (V, 2 layers, heads, width), as PEFT takes them apart
        model.prompt_encoder["default"].embedding.weight.copy_(start.reshape(len(ids), -1))


def _check_room(config: Any, kept: list[Any]) -> None:
    heads = config.num_attention_heads
    room = (1, heads, config.num_virtual_tokens, config.token_dim // heads)
    shapes = [tuple(getattr(tensor, "shape", ())) for tensor in kept]
    if shapes == [room] * (2 * config.num_layers):
        return
    other = next((shape for shape in shapes if shape != room), ())[1:]
    msg = (
        f"lora.method=prefix with lora.virtual_tokens={room[2]} is not allowed with this model: PEFT's prefix has keys "
        f"and values of shape {room[1:]} (heads, tokens, width) in each of {config.num_layers} blocks, and the model "
        f"keeps {other or 'none in some'}. Where there are fewer tokens, it attends to no more than those: take fewer "
        "virtual tokens. Else take lora=prompt."
    )
    raise ConfigError(msg)


def _place(_decoder: Any, args: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Count positions by what is no padding: virtual tokens come before it, and the text goes on from them."""
    mask = inputs.get("attention_mask")
    if mask is None or mask.ndim != 2:  # noqa: PLR2004 - (B, V + T)
        return args, inputs
    ids = args[0] if args else inputs.get("input_ids")  # GPT-2 hands its decoder the ids by position
    read = inputs["inputs_embeds"] if ids is None else ids  # (B, T, ...)
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)[:, -read.shape[1] :]
    return args, {**inputs, "position_ids": positions}


def _cut(inputs: dict[str, Any], output: Any, n_virtual: int) -> Any:
    """Leave out what the decoder says at virtual tokens, which it has read where it was given embeddings."""
    if inputs.get("inputs_embeds") is not None:
        output.last_hidden_state = output.last_hidden_state[:, n_virtual:]
    return output


def _cut_labels(inputs: dict[str, Any], n_virtual: int) -> dict[str, Any]:
    """Leave out the labels that PEFT gives virtual tokens; nothing is said at them."""
    if inputs.get("inputs_embeds") is None or inputs.get("labels") is None:
        return inputs
    return {**inputs, "labels": inputs["labels"][:, n_virtual:]}
