"""Our per-item scores of lm-eval's tasks against those of its own evaluator, on a folder of tasks of one's own."""

from collections import defaultdict
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.evaluate.lm_tasks_folder import CAPITALS, SUMS, write_rows, write_tasks
from tune.errors import ConfigError, Diverged, EvaluationError
from tune.evaluate.lm_items import LmTask, read_lm_tasks
from tune.evaluate.lm_scores import longest_asked, longest_prompt, new_tokens, score_lm_task

ALL = ("capitals", "sums", "last_word")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"))


def read(folder: Path, *names: str, limit: int | None = None, seed: int = 0) -> tuple[LmTask, ...]:
    return read_lm_tasks(names, own=str(folder), limit=limit, seed=seed)


def lm_evals_own(base: Any, folder: Path, tasks: tuple[LmTask, ...]) -> dict[str, list[dict[str, Any]]]:
    """Run lm-eval's evaluator over the same items, and return its samples of each task's main filter."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    found = simple_evaluate(
        model=HFLM(pretrained=base.model, tokenizer=deepcopy(base.tokenizer), batch_size=4),
        tasks=[task.name for task in tasks],
        task_manager=TaskManager(include_path=folder, include_defaults=False),
        samples={task.name: [int(name.split("/")[1]) for name in task.ids] for task in tasks},
        bootstrap_iters=0,
        log_samples=True,
    )
    samples = defaultdict(list)
    for task in tasks:
        for row in found["samples"][task.name]:
            if row["filter"] == task.filter:
                samples[task.name].append(row)
    return samples


# lm-eval passes both lengths to a model that has a default for one.
@pytest.mark.filterwarnings("ignore:Both `max_new_tokens`", "ignore:.*pad_token_id")
def test_prompts_and_scores_are_those_of_lm_evals_evaluator(tiny: Any, folder: Path) -> None:
    tasks = read(folder, *ALL, limit=4)
    theirs = lm_evals_own(tiny, folder, tasks)

    for task in tasks:
        ours = score_lm_task(tiny.model, tiny.tokenizer, task, batch_size=4)

        rows = theirs[task.name]
        assert [f"{task.name}/{row['doc_id']}" for row in rows] == list(task.ids)
        assert [tuple(request.args for request in of_item) for of_item in task.requests] == [
            tuple(map(tuple, row["arguments"])) for row in rows
        ]
        np.testing.assert_array_equal(ours, [float(row[task.metric]) for row in rows])


class Parrot(torch.nn.Module):
    """Answers every prompt that it knows with given tokens, whatever the batch."""

    def __init__(self, base: Any, said: dict[str, str]) -> None:
        super().__init__()
        self.config, self.device = base.model.config, base.model.device
        self._tokenizer, self._said = base.tokenizer, said

    def generate(self, *, input_ids: torch.Tensor, max_new_tokens: int, **_settings: Any) -> torch.Tensor:
        prompts = self._tokenizer.batch_decode(input_ids, skip_special_tokens=True)
        replies = [self._tokenizer(self._said[prompt]).input_ids[:max_new_tokens] for prompt in prompts]
        pad = self._tokenizer.pad_token_id
        rows = [reply + [pad] * (max_new_tokens - len(reply)) for reply in replies]
        return torch.cat([input_ids, torch.tensor(rows)], dim=1)


def test_written_answers_are_filtered_and_scored_by_the_task(tiny: Any, folder: Path) -> None:
    (task,) = read(folder, "sums")
    said = {row["question"]: f" {row['answer']} it is\n9" for row in SUMS}
    said["1 + 1 ="], said["3 + 3 ="] = " eleven", " 7"

    scores = score_lm_task(Parrot(tiny, said), tiny.tokenizer, task, batch_size=4)

    # the filter takes the first number; "eleven" has none and 7 is wrong; the rest is right
    assert dict(zip(task.ids, scores, strict=True)) == {
        f"sums/{i}": 0.0 if row["question"] in {"1 + 1 =", "3 + 3 ="} else 1.0 for i, row in enumerate(SUMS)
    }


def test_the_same_requests_serve_a_second_model(tiny: Any, folder: Path) -> None:
    (task,) = read(folder, "capitals")

    first = score_lm_task(tiny.model, tiny.tokenizer, task, batch_size=4)
    second = score_lm_task(tiny.model, tiny.tokenizer, task, batch_size=4)

    np.testing.assert_array_equal(first, second)
    assert all(request.resps == [] for of_item in task.requests for request in of_item)


def test_the_model_stays_as_it_was_and_so_do_its_random_numbers(tiny: Any, folder: Path) -> None:
    (task,) = read(folder, "sums", limit=2)
    tiny.model.train()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)

    score_lm_task(tiny.model, tiny.tokenizer, task, batch_size=4)

    assert torch.equal(torch.rand(1), expected)
    assert all(module.training for module in tiny.model.modules())
    tiny.model.eval()


def test_shots_of_the_task_are_shown_and_the_item_comes_last(folder: Path) -> None:
    (task,) = read(folder, "capitals")

    shots = "The capital of France is Paris\n\nThe capital of Norway is Oslo\n\n"
    assert [request.args for request in task.requests[2]] == [
        (f"{shots}The capital of Italy is", f" {choice}") for choice in ("Lisbon", "Rome", "Bern")
    ]
    assert task.texts[2] == "The capital of Italy is Lisbon Rome Bern"


def test_items_are_drawn_by_the_seed_and_a_larger_limit_only_adds(folder: Path) -> None:
    (some,), (more,), (every,) = (read(folder, "sums", limit=limit) for limit in (3, 6, None))
    (others,) = read(folder, "sums", limit=3, seed=1)

    assert (len(some.ids), len(more.ids), len(every.ids)) == (3, 6, 9)
    assert set(some.ids) < set(more.ids) < set(every.ids)
    assert list(more.ids) == sorted(more.ids)
    assert some.ids != others.ids
    assert some.ids != every.ids[:3], "not the first ones"
    assert len({some.digest, more.digest, others.digest}) == 3


def test_the_digest_follows_the_rows(tmp_path: Path) -> None:
    (before,) = read(write_tasks(tmp_path), "capitals")
    changed = [CAPITALS[0] | {"choices": ["Paris", "Rome", "Bonn"]}, *CAPITALS[1:]]
    write_rows(tmp_path / "capitals.jsonl", changed)

    (after,) = read(tmp_path, "capitals")

    assert before.digest != after.digest
    assert read(tmp_path, "capitals")[0].digest == after.digest


def test_the_digest_follows_right_answers_the_definition_and_code_beside_it(tmp_path: Path) -> None:
    def digest() -> str:
        return read(tmp_path, "capitals")[0].digest

    write_tasks(tmp_path)
    seen = [digest()]
    write_rows(tmp_path / "capitals.jsonl", [CAPITALS[0] | {"answer": 1}, *CAPITALS[1:]])
    seen.append(digest())
    (definition,) = (file for file in tmp_path.glob("*.yaml") if "task: capitals\n" in file.read_text())
    definition.write_text(definition.read_text().replace("metric: acc,", "metric: acc, ignore_case: true,"))
    seen.append(digest())
    (tmp_path / "rules.py").write_text("def right(doc, results):\n    return {}\n")
    seen.append(digest())

    assert len(set(seen)) == 4
    assert digest() == seen[-1]


def test_a_group_brings_its_tasks(folder: Path) -> None:
    heard: list[str] = []

    tasks = read_lm_tasks(["own_group"], own=str(folder), limit=2, seed=0, on_task=heard.append)

    assert [task.name for task in tasks] == ["capitals", "sums"]
    assert heard == ["own_group"]


def test_a_task_of_the_hub_without_a_hub_is_one_paragraph() -> None:
    with pytest.raises(EvaluationError) as caught:
        read_lm_tasks(["arc_easy"], own=None, limit=2, seed=0)

    said = str(caught.value)
    assert said.startswith("evaluate.tasks: the data or the definition of arc_easy cannot be read: ")
    assert "python -m tune data evaluate.tasks=[arc_easy]` where there is a network; or leave arc_easy out." in said
    assert "\n" not in said


def test_a_task_of_one_item_is_refused(tmp_path: Path) -> None:
    write_rows(write_tasks(tmp_path) / "sums.jsonl", SUMS[:1])

    with pytest.raises(EvaluationError, match=r"sums has 1 item\(s\), and one says nothing about its spread"):
        read(tmp_path, "sums")


def test_a_metric_that_is_no_number_names_the_item(tiny: Any, folder: Path) -> None:
    (task,) = read(folder, "capitals", limit=2)
    task.definition.config.process_results = lambda _doc, _results: {"acc": (1, 2)}

    with pytest.raises(EvaluationError, match=rf"capitals gives acc=\(1, 2\) for item {task.ids[0]}, where a number"):
        score_lm_task(tiny.model, tiny.tokenizer, task, batch_size=4)


def test_a_broken_model_diverged(tiny: Any, folder: Path) -> None:
    (task,) = read(folder, "last_word")
    broken = deepcopy(tiny.model)
    torch.nn.init.constant_(broken.model.norm.weight, float("nan"))

    with pytest.raises(Diverged, match="last_word: 4 of 4 log-probabilities are NaN or infinite"):
        score_lm_task(broken, tiny.tokenizer, task, batch_size=4)


def test_replies_longer_than_the_models_context_are_refused(tiny: Any, folder: Path) -> None:
    (task,) = read(folder, "sums", limit=2)
    task.definition.config.generation_kwargs["max_gen_toks"] = 10**6

    with pytest.raises(ConfigError, match="sums writes up to 1000000 tokens, and this model has a context of"):
        score_lm_task(tiny.model, tiny.tokenizer, task, batch_size=4)


def test_lengths_by_hand(tiny: Any, folder: Path) -> None:
    capitals, sums, _ = read(folder, *ALL)

    n = {text: len(tiny.tokenizer(text).input_ids) for row in SUMS for text in [row["question"]]}
    asked = ["".join(request.args) for of_item in capitals.requests for request in of_item]
    assert new_tokens(sums) == 6
    assert longest_prompt(tiny.tokenizer, [capitals, sums]) == (max(n.values()), 6)
    assert longest_asked(tiny.tokenizer, [sums]) == max(n.values()) + 6 - 1
    assert longest_asked(tiny.tokenizer, [capitals]) == max(len(tiny.tokenizer(t).input_ids) for t in asked) - 1
    assert longest_prompt(tiny.tokenizer, [capitals]) == (0, 0)


def test_a_part_of_the_items_spreads_over_them(folder: Path) -> None:
    (task,) = read(folder, "sums")

    part = task.some(3)

    assert part.ids == ("sums/0", "sums/3", "sums/6")
    assert len(part.requests) == 3
