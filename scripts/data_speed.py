"""Time `python -m tune data` on made-up rows, with an empty cache and again, and its memory. See scripts/data_speed."""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

N_WORDS = 60
"""Words of a row, question and answer together."""

SHARE_REPEATED = 0.01
"""Of the rows, so many repeat another one, and so many again but for two words."""

LOOK_S = 0.05
"""A process's peak is the largest of what was seen so often."""


def main() -> int:
    """Print seconds and memory of both starts, and what became of the rows; return 0."""
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(prefix="tune-data-") as folder:
        top = Path(folder)
        file = top / "rows.jsonl"
        write_rows(file, n_rows, seed=0)
        print(f"{n_rows:,} rows of {N_WORDS} words, {file.stat().st_size / 1e6:.0f} MB")
        environment = {**os.environ, "TUNE_CACHE": str(top / "cache")}
        tune(["fetch"], environment)
        words = ["data", "data=jsonl", f"data.path='{file}'", "report.format=json"]
        for name in ("first start", "second start"):
            printed, seconds, peak = tune(words, environment)
            found = json.loads(printed)
            print(f"{name}: {seconds:.1f} s, {peak / 2**30:.2f} GiB at most")
        steps = ", ".join(f"{step['count']:,} {step['step']}" for step in found["taken"] if step["count"])
        print(f"taken out: {steps}; splits {found['splits']}; {found['tokens']['in_all']:,} tokens")
    return 0


def tune(words: list[str], environment: dict[str, str]) -> tuple[str, float, int]:
    """Return what a command printed, its seconds, and the most memory that it held, in bytes."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "tune", *words], env=environment, stdout=subprocess.PIPE, text=True
    )
    peak = [0]
    watcher = threading.Thread(target=watch, args=(psutil.Process(process.pid), peak))
    watcher.start()
    printed, _ = process.communicate()
    watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with code {process.returncode}")
    return printed, time.monotonic() - began, peak[0]


def watch(process: psutil.Process, peak: list[int]) -> None:
    """Keep the most memory that a process and its children held."""
    while True:
        try:
            everyone = [process, *process.children(recursive=True)]
            peak[0] = max(peak[0], sum(one.memory_info().rss for one in everyone))
            if process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.Error:  # it has ended
            return
        time.sleep(LOOK_S)


def write_rows(file: Path, n_rows: int, *, seed: int) -> None:
    """Write ChatML rows of made-up words that are as unevenly frequent as a language's."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    words = [
        "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(2 + i % 3)) for i in range(20_000)
    ]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    said: list[list[str]] = []
    with file.open("w", encoding="utf-8") as stream:
        for number in range(n_rows):
            text = draw.choices(words, weights, k=N_WORDS)
            if said and number % round(1 / SHARE_REPEATED) in {1, 2}:
                text = list(draw.choice(said))
                if number % round(1 / SHARE_REPEATED) == 2:  # noqa: PLR2004 - the second of each hundred
                    for place in draw.sample(range(N_WORDS), 2):
                        text[place] = draw.choice(words)
            elif number % 10 == 0:
                said.append(text)
            question, answer = " ".join(text[: N_WORDS // 2]), " ".join(text[N_WORDS // 2 :])
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            stream.write(json.dumps({"messages": turns}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
