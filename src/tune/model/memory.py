"""How much memory a configuration needs at most, in GiB, without its weights: only the architecture's sizes are read.

Weights, adapter and optimizer are counted parameter by parameter; activations, logits and the evaluation are
counted by running the model's own code on the meta device (tune.model.trace).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tune.config.evaluation import GeneralKnowledge
from tune.config.model import Device, Dtype
from tune.config.schema import Config
from tune.model.optimizer_bytes import model_state_bytes

if TYPE_CHECKING:
    from tune.model.trace import StepBytes

_GIB = 1024**3

PROCESS_GIB = 0.71
"""Resident size of a process on a CPU without its model: libraries 0.56, tokenizer, rows and the record of runs 0.11,
code that is touched first while loading 0.02 and while training 0.02.

Measured on SmolLM2-135M (docs/decisions/memory.md). On a GPU nothing of it is in the GPU's memory.
"""

HEAP_SHARE = 0.6
"""Holes of the C library's heap on a CPU, as a share of the tensors that it held at most.

What lives long is made between what does not, so freed tensors leave holes that the next ones do not fit. Recomputing
blocks frees tensors and leaves the holes, so there the share is of what a step holds without. How large they are is
partly chance. Measured on SmolLM2-135M, heap beyond the tensors: 0.41 (batch 4, bfloat16), 0.44 and 0.80 (batch 8, nf4,
twice), 0.46 (batch 2), 0.7 (batch 8), 0.74 (batch 4, recomputed).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """The longest sequences, in tokens."""

    example: int
    """Of a training example, and of a text that is scored."""

    learned: int
    """Of the part of it that the loss is taken on."""

    prompt: int
    """Of the prompts that replies are generated for."""

    question: int = 0
    """Of a knowledge question with its solved ones, an item of lm-eval's tasks, or a general text."""

    @staticmethod
    def of(config: Config) -> "Lengths":
        """Return the most the settings allow: examples of train.max_length, answers of data.max_new_tokens."""
        longest = config.train.max_length
        learned = min(config.data.max_new_tokens, longest - 1)
        evaluate = config.evaluate
        asks = evaluate.general is not GeneralKnowledge.none or bool(evaluate.tasks)
        question = max(longest if asks else 0, evaluate.corpus_tokens if evaluate.corpus is not None else 0)
        return Lengths(example=longest, learned=learned, prompt=longest - learned, question=question)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Memory in GiB (1024³ bytes), part by part, and parameters."""

    weights: float
    """The frozen base."""

    adapter: float
    """What is trained, in float32."""

    gradients: float
    """Of what is trained."""

    optimizer: float
    """What the optimizer keeps of what is trained."""

    activations: float
    """Largest sum beside the above while a step runs and no logits exist."""

    logits: float
    """Head and loss at the learned positions."""

    evaluation: float
    """Largest of scoring and generating, beside base and adapter; on a CPU with the holes of the heap."""

    loading: float
    """Beside the weights while they are read: the checkpoint's pages, and copies; on a CPU alone."""

    mapped: float
    """Pages of the checkpoint that stay in memory beside a quantized base; on a CPU alone."""

    heap: float
    """Holes that freed tensors leave in the C library's heap while training; on a CPU alone."""

    overhead: float
    """The process with its libraries, tokenizer and rows, before a model is loaded; on a CPU alone."""

    peak_loading: float
    """Largest sum while the base is loaded."""

    peak_training: float
    """Largest sum while training; activations and logits need not be largest at once."""

    peak_evaluation: float
    """Largest sum while evaluating."""

    trainable: int
    """Parameters that are trained."""

    total: int
    """Parameters of base and adapter; a four-bit weight counts as one."""

    @property
    def peak(self) -> float:
        """Return the larger of training and evaluating: what a trial needs."""
        return max(self.peak_training, self.peak_evaluation)

    @property
    def resident(self) -> float:
        """Return the largest resident size of a process that loads its base too.

        That is no need: most of it are pages of the checkpoint, which the kernel takes back, and that the copies of
        four-bit weights all live at once was seen on a small model alone.
        """
        return max(self.peak_loading, self.peak)

    @property
    def share(self) -> float:
        """Return trainable parameters as a share of all."""
        return self.trainable / self.total


