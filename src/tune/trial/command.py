"""What `python -m tune lora.rank=8` does: one trial, without a search, in this process."""

import json
import os
import shlex
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tune import paths
from tune.config.compose import difference, to_yaml
from tune.config.guards import UNGUARDED
from tune.config.schema import Config
from tune.errors import TrialError
from tune.evaluate.decide import Decision
from tune.track.buffer import buffered_run
from tune.track.environment import environment
from tune.track.folder import check_writable
from tune.track.place import open_store
from tune.track.recorder import RunRecorder, RunStatus
from tune.trial.bar import Bar
from tune.trial.inspect import Inspected, inspect_data
from tune.trial.outcome import SCORES, Outcome

_LAST_WORDS_S = 30.0  # an adapter's files may still be on their way to a server


def run_single(config: Config) -> tuple[Outcome, Decision, Path]:
    """Run one trial and return what it found, what may be said of it, and the folder of its files.

    The verdict is of the validation split: nothing was chosen among trials, so it has flattered none of them.

    Raises:
        TrialError: It ended without a result.
        TuneError: The user can do something about it.
    """
    with Bar() as bar:
        found = inspect_data(config, bar)
    runs = paths.runs_dir(config.track.folder)
    check_writable(runs)
    console = Console(stderr=True, highlight=False, markup=False)
    words = " ".join(difference(config)) or "the default recipe"
    what = f"  one trial: {config.model.label}, {config.data.format}, {words}"
    console.print(Text.assemble(("tune", "bold"), what), soft_wrap=True)
    console.print(Text.assemble(("data  ", "bold"), found.splits.words), soft_wrap=True)
    for sentence in found.advice:
        console.print(Text.assemble(("note: ", "yellow"), sentence), soft_wrap=True)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"  # two of one second would share a folder and a run
    folder = runs / "trials" / name
    command = shlex.join(["python", "-m", "tune", *difference(config)])
    store = open_store(config.track, runs)
    tags = {"tune.command": command}
    recorder = buffered_run(store, folder, name=f"trial-{name}", study_run_id=None, tags=tags)
    if recorder.away:
        console.print(f"{recorder.away} Until then it waits in {folder}.", soft_wrap=True)
    status = RunStatus.failed
    try:
        outcome, decision = _run(config, found, folder=folder, recorder=recorder, console=console)
        status = RunStatus.finished
    except KeyboardInterrupt:
        status = RunStatus.killed
        raise
    except TrialError as error:
        recorder.tags({"tune.reason": error.reason, "tune.message": str(error)})
        raise
    finally:
        recorder.finish(status)
        if not recorder.close(limit_s=_LAST_WORDS_S if recorder.away is None else 0):
            why = recorder.trouble or recorder.away or "there was too much of it"
            console.print(f"Not all is in the record of runs yet, and waits in {folder}: {why}", soft_wrap=True)
    return outcome, decision, folder


def _decision(config: Config, outcome: Outcome, folder: Path) -> Decision:
    from tune.trial.measure import Measured
    from tune.trial.verdict import decide

    scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))
    base, adapted = (Measured.from_json(scores[side]) for side in ("base", "adapted"))
    decision = decide(base, adapted, outcome.metrics, config)
    return replace(decision, reasons=(*decision.reasons, UNGUARDED))


def _run(
    config: Config, found: Inspected, *, folder: Path, recorder: RunRecorder, console: Console
) -> tuple[Outcome, Decision]:
    from tune.trial.bench import open_bench
    from tune.trial.run import run_trial

    recorder.params({"lora.rank": config.lora.rank, "lora.alpha": config.lora.alpha, "seed": config.seed})
    recorder.text("config.yaml", to_yaml(config))
    recorder.text("environment.txt", "\n".join(f"{key}: {value}" for key, value in environment().items()))
    recorder.text("data.json", found.splits.to_json())
    with console.status("loading the model") as status:
        bench = open_bench(config, found.task, folder=found.model)

        def on(phase: str, done: int, total: int) -> None:
            status.update(f"{phase} {done}/{total}")

        outcome = run_trial(config, bench, folder=folder, recorder=recorder, on=on)
    recorder.metrics(outcome.metrics)
    decision = _decision(config, outcome, folder)
    recorder.tags({"tune.verdict": decision.verdict.value})
    recorder.artifact(folder / SCORES)
    recorder.artifact(folder / "adapter", folder="adapter")
    return outcome, decision
