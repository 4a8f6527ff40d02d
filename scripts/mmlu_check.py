"""Put the same MMLU questions to SmolLM2-135M by tune and by lm-eval's own evaluator, and print how far they differ.

One question of every subject, or of every n-th; by letter and by continuation, with no and with five solved questions.
lm-eval runs as it does alone: its task manager, its task files (the rows alone are redirected), its `hf` model around
the live one, and its evaluator.
"""

import csv
import json
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tune.config.compose import compose
from tune.config.evaluation import ChoiceForm
from tune.evaluate.harness import score_choices
from tune.evaluate.questions import QuestionBank, make_bank, read_mmlu
from tune.model.load import load_base
from tune.trial.bench import quiet_libraries
from tune.trial.task import model_folder

BATCH_SIZE = 4
FOLDER = {ChoiceForm.letter: "default", ChoiceForm.continuation: "continuation"}  # of lm_eval/tasks/mmlu


def main(folder: Path, every: int) -> None:
    """Print a line for each form and number of shots."""
    torch.set_num_threads(1)
    quiet_libraries()
    config = compose(["model=smollm2_135m", "model.device=cpu"])
    base = load_base(config.model, config.quantization, folder=model_folder(config, announce=print))
    whole = read_mmlu(folder, limit=1)
    bank = make_bank("mmlu", whole.test[::every], whole.shots)
    print(f"{config.model.label}, {len(bank.test)} questions, batches of {BATCH_SIZE}, {base.dtype}")
    for n_shot in (0, 5):
        for form in ChoiceForm:
            began = time.monotonic()
            ours = score_choices(
                base.model, base.tokenizer, bank, form=form, n_shot=n_shot, batch_size=BATCH_SIZE
            ).logprobs
            between = time.monotonic()
            theirs = lm_evals_own(base, folder, bank, form, n_shot)
            print(
                f"{form}, {n_shot} shots: largest difference {np.abs(ours - theirs).max():.1e} nats over {ours.size} "
                f"choices; {between - began:.0f} s, lm-eval {time.monotonic() - between:.0f} s",
                flush=True,
            )


def lm_evals_own(base: Any, folder: Path, bank: QuestionBank, form: ChoiceForm, n_shot: int) -> NDArray[np.float64]:
    """Return (N, 4) log-probabilities by lm-eval's evaluator."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory(prefix="tune-") as own:
        names = [write_task(Path(own), folder, question.id, form) for question in bank.test]
        found = simple_evaluate(
            model=HFLM(pretrained=base.model, tokenizer=deepcopy(base.tokenizer), batch_size=BATCH_SIZE),
            tasks=names,
            task_manager=TaskManager(include_path=own, include_defaults=False),
            num_fewshot=n_shot,
            bootstrap_iters=0,
        )
    return np.array([[answer[0][0] for answer in found["samples"][name][0]["resps"]] for name in names])


def write_task(own: Path, folder: Path, question: str, form: ChoiceForm) -> str:
    """Write lm-eval's own task of a subject over one of its questions, and return its name."""
    import lm_eval.tasks

    subject, place = question.split("/")
    files = {}
    for split in ("dev", "test"):
        with (folder / split / f"{subject}_{split}.csv").open(encoding="utf-8", newline="") as source:
            rows = [
                {
                    "question": row["question"],
                    "subject": subject,
                    "choices": [row[f"choice{i}"] for i in range(4)],
                    "answer": int(row["answer"]),
                }
                for row in csv.DictReader(source)
            ]
        files[split] = str(own / f"{subject}_{split}.jsonl")
        kept = rows if split == "dev" else [rows[int(place)]]
        Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    theirs = Path(lm_eval.tasks.__file__).parent / "mmlu" / FOLDER[form] / f"mmlu_{subject}.yaml"
    (own / f"{subject}.yaml").write_text(
        f"include: {theirs}\ntask: {subject}\ndataset_path: json\ndataset_name: null\n"
        f"dataset_kwargs: {json.dumps({'data_files': files})}\n",
        encoding="utf-8",
    )
    return subject


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)  # noqa: PLR2004
