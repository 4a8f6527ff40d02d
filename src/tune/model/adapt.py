"""What a trial trains on a base: attach, settle, detach, save, reload. The base gets its weights back bit for bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune.config.method import Method
from tune.config.recipe import LoraConfig
from tune.errors import AssetError
from tune.model import adalora, adapter_tensors, full, in_full, methods, prompts, spectrum
from tune.model.adapter_folder import read_adapter, write_adapter
from tune.model.beside import Beside
from tune.model.load import Base
from tune.model.peft_settings import layer_settings, named_layers, wrap
from tune.model.quantize import import_quietly
from tune.model.targets import choose_layers


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapted:
    """A base with an adapter on it."""

    model: Any
    """The PEFT model; it shares its weights with `base.model`, whose layers are wrapped until `detach`.

    It is `base.model` itself where all its own weights are trained.
    """

    base: Base
    """What it stands on."""

    targets: tuple[str, ...]
    """Endings of the names of the adapted layers, or what is trained in their place."""

    trainable: int
    """Parameters of the adapter."""

    total: int
    """Parameters of base and adapter; a four-bit weight counts as one."""

    note: str | None
    """What the user should know about the choice of layers or what the method did, or None."""

    start: dict[str, Any] | None = None
    """The tensors that it began with, where they change the base already (LoftQ); else None."""

    course: Any = None
    """What the method does beside the optimizer while it is trained (tune.train.course), or None."""

    trained: full.OwnWeights | prompts.VirtualTokens | None = None
    """What is trained where it is nothing around chosen layers."""

    beside: Beside | None = None
    """What is trained in full beside an adapter around layers, or None."""


def attach(base: Base, lora: LoraConfig, *, seed: int, rows: Any = None) -> Adapted:
    """Return the base with a fresh adapter that changes nothing yet, or ready to have all its weights trained.

    torch is seeded first: the same seed gives the same start. LoftQ's changes something: it corrects the quantization.

    Args:
        base: What is adapted.
        lora: How.
        seed: Of the start.
        rows: Training rows with input_ids, for the method that begins from them (EVA).

    Raises:
        ConfigError: The target preset matches no layer of this model, or the method cannot begin on those it matches.
    """
    import torch

    if lora.method is Method.full:
        return _all_weights(base)
    if lora.method in prompts.PEFT_TYPES:
        return _virtual_tokens(base, lora, seed=seed)
    chosen = choose_layers(base.model, lora.targets, lora.layers)
    if lora.method is Method.spectrum:
        chosen = replace(chosen, names=spectrum.top_layers(base.model, chosen.names, lora.spectrum_share))
    layers = named_layers(base.model, chosen.names)
    methods.check_layers(lora, list(layers.values()))
    choice = in_full.choose(base.model, lora, layers)
    torch.manual_seed(seed)
    settings = layer_settings(base.model, lora, chosen.names, layers, seed=seed)
    adapted = _wrap(base, settings, targets=chosen.names, note=chosen.note)
    with _detached_if_it_fails(adapted):
        methods.begin(adapted.model, lora, folder=base.folder, rows=rows, seed=seed)
        if lora.method is Method.eva:  # which has shared the ranks out anew
            trainable, total = adapted.model.get_nb_trainable_parameters()
            adapted = replace(adapted, trainable=trainable, total=total)
        course = adalora.Course(adapted.model) if adalora.is_on(adapted.model) else None
        begun = adapter_tensors.copies(adapted.model) if lora.method is Method.loftq else None
        return _with_beside(replace(adapted, course=course, start=begun), choice)


def settle(adapted: Adapted) -> Adapted:
    """Return the base with what was learned as one ordinary update; to be scored and saved as it is.

    Most adapters are that already and come back unchanged. One that was trained against a frozen start becomes an
    update of twice the rank (see `tune.model.methods`), and AdaLoRA's one of several ranks; either still counts the
    parameters that were trained.

    Raises:
        NothingLearned: What was trained is where it began, or every direction was dropped.
    """
    if adapted.trained:
        adapted.trained.settle()
        return adapted
    if adalora.is_on(adapted.model):
        weights, config, word = adalora.plain_update(adapted.model)
        return _settled(adapted, weights, config, note=" ".join(filter(None, (adapted.note, word))))
    if not methods.has_start(adapted.model):
        return adapted
    weights = methods.one_update(*(adapter_tensors.read(adapted.model, name) for name in methods.BOTH))
    config = methods.twice_the_rank(adapted.model.peft_config[methods.TRAINED])
    return _settled(adapted, weights, config, note=adapted.note)


def detach(adapted: Adapted) -> Base:
    """Return the base without the adapter, as it was before: same weights bit for bit, eval mode, no gradients."""
    for own in (adapted.trained, adapted.beside):
        if own:
            own.restore()
    network = adapted.base.model
    if hasattr(adapted.model, "unload"):  # virtual tokens and the model's own weights wrap no layer
        bare = adapted.model.unload()
        assert bare is network
    # What a trainer may have switched on.
    network.activation_checkpointing_disable()
    network.disable_input_require_grads()
    # Checkpointing with PEFT can switch gradients of the inputs on twice; the line above then loses one hook.
    network.get_input_embeddings()._forward_hooks.clear()  # noqa: SLF001 - torch has no public way to find them
    network.config.use_cache = True
    network.eval().requires_grad_(requires_grad=False)
    return adapted.base


def save(adapted: Adapted, folder: Path) -> None:
    """Write the adapter, in place of what is in the folder; the folder is never half written. It has to be settled.

    Raises:
        Diverged: A weight is NaN or infinite.
        NothingLearned: Every B is zero.
    """
    if isinstance(adapted.trained, full.OwnWeights):
        full.write_model(folder, adapted.model, adapted.trained.tensors(), digest=adapted.base.digest)
        return
    assert not methods.has_start(adapted.model), "settle it first: alone, it is no update of the base"
    weights = adapter_tensors.read(adapted.model)
    if adapted.start is not None and all(weights[name].equal(tensor) for name, tensor in adapted.start.items()):
        raise methods.nothing_learned()
    weights |= adapter_tensors.of_base(adapted.model, adapted.beside)
    settings = adapter_tensors.plain_settings(adapted.model, adapted.beside)
    write_adapter(folder, weights, settings, digest=adapted.base.digest)


def reload(base: Base, folder: Path) -> Adapted:
    """Return the base with a saved adapter on it; it can be trained on.

    Raises:
        AssetError: A file is missing or broken, or the adapter belongs to another base.
    """
    import_quietly()
    if full.is_model(folder):
        return _reload_weights(base, folder)
    weights, config = read_adapter(folder, digest=base.digest)
    choice = in_full.from_saved(base.model, weights, config)
    adapted = _wrap(base, config, targets=tuple(sorted(getattr(config, "target_modules", ()))), note=None)
    with _detached_if_it_fails(adapted):
        adapted = _with_beside(adapted, choice)
    if config.is_prompt_learning:
        adapted = _with_virtual_tokens(adapted)
    of_base = adapter_tensors.of_base(adapted.model, adapted.beside)
    complaint = adapter_tensors.difference(adapter_tensors.read(adapted.model) | of_base, weights)
    if complaint:
        detach(adapted)
        msg = f"the adapter in {folder} does not fit this model: {complaint}. Give the base that it was trained on."
        raise AssetError(msg)
    adapter_tensors.write(adapted.model, {name: weights[name] for name in weights.keys() - of_base.keys()})
    if adapted.beside:
        adapter_tensors.write_of_base(adapted.model, adapted.beside, weights)
    return adapted


@contextmanager
def _detached_if_it_fails(adapted: Adapted) -> Iterator[None]:
    """Let the next trial find the base as it was."""
    try:
        yield
    except BaseException:
        detach(adapted)
        raise


def _virtual_tokens(base: Base, lora: LoraConfig, *, seed: int) -> Adapted:
    import torch

    import_quietly()
    torch.manual_seed(seed)
    adapted = _wrap(base, prompts.peft_config(lora), targets=(), note=None)
    with _detached_if_it_fails(adapted):
        prompts.begin(adapted.model, base.model, lora)
    return _with_virtual_tokens(adapted)


def _with_virtual_tokens(adapted: Adapted) -> Adapted:
    virtual = prompts.VirtualTokens(adapted.model, adapted.base.model)
    return replace(adapted, targets=("virtual tokens",), trained=virtual)


def _all_weights(base: Base) -> Adapted:
    own = full.OwnWeights(base.model)
    n = base.model.num_parameters()
    return Adapted(model=base.model, base=base, targets=("every weight",), trainable=n, total=n, note=None, trained=own)


def _reload_weights(base: Base, folder: Path) -> Adapted:
    expected = {name: parameter.data for name, parameter in base.model.named_parameters()}
    tensors = full.read_model(folder, digest=base.digest, expected=expected)
    adapted = _all_weights(base)
    assert isinstance(adapted.trained, full.OwnWeights)
    adapted.trained.load(tensors)
    return adapted


def _settled(adapted: Adapted, weights: dict[str, Any], config: Any, *, note: str | None) -> Adapted:
    """Return the base with this update instead of the adapter."""
    choice, tensors = (adapted.beside.choice, adapted.beside.tensors()) if adapted.beside else (in_full.NOTHING, {})
    detach(adapted)
    settled = _wrap(adapted.base, config, targets=adapted.targets, note=note)
    adapter_tensors.write(settled.model, weights)
    settled = _with_beside(settled, choice)
    if settled.beside:
        settled.beside.load(tensors)
    return replace(settled, trainable=adapted.trainable, total=adapted.total, note=note)


def _with_beside(adapted: Adapted, choice: in_full.Choice) -> Adapted:
    """Return the base with what is trained in full beside the adapter."""
    if not choice.parameters:
        return adapted
    own = Beside(adapted.base.model, choice)
    note = " ".join(filter(None, (adapted.note, own.note())))
    return replace(adapted, beside=own, trainable=adapted.trainable + own.n_trained, note=note)


def _wrap(base: Base, config: Any, *, targets: tuple[str, ...], note: str | None) -> Adapted:
    model = wrap(base.model, config)
    trainable, total = model.get_nb_trainable_parameters()
    return Adapted(model=model, base=base, targets=targets, trainable=trainable, total=total, note=note)