def estimate(
    config: Config,
    hf_config: Any,
    *,
    lengths: Lengths | None = None,
    on_gpu: bool = False,
    overhead_gib: float | None = None,
) -> Estimate:
    """Return the memory of a configuration.

    Args:
        config: The trial.
        hf_config: transformers configuration of its model (tune.model.architectures.read_architecture).
        lengths: Longest sequences; by default what the settings allow at most.
        on_gpu: Whether it is to run on a GPU; decides what `model.dtype=auto` is, and the overhead. Only asked
            where model.device is auto.
        overhead_gib: The process before a model is loaded; by default PROCESS_GIB on a CPU, and 0 on a GPU.

    Raises:
        ConfigError: The target preset matches no layer, this version of transformers cannot build the model, or
            method or quantization are none of those that can be estimated.
    """
    from tune.model.outline import outline

    lengths = lengths or Lengths.of(config)
    on_gpu = on_gpu if config.model.device is Device.auto else config.model.device is Device.cuda
    found = outline(config, hf_config, _dtype(config, on_gpu))
    share = 0.0 if on_gpu else HEAP_SHARE
    evaluation = _evaluation(config, found.model, lengths, share)
    step, heaped = _step(config, found.model, lengths, with_heap=not on_gpu)
    adapter = gradients = found.trainable * 4  # float32, whatever the base has
    optimizer = model_state_bytes(config.train, found.model)
    mapped, loading = (0, 0) if on_gpu else (found.mapped, found.read + found.copied)
    heap = round(share * heaped)
    overhead = ((0.0 if on_gpu else PROCESS_GIB) if overhead_gib is None else overhead_gib) * _GIB
    held = found.weights + mapped + adapter + overhead
    # Gradients are freed after a step, so they lie beside a whole pass only where several are summed.
    summed = gradients if config.train.accumulation > 1 else 0
    # Measured on the way, the loss is so beside what the optimizer keeps.
    beside = optimizer if config.train.evals else 0
    return Estimate(
        weights=found.weights / _GIB,
        adapter=adapter / _GIB,
        gradients=gradients / _GIB,
        optimizer=optimizer / _GIB,
        activations=step.activations / _GIB,
        logits=step.logits / _GIB,
        evaluation=evaluation / _GIB,
        loading=loading / _GIB,
        mapped=mapped / _GIB,
        heap=heap / _GIB,
        overhead=overhead / _GIB,
        peak_loading=(found.weights + loading + overhead) / _GIB,
        peak_training=(held + heap + optimizer + max(step.peak + summed, 2 * gradients)) / _GIB,
        peak_evaluation=(held + beside + evaluation) / _GIB,
        trainable=found.trainable,
        total=found.total,
    )


def _step(config: Config, model: Any, lengths: Lengths, *, with_heap: bool) -> "tuple[StepBytes, int]":
    """Return what a training step holds, and the bytes that a heap held at most where no block is recomputed."""
    from tune.model import trace

    def step(*, checkpointing: bool) -> "StepBytes":
        model.zero_grad(set_to_none=True)
        return trace.step_bytes(
            model,
            batch=config.train.batch_size,
            length=lengths.example,
            n_learned=lengths.learned,
            checkpointing=checkpointing,
        )

    if not config.train.gradient_checkpointing:
        plain = step(checkpointing=False)
        return plain, plain.heaped
    heaped = step(checkpointing=False).heaped if with_heap else 0
    return step(checkpointing=True), heaped


def _evaluation(config: Config, model: Any, lengths: Lengths, share: float) -> int:
    """Return the bytes that scoring or generating holds, whichever is more, with the holes of the heap."""
    from tune.model import trace

    scored = trace.scoring_bytes(model, batch=config.evaluate.batch_size, length=max(lengths.example, lengths.question))
    replied = trace.generation_bytes(
        model,
        batch=config.evaluate.generation_batch_size,
        n_prompt=lengths.prompt,
        n_new=config.data.max_new_tokens,
    )
    return max(held.peak + round(share * held.heaped) for held in (scored, replied))


def _dtype(config: Config, on_gpu: bool) -> Any:
    import torch

    named = config.model.dtype
    if named is Dtype.auto:
        return torch.bfloat16 if on_gpu else torch.float32
    return getattr(torch, named.value)
