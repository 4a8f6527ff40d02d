"""The pretrained base: which model, where it runs, and in which number format."""

from dataclasses import dataclass
from enum import StrEnum


class Device(StrEnum):
    """Where the model lives; `auto` takes CUDA where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Dtype(StrEnum):
    """Number format of the base; `auto` is bfloat16 on CUDA and float32 on CPU."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@dataclass(kw_only=True, slots=True)
class ModelConfig:
    """The frozen pretrained base."""

    embedded: str | None = "smollm2_135m"
    """A model that needs no hub: smollm2_135m or tiny. Used when `path` is not set."""

    path: str | None = None
    """A local folder or a hub id; wins over `embedded`."""

    revision: str | None = None
    """Commit or tag of a hub model; without it the newest, whose weights are digested either way."""

    code_from: str | None = None
    """The model, written as in `path`, whose own Python code may run here with your rights; on the command line alone.

    Its code is fetched at `revision` too; without one, at whatever its owner published last.
    """

    device: Device = Device.auto
    """Where the model runs."""

    dtype: Dtype = Dtype.auto
    """Number format of the base weights."""

    @property
    def runs_own_code(self) -> bool:
        """Return whether the user allowed Python code that comes with this very model."""
        return self.path is not None and self.code_from == self.path

    @property
    def label(self) -> str:
        """Return a short name for tables: the last part of the path, or the embedded model's name."""
        return (self.path or self.embedded or "").rstrip("/").rsplit("/", 1)[-1]
