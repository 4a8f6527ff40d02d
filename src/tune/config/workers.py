"""The processes that run trials, and how often what failed in one is tried again."""

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class WorkersConfig:
    """The processes that run trials."""

    count: int | None = None
    """Workers at once; null: one a GPU, else one a core for embedded models and one for others. At least 1."""

    threads: int | None = None
    """CPU threads of each worker; null: cores divided by workers. At least 1."""

    memory_gib: float | None = None
    """Most memory a worker may hold; null: nine tenths of this machine's, divided by the workers. Above 0."""

    timeout_s: float | None = None
    """A trial that takes longer is ended; null: no limit. Above 0."""

    wait_s: float = 60.0
    """How long `python -m tune worker NAME` waits for a study that nobody has started yet. At least 0."""

    trials_per_process: int = 0
    """A worker is replaced after so many trials; 0: it stays and keeps the base loaded."""

    checkpoint_s: float = 60.0
    """Least seconds between two checkpoints of a training. At least 0."""

    heartbeat_s: float = 10.0
    """Seconds between two signs of life of a worker. Above 0."""

    grace_s: float = 120.0
    """A worker that gave no sign of life for so many seconds is taken for dead. Above twice heartbeat_s."""


@dataclass(kw_only=True, slots=True)
class RetriesConfig:
    """How often a trial is tried again after its first attempt, by the reason of the failure.

    A trial that was interrupted always is. One that learned nothing never is: it would do so again.
    """

    lost: int = 2
    """Its machine or process vanished without a word. At least 0."""

    killed: int = 0
    """Its worker was killed while the study ran, as the kernel does when memory is short. At least 0."""

    oom: int = 1
    """It needed more memory than there was: fewer rows a pass, as many a step, then train.gradient_checkpointing.

    At least 0.
    """

    timeout: int = 0
    """It took longer than workers.timeout_s. At least 0."""

    disk: int = 2
    """The disk was full; the study pauses then, and this is tried when it goes on. At least 0."""

    diverged: int = 0
    """Loss, gradient or evaluation became NaN or infinite; it would again, unless the machine did it. At least 0."""

    data: int = 0
    """Its data could not be used. At least 0."""

    setup: int = 0
    """Its model, adapter or record could not be made. At least 0."""

    bug: int = 0
    """An error that nobody expected. At least 0."""
