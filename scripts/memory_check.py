"""Train a few steps in a process of its own for each configuration, and set its peak beside the estimate.

`held_out` takes eight that no constant was found on, and that were predicted before they were run; `predict` prints
their estimates alone, `process` what a process holds that is about to load its model.

Peaks are read before anything heavy is imported here: a child starts with the peak of the process that it comes from.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GIB = 1024**3
ALLOWED = 0.2
WORDS = [
    *("model=smollm2_135m", "model.device=cpu", "evaluate.general=none", "data.n_validation=16", "data.n_test=0"),
    *("train.max_steps=3", "train.warmup_share=0", "data.max_new_tokens=16"),
]
PROCESS = """
import sys
import tune.trial.run, tune.trial.command, tune.track.mlflow_store
from tune.trial.bench import quiet_libraries
quiet_libraries()
import accelerate, bitsandbytes, datasets, mlflow, peft, torch, transformers, trl
from trl import SFTTrainer
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from tune.config.compose import compose
from tune.model.load import load_tokenizer
from tune.trial.task import model_folder, read_task
config = compose(sys.argv[1:])
task, tokenizer = read_task(config), load_tokenizer(config.model, model_folder(config, announce=print))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One configuration."""

    batch: int
    rank: int
    quantization: str = "none"
    more: tuple[str, ...] = ()
    long_rows: bool = False
    """Whether it reads rows of about 400 tokens instead of the embedded ones of about 100."""

    @property
    def own(self) -> list[str]:
        """Return what tells it from the others."""
        sizes = [f"train.batch_size={self.batch}", f"lora.rank={self.rank}", f"quantization={self.quantization}"]
        return [*sizes, *self.more, *(["rows of 400 tokens"] if self.long_rows else [])]

    def words(self, folder: str) -> list[str]:
        """Return its overrides; three steps of eight examples need 24 rows."""
        long = ["data=jsonl", f"data.path='{write_long_rows(folder)}'"] if self.long_rows else []
        own = [word for word in self.own if "=" in word]
        return [*long, *WORDS, *own, "data.n_train=32"]


CASES = [
    Case(batch=1, rank=4),
    Case(batch=1, rank=64),
    Case(batch=8, rank=64),
    Case(batch=1, rank=4, quantization="nf4"),
    Case(batch=8, rank=4, quantization="nf4"),
    Case(batch=8, rank=64, quantization="nf4"),
]
HELD_OUT = [
    Case(batch=4, rank=32, quantization="nf4_double", more=("lora.targets=mlp",)),
    Case(batch=6, rank=16, more=("lora.targets=qv", "lora.method=dora")),
    Case(batch=2, rank=32, more=("model.dtype=bfloat16", "train.gradient_checkpointing=true")),
    Case(batch=6, rank=16, quantization="nf4", more=("train.gradient_checkpointing=true",)),
    Case(batch=2, rank=16, more=("evaluate.batch_size=2",), long_rows=True),
    Case(batch=1, rank=8, more=("evaluate.batch_size=16",)),
    Case(batch=1, rank=16, more=("model.dtype=bfloat16", "evaluate.batch_size=2")),
    Case(batch=3, rank=128, more=("train.accumulation=2", "train.optimizer=adafactor")),
]


def main() -> int:
    """Print a line a configuration; return 1 where an estimate is more than a fifth away."""
    mode = sys.argv[1] if sys.argv[1:] else ""
    cases = HELD_OUT if mode in {"held_out", "predict"} else CASES
    with tempfile.TemporaryDirectory(prefix="tune-memory-") as folder:
        if mode == "process":
            size = measured([sys.executable, "-c", PROCESS, *cases[0].words(folder)], folder)
            print(f"a process about to load its model: {size:.2f} GiB")
            return 0
        if mode == "predict":
            for case in cases:
                row(case, folder)
            return 0
        peaks = [
            measured([sys.executable, "-m", "tune", *case.words(folder), f"track.folder='{folder}/{index}'"], folder)
            for index, case in enumerate(cases)
        ]
        errors = [row(case, folder, peak) for case, peak in zip(cases, peaks, strict=True)]
    return 0 if all(abs(error) <= ALLOWED for error in errors) else 1


def write_long_rows(folder: str) -> Path:
    """Return a file of 60 questions of about 400 tokens, no two alike."""
    file = Path(folder) / "long.jsonl"
    if not file.exists():
        rows = (
            {"question": f"Which is word {n}? " + " ".join(f"word{n}-{k}" for k in range(60)), "answer": f"word{n}"}
            for n in range(60)
        )
        file.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return file


def measured(command: list[str], folder: str) -> float:
    """Return the largest resident size, in GiB, of a process and of those that it started and waited for."""
    began = time.monotonic()
    output = Path(folder) / "output"
    with output.open("wb") as stream:
        child = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=dict(os.environ))
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        text = output.read_text(encoding="utf-8", errors="replace")
        sys.exit(f"{' '.join(command)} ended with {child.returncode}:\n{text[-3000:]}")
    print(f"  {time.monotonic() - began:.0f} s, {usage.ru_maxrss / 1024**2:.2f} GiB", file=sys.stderr, flush=True)
    return usage.ru_maxrss * 1024 / GIB


def row(case: Case, folder: str, peak: float | None = None) -> float:
    """Print estimate and measurement; return how far the estimate is off, as a share of what was measured."""
    from tune.config.compose import compose
    from tune.model.architectures import read_architecture
    from tune.model.memory import estimate

    config = compose(case.words(folder))
    longest = lengths(config)
    found = estimate(config, read_architecture(config.model), lengths=longest)
    error = found.resident / peak - 1 if peak else 0.0
    against = (
        f"measured {peak:.2f} GiB, estimated {found.resident:.2f} ({error:+.0%})"
        if peak
        else f"{found.resident:.2f} GiB"
    )
    parts = {name: size for name, size in asdict(found).items() if isinstance(size, float)}
    print(
        f"{' '.join(case.own)}: {against}; {longest.example} tokens; "
        + ", ".join(f"{name} {size:.3f}" for name, size in parts.items()),
        flush=True,
    )
    return error


def lengths(config: Any) -> Any:
    """Return the longest sequences of the trial, as its own forecast reads them."""
    from tune.data.listener import Silent
    from tune.trial.forecast import read_lengths
    from tune.trial.task import model_folder, read_task

    longest, _ = read_lengths(config, read_task(config, Silent()), model_folder(config, announce=print))
    return longest


if __name__ == "__main__":
    sys.exit(main())
