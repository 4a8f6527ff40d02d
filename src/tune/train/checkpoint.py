"""Where a training stands, so that it goes on as if it had never stopped: whole on disk, or not there.

    step-00000040/
        adapter.safetensors      what is trained, by parameter name
        optimizer.safetensors    the optimizer's moments, by place in it
        course.safetensors       what the method goes by, where it has something
        random.safetensors       torch's random states, as bytes
        state.json               losses, measurements, scheduler, the optimizer's rates and numbers, random states of
                                 Python and NumPy
        trainer_state.json       transformers' own count of steps and epochs
        manifest.json            checksums; written last

Nothing in it is a pickle.
"""

import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tune.failpoint import reach
from tune.files import is_intact, write_json, write_manifest
from tune.train.course import write_course
from tune.train.evals import Eval
from tune.train.optimizer_state import OptimizerState, read_state, write_state

_ADAPTER, _OPTIMIZER, _RANDOM = "adapter.safetensors", "optimizer.safetensors", "random.safetensors"


class Checkpoints:
    """The checkpoints of one trial, newest last.

    Args:
        folder: Holds one folder a checkpoint.
        recipe: Digest of all that decides the training; what another recipe wrote is not used.
        keep: So many are kept; the one before the newest serves where the newest was damaged.
        every_s: Least seconds between two that are taken along the way.
    """

    def __init__(self, folder: Path, *, recipe: str, keep: int = 2, every_s: float = math.inf) -> None:
        self._folder = folder
        self._recipe = recipe
        self._keep = keep
        self.every_s = every_s

    def newest(self, usable: Callable[[Path], bool] = lambda _: True) -> Path | None:
        """Return the newest whole checkpoint that is usable, or None."""
        return next(filter(usable, self.whole()), None)

    def whole(self) -> Iterator[Path]:
        """Yield those that are as they were written, newest first."""
        return (path for path in reversed(self._all()) if is_intact(path, self._recipe))

    def write(self, step: int, fill: Callable[[Path], None]) -> None:
        """Keep a checkpoint: `fill` writes its files into an empty folder, which appears when they are whole."""
        write_whole(self._folder / f"step-{step:08d}", self._recipe, fill)
        for old in self._all()[: -self._keep]:
            shutil.rmtree(old)

    def clear(self) -> None:
        """Remove them all; the trial has ended."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))


def write_whole(place: Path, recipe: str, fill: Callable[[Path], None]) -> None:
    """Let `fill` write into an empty folder, which appears when it is whole, in the place of what is there."""
    beside = place.with_name(f".{place.name}.writing")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        fill(beside)
        reach("checkpoint: filled")
        write_manifest(beside, recipe)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)  # on a full disk the databases need its room
        raise
    if place.exists():  # a damaged one of this step
        shutil.rmtree(place)
    beside.rename(place)


def capture_weights(trainer: Any, folder: Path) -> None:
    """Write what is trained, and what the method goes by."""
    from safetensors.torch import save_file

    save_file(_trained(trainer.model), folder / _ADAPTER)
    write_course(trainer.course, folder)


def capture(trainer: Any, folder: Path, *, losses: list[float], evals: list[Eval]) -> None:
    """Write where a transformers trainer stands, between two optimizer steps."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    capture_weights(trainer, folder)
    moments = read_state(trainer.optimizer)
    save_file(moments.tensors, folder / _OPTIMIZER)
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda/{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    save_file(states, folder / _RANDOM)
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the state that libraries draw from
    state = {
        "losses": losses,
        "evals": [each.to_json() for each in evals],
        "groups": moments.groups,
        "numbers": moments.numbers,
        "strides": moments.strides,
        "scheduler": trainer.lr_scheduler.state_dict(),
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
    }
    write_json(folder / "state.json", state)
    trainer.state.save_to_json(str(folder / "trainer_state.json"))


def losses_until(folder: Path) -> list[float]:
    """Return the training losses of the steps before a checkpoint."""
    return list(_state(folder)["losses"])


def evals_until(folder: Path) -> list[Eval]:
    """Return the measurements of the validation loss before a checkpoint."""
    return [Eval(**each) for each in _state(folder)["evals"]]


def restore_weights(trainer: Any, folder: Path) -> None:
    """Put back what is trained."""
    import torch
    from safetensors.torch import load_file

    saved, now = load_file(folder / _ADAPTER), _trained(trainer.model)
    assert saved.keys() == now.keys(), "the recipe is the same, so the adapter is"
    with torch.no_grad():
        for name, tensor in now.items():
            tensor.copy_(saved[name])


def restore_optimizer(trainer: Any, folder: Path) -> None:
    """Put back the optimizer's moments and the scheduler's place."""
    from safetensors.torch import load_file

    state = _state(folder)
    plain = {name: state[name] for name in ("numbers", "strides", "groups")}
    write_state(trainer.optimizer, OptimizerState(tensors=load_file(folder / _OPTIMIZER), **plain))
    trainer.lr_scheduler.load_state_dict(state["scheduler"])


def restore_random(folder: Path) -> None:
    """Put back the random states of Python, NumPy and torch."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    state = _state(folder)
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, numbers, *rest = state["numpy"]
    np.random.set_state((kind, np.array(numbers, dtype=np.uint32), *rest))  # noqa: NPY002
    states = load_file(folder / _RANDOM)
    torch.set_rng_state(states.pop("cpu"))
    for name, tensor in states.items():
        torch.cuda.set_rng_state(tensor, int(name.removeprefix("cuda/")))


def _trained(model: Any) -> dict[str, Any]:
    return {name: parameter.data for name, parameter in model.named_parameters() if parameter.requires_grad}


def _state(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "state.json").read_text(encoding="utf-8")))
