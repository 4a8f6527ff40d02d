"""Claim trials of a study and tell a made-up result at once, until none is left: NAME FOLDER GO; prints what it did.

Nothing is trained, so several of these want the study's lock all the time. GO is a file that all of them wait for.
"""

import json
import sys
import time
from pathlib import Path

from tune.config.compose import compose
from tune.study.attempts import end
from tune.study.claim import claim
from tune.study.database import patiently
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import load_study, stored_config
from tune.trial.outcome import Outcome, State

name, folder, go = sys.argv[1:]
study = load_study(name, compose([f"track.folder={folder}"]), Path(folder))
config = stored_config(study)
space, worker = parse_space(config), sign()
told, refused, claim_s = [], [], []

until = time.monotonic() + 120
Path(f"{go}.{worker.split()[1]}").touch()
while not Path(go).exists():
    assert time.monotonic() < until
    time.sleep(0.01)
while True:
    began = time.monotonic()
    claimed = patiently(lambda: claim(study, config, space, worker=worker), limit_s=60)
    if claimed is None:
        break
    claim_s.append(time.monotonic() - began)
    result = Outcome(state=State.complete, metrics={"task/score": claimed.number / 1000})
    number = claimed.number
    taken = patiently(lambda: end(study, number, result, value=number / 1000), limit_s=60)  # noqa: B023
    (told if taken else refused).append(number)
print(json.dumps({"told": told, "refused": refused, "claim_s": claim_s, "torch": "torch" in sys.modules}))  # noqa: T201
