"""Measure a saved adapter in a process that did not train it: FOLDER OVERRIDES…; prints the scores as JSON."""

import json
import sys
from pathlib import Path

import torch

from tune.config.compose import compose
from tune.model import adapt
from tune.trial.bench import open_bench
from tune.trial.measure import measure
from tune.trial.task import model_folder, read_task

folder, *overrides = sys.argv[1:]
torch.set_num_threads(1)
config = compose(overrides)
task = read_task(config)
bench = open_bench(config, task, folder=model_folder(config, announce=lambda _: None))
adapted = adapt.reload(bench.base, Path(folder))
found = measure(adapted.model, bench.base.tokenizer, config, task, fingerprint="", on=lambda *_: None)
print(json.dumps(found.to_json()))  # noqa: T201 - the caller reads it
