"""Memory and trainable parameters of several configurations, and the room that a model takes when it is fetched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tune import paths
from tune.config.schema import Config
from tune.errors import ConfigError, TuneError
from tune.model.memory import Estimate, Lengths, estimate

_MOST = 12
"""Estimates of one plan; each takes seconds for a model of billions of parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sized:
    """A configuration with its estimate."""

    point: Mapping[str, Any]
    config: Config
    estimate: Estimate

    longest: int | None = None
    """Tokens of the longest row that it would train on; None where no row was read."""


@dataclass(slots=True)
class Rows:
    """How long the rows are that configurations would train on; rows that several share are read once."""

    why_not: str = ""
    """Why some were not read."""

    _known: dict[str, tuple[Lengths, int] | None] = field(default_factory=dict)

    def of(self, config: Config) -> tuple[Lengths, int] | None:
        """Return the longest sequences and the number of rows; None where the model is not here or rows are broken."""
        key = repr((config.model, config.data, config.evaluate, config.train.max_length))
        if key not in self._known:
            self._known[key] = self._read(config)
        return self._known[key]

    def _read(self, config: Config) -> tuple[Lengths, int] | None:
        from tune.trial.forecast import read_lengths
        from tune.trial.task import model_folder, read_task

        if config.model.path is not None and not is_fetched(config):
            self.why_not = f"{config.model.label} is not on this machine"
            return None
        try:
            return read_lengths(config, read_task(config), model_folder(config, announce=lambda _: None))
        except TuneError as error:
            self.why_not = str(error).rstrip(".")
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """What became of all of them."""

    n_different: int
    """Configurations whose memory may differ."""

    sized: tuple[Sized, ...]
    refused: Mapping[str, int]
    """Why some could not be estimated, and how many of those that were tried."""


def different(candidates: Sequence[tuple[Mapping[str, Any], Config]]) -> list[tuple[Mapping[str, Any], Config]]:
    """Return one of each that memory depends on: alpha, rates and seeds do not change it."""
    return list({_key(config): (point, config) for point, config in reversed(candidates)}.values())[::-1]


def measure_sizes(
    candidates: Sequence[tuple[Mapping[str, Any], Config]],
    *,
    rows: Rows | None,
    on_gpu: bool,
    on: Callable[[int, int], None],
) -> Sizes:
    """Return the estimates of the smallest and largest rank of every kind, at most a dozen.

    Args:
        candidates: Points and their configurations.
        rows: Reads how long the rows are; without it, or where it cannot, they have the most that the settings allow.
        on_gpu: What `model.device=auto` is.
        on: Is told how many of how many are done.
    """
    from tune.model.architectures import read_architecture

    every = different(candidates)
    ends = _ends_of_rank(every)
    chosen = ends[:: -(-len(ends) // _MOST) or 1]
    sized, refused, read = [], dict[str, int](), dict[str, Any]()
    for done, (point, config) in enumerate(chosen):
        on(done, len(chosen))
        try:
            if config.model.label not in read:
                read[config.model.label] = read_architecture(config.model)
            lengths, n_rows = (rows and rows.of(config)) or (None, config.train.batch_size)
            own = replace(config, train=replace(config.train, batch_size=min(config.train.batch_size, n_rows)))
            found = estimate(own, read[config.model.label], lengths=lengths, on_gpu=on_gpu)
            longest = lengths.example if lengths else None
            sized.append(Sized(point=point, config=config, estimate=found, longest=longest))
        except ConfigError as error:
            refused[str(error)] = refused.get(str(error), 0) + 1
    return Sizes(n_different=len(every), sized=tuple(sized), refused=refused)


def is_fetched(config: Config) -> bool:
    """Return whether the model's weights are on this machine, or small enough to be made here."""
    model = config.model
    if model.path is None:
        from tune.model import smollm2

        return model.embedded == "tiny" or (paths.cache_dir() / "models" / smollm2.FOLDER).is_dir()
    if Path(model.path).expanduser().exists():
        return True
    from huggingface_hub import try_to_load_from_cache

    files = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(model.path, file, revision=model.revision), str) for file in files)


def _key(config: Config) -> str:
    train = config.train
    trained = (train.batch_size, train.max_length, train.accumulation, train.gradient_checkpointing)
    lora = replace(config.lora, alpha=1)
    sizes = (config.model, lora, config.quantization, trained, train.optimizer, train.galore_rank)
    return repr((*sizes, config.evaluate, config.data.max_new_tokens))


def _ends_of_rank(every: Sequence[tuple[Mapping[str, Any], Config]]) -> list[tuple[Mapping[str, Any], Config]]:
    """Return those with the lowest and the highest rank among otherwise alike ones: memory grows with the rank."""
    kinds: dict[str, list[tuple[Mapping[str, Any], Config]]] = {}
    for point, config in every:
        kind = _key(replace(config, lora=replace(config.lora, rank=1)))
        kinds.setdefault(kind, []).append((point, config))
    ends: list[tuple[Mapping[str, Any], Config]] = []
    for alike in kinds.values():
        ordered = sorted(alike, key=lambda one: one[1].lora.rank)
        ends += ordered if len(ordered) == 1 else [ordered[0], ordered[-1]]
    return ends
