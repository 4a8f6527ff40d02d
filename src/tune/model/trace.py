"""How many bytes live at once while a model on the meta device is trained, scored or asked for replies.

The model's own code runs, and autograd with it, on tensors that have a shape and no memory; each storage counts
from the operation that makes it to the moment nothing refers to it. So what is saved for the backward pass is found
by looking, for every architecture: nothing for a frozen linear layer (its gradient needs the weight alone), its
input for an adapter's, the float32 copies of norms, and the inputs alone where a block is recomputed.

Source: the count is that of Korthikanti et al. 2022, https://arxiv.org/abs/2205.05198, section 4 (every saved tensor of
a block, s·b·h times its width), taken from the graph instead of summed by hand for GPT, whose weights are all trained.
"""

import inspect
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBytes:
    """What one forward and backward pass holds beside the model."""

    activations: int
    """Largest sum while no logits exist: saved tensors, a block that is recomputed, gradients made so far."""

    logits: int
    """Most that head and loss hold, to the end of the head's backward pass, beside what is saved below the head."""

    peak: int
    """Largest sum of all; at most activations + logits."""

    heaped: int
    """Largest sum of those tensors that a C library takes from its heap."""


HEAPED = 32 * 1024**2
"""Bytes from which on a piece of memory is mapped for itself, and given back when it is freed.

Source: mallopt(3), M_MMAP_THRESHOLD: the threshold grows with what is freed, up to 4 * 1024 * 1024 * sizeof(long).
"""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch types it in part
    """Counts the bytes of the storages that live; those of the model do not count."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        owned = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters() if p.grad is not None)]
        self._known = {tensor.untyped_storage()._cdata for tensor in owned}  # noqa: SLF001 - the storage's only identity
        self._owned = owned
        self.now: int = 0
        self.peak: int = 0
        self.heap_now: int = 0
        self.heap_peak: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        return made

    def start_over(self) -> None:
        """Forget the peak so far, not what lives."""
        self.peak = self.now

    def _count(self, storage: Any) -> None:
        key, n_bytes = storage._cdata, storage.nbytes()  # noqa: SLF001
        if key in self._known:
            return
        self._known.add(key)
        self.now += n_bytes
        self.peak = max(self.peak, self.now)
        if n_bytes < HEAPED:
            self.heap_now += n_bytes
            self.heap_peak = max(self.heap_peak, self.heap_now)
        weakref.finalize(storage, self._free, key, n_bytes).atexit = False

    def _free(self, key: int, n_bytes: int) -> None:
        self._known.discard(key)
        self.now -= n_bytes
        if n_bytes < HEAPED:
            self.heap_now -= n_bytes


@contextmanager
def _tiled_attention() -> Iterator[None]:
    """Let attention never hold a T x T table, as the kernels of CPU and GPU do not.

    On the meta device torch takes the plain formula instead, whose table would be counted. A TorchFunctionMode would
    not do: it is off while autograd runs, where recomputed blocks call attention again.
    """
    before = nn.functional.scaled_dot_product_attention
    nn.functional.scaled_dot_product_attention = _tiled
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = before


def _tiled(  # noqa: PLR0913, PLR0917 - torch's own signature
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if enable_gqa:
        n_times = query.size(-3) // key.size(-3)
        key, value = key.repeat_interleave(n_times, -3), value.repeat_interleave(n_times, -3)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros(attn_mask.shape, dtype=query.dtype, device=query.device)
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001 - its meta twin has the shapes
    return kernel(query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)[0]


class FourBitLinear(nn.Linear):
    """A frozen linear layer that unpacks its weight for each pass, as a four-bit layer does."""

    @classmethod
    def around(cls, layer: nn.Linear) -> "FourBitLinear":
        """Return the layer with the same weight."""
        made = cls.__new__(cls)
        made.__dict__ = layer.__dict__
        return made

    def forward(self, input: Any) -> Any:  # noqa: A002 - torch's name
        """Return x W + b; PEFT clones it."""
        made = _Unpacked.apply(input, self.weight)  # type: ignore[no-untyped-call]
        return made.clone() if self.bias is None else made + self.bias


class _Unpacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Any, weight: Any) -> Any:
        ctx.save_for_backward(weight)
        return nn.functional.linear(inputs, torch.empty_like(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (weight,) = ctx.saved_tensors
        return gradients[0] @ torch.empty_like(weight), None


def step_bytes(model: Any, *, batch: int, length: int, n_learned: int, checkpointing: bool) -> StepBytes:
    """Return what a training step holds beside weights and gradients that are there before it.

    Args:
        model: Adapted model on the meta device; only the adapter asks for gradients.
        batch: Examples in the pass.
        length: Tokens of each, padding included.
        n_learned: Tokens of each that the loss is taken on; the head sees those positions alone.
        checkpointing: Whether each block is recomputed in the backward pass.
    """
    network = model.get_base_model()
    if checkpointing:
        network.activation_checkpointing_enable()
        network.enable_input_require_grads()
    model.train()
    head = _HeadAtSome(batch * n_learned)
    with LiveBytes(model) as live, _tiled_attention():
        head.live = live
        hook = network.get_output_embeddings().register_forward_pre_hook(head.begin)
        logits = model(**_inputs(batch, length), use_cache=False).logits  # (R, V)
        hook.remove()
        saved = live.now - logits.nbytes
        labels = torch.zeros(logits.shape[0], dtype=torch.long, device="meta")
        loss = nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
        del logits
        loss.backward()  # type: ignore[no-untyped-call]
    outside = max(head.before, live.peak)
    peak = max(outside, head.within)
    return StepBytes(activations=outside, logits=head.within - saved, peak=peak, heaped=live.heap_peak)


class _HeadAtSome:
    """Lets the head see some rows, and notes what lives when it begins and at most until its backward pass ends."""

    live: LiveBytes

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows
        self.before = self.within = 0

    def begin(self, _head: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        self.before = self.live.peak
        self.live.start_over()
        places = torch.zeros(self.n_rows, dtype=torch.long, device="meta")
        rows = inputs[0].flatten(0, 1).index_select(0, places)
        rows.register_hook(self._end)
        return (rows,)

    def _end(self, _gradient: Any) -> None:
        self.within = self.live.peak
        self.live.start_over()


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What one pass without gradients holds beside the model."""

    peak: int
    """Largest sum."""

    heaped: int
    """Largest sum of those tensors that a C library takes from its heap."""


