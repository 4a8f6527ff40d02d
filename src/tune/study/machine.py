"""What this machine gives to a study: how many workers, and how many threads, which GPU and how much memory each."""

import os
from pathlib import Path

import psutil

from tune.config.schema import Config

_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")
_GIB = 1024**3
_TRIAL_GIB = 4  # an embedded model's trial takes about 3
_SHARE = 0.9  # of the memory that workers may hold together


def n_workers(config: Config) -> int:
    """Return how many workers run at once on this machine."""
    if config.workers.count is not None:
        return config.workers.count
    if n_gpus():
        return n_gpus()
    small = config.model.path is None
    return max(1, min(n_cores(), int(total_memory() // (_TRIAL_GIB * _GIB)))) if small else 1


def n_threads(config: Config) -> int:
    """Return the CPU threads of each worker: cores divided by workers, so that they do not fight."""
    return config.workers.threads or max(1, n_cores() // n_workers(config))


def memory_limit(config: Config) -> int:
    """Return the most memory that one worker may hold, in bytes."""
    if config.workers.memory_gib is not None:
        return int(config.workers.memory_gib * _GIB)
    return int(_SHARE * total_memory() / n_workers(config))


def n_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_gpus() -> int:
    """Return how many NVIDIA GPUs the machine has; torch is not asked, because it is not imported yet."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def sees_gpu() -> bool:
    """Return whether a trial will find an NVIDIA GPU; torch is not asked."""
    return n_gpus() > 0 and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in {"", "-1"}


def total_memory() -> int:
    """Return the machine's memory in bytes, or what its control group (a container, a batch job) leaves of it."""
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(_CONTROL_GROUP.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no control group, or "max"
        return total


def limit_own_memory(limit: int) -> None:
    """Let allocations of this process fail beyond so many bytes, so that a trial ends and the machine lives.

    Data is limited, not addresses: threads and libraries reserve many more addresses than they ever fill. CUDA maps
    the GPU's memory too, so where there is a GPU nothing is limited here, and the supervisor watches what is held.
    """
    if n_gpus() or not hasattr(os, "sched_getaffinity"):
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def held_memory(pid: int) -> int:
    """Return the resident bytes of a process and its children, libraries that others share left out; 0 when gone."""
    try:
        process = psutil.Process(pid)
        parts = [part.memory_info() for part in [process, *process.children(recursive=True)]]
    except psutil.Error:
        return 0
    return sum(part.rss - getattr(part, "shared", 0) for part in parts)


def thread_variables(threads: int) -> dict[str, str]:
    """Return what must stand in the environment before torch is imported."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}


def gpu_variables(slot: int) -> dict[str, str]:
    """Return what gives a process one GPU of several: trainers refuse, or split a batch over, all that they see."""
    gpus = n_gpus()
    return {"CUDA_VISIBLE_DEVICES": str(slot % gpus)} if gpus > 1 and "CUDA_VISIBLE_DEVICES" not in os.environ else {}