def scoring_bytes(model: Any, *, batch: int, length: int) -> Held:
    """Return what it holds to score every token of some texts (tune.evaluate.perplexity, and lm-eval alike)."""
    model.eval()
    with torch.no_grad(), LiveBytes(model) as live, _tiled_attention():
        inputs = _inputs(batch, length)
        logits = model(**inputs, use_cache=False).logits[:, :-1]  # (B, T - 1, V)
        # The vocabulary is not the last axis there, so log_softmax copies its input before it makes its result.
        floats = logits.float()  # a second copy where the model has 16 bits, and the first stays
        copied = floats.transpose(1, 2).contiguous()
        nn.functional.cross_entropy(copied, inputs["input_ids"][:, 1:], reduction="none")
        del logits, floats, copied
    return Held(peak=live.peak, heaped=live.heap_peak)


def generation_bytes(model: Any, *, batch: int, n_prompt: int, n_new: int) -> Held:
    """Return what it holds to generate replies: the prompts' pass, or the last token's with all keys and values."""
    model.eval()
    with torch.no_grad():
        with LiveBytes(model) as prompts, _tiled_attention():
            _next(model, batch, n_prompt, n_before=0, cache=None)
        with LiveBytes(model) as last, _tiled_attention():
            cache = _next(model, batch, n_prompt + n_new - 1, n_before=0, cache=None)
            last.start_over()
            _next(model, batch, 1, n_before=n_prompt + n_new - 1, cache=cache)
    return Held(peak=max(prompts.peak, last.peak), heaped=max(prompts.heap_peak, last.heap_peak))


def _next(model: Any, batch: int, length: int, *, n_before: int, cache: Any) -> Any:
    """Return keys and values after a pass over some tokens; one position's logits are turned to float32."""
    keep = {"logits_to_keep": 1} if _keeps_logits(model.get_base_model()) else {}
    out = model(**_inputs(batch, length, n_before), past_key_values=cache, use_cache=True, **keep)
    out.logits[:, -1, :].to(copy=True, dtype=torch.float32)
    return out.past_key_values


def _keeps_logits(network: Any) -> bool:
    return "logits_to_keep" in inspect.signature(network.forward).parameters


def _inputs(batch: int, length: int, n_before: int = 0) -> dict[str, Any]:
    # A mask of four axes goes through transformers as it is; one of two would have its values read, and has none.
    return {
        "input_ids": torch.zeros(batch, length, dtype=torch.long, device="meta"),
        "attention_mask": torch.ones(batch, 1, length, n_before + length, dtype=torch.bool, device="meta"),
    }
