"""Tasks of lm-eval and general texts in a whole trial: what is reported, kept, and asked of base and adapter alike."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.lm_tasks_folder import write_tasks
from tune.config.metrics import metric_names
from tune.config.schema import Config
from tune.errors import EvaluationError
from tune.evaluate.corpus import Corpus
from tune.evaluate.lm_scores import longest_asked
from tune.track.memory_store import MemoryStore
from tune.trial.baseline import fingerprint
from tune.trial.bench import Bench
from tune.trial.forecast import read_lengths
from tune.trial.general import compare_general, corpus_tokens
from tune.trial.run import run_trial
from tune.trial.task import Task, read_task

# lm-eval passes both lengths to a model that has a default for one.
pytestmark = pytest.mark.filterwarnings("ignore:Both `max_new_tokens`")


def words(folder: Path) -> list[str]:
    return ["evaluate.tasks=[own_group,last_word]", f"evaluate.tasks_dir={folder}", "evaluate.tasks_limit=4"]


def test_a_trial_reports_every_task_and_the_perplexity_of_general_texts(
    bench: Bench, small: Callable[..., Config], tmp_path: Path
) -> None:
    config = small(*words(write_tasks(tmp_path / "tasks")), "train.learning_rate=1e-2")
    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})
    asked = replace(bench, task=read_task(config))
    heard: set[str] = set()

    outcome = run_trial(config, asked, folder=tmp_path / "t", recorder=recorder, on=lambda phase, *_: heard.add(phase))

    found = outcome.metrics
    assert set(metric_names(config)) <= set(found)
    assert {"capitals", "base capitals", "sums", "last_word", "corpus", "base corpus"} <= heard
    kept = json.loads((tmp_path / "t" / "scores.json").read_text())
    for task, metric, n in (("capitals", "acc", 4), ("sums", "exact_match", 4), ("last_word", "acc", 4)):
        base, tuned = (kept[side]["scores"][f"general/{task}"] for side in ("base", "adapted"))
        assert len(base) == len(tuned) == len(kept["base"]["ids"][f"general/{task}"]) == n
        assert found[f"general/{task}/{metric}"] == pytest.approx(np.mean(tuned))
        assert found[f"general/{task}/delta"] == pytest.approx(np.mean(tuned) - np.mean(base))
    nats, tokens = (np.array(kept["adapted"]["scores"][f"corpus/{name}"]) for name in ("nats", "tokens"))
    assert len(nats) == 40
    assert tokens.max() <= 255
    assert found["perplexity/general"] == pytest.approx(math.exp(nats.sum() / tokens.sum()))
    assert found["perplexity/general_delta"] == pytest.approx(
        found["perplexity/general"] - found["perplexity/general_base"]
    )
    assert found["perplexity/general_delta_low"] < found["perplexity/general_delta_high"]


def test_changes_by_hand(small: Callable[..., Config], tmp_path: Path) -> None:
    config = small(*words(write_tasks(tmp_path)))
    names = ("capitals", "sums", "last_word")
    tokens = np.array([2.0, 2.0])
    base = {f"general/{name}": np.zeros(4) for name in names} | {"corpus/nats": tokens * math.log(4)}
    tuned = {f"general/{name}": np.array([1.0, 0, 0, 0]) for name in names} | {"corpus/nats": tokens * math.log(5)}

    found = compare_general(base | {"corpus/tokens": tokens}, tuned | {"corpus/tokens": tokens}, config)

    assert found["general/sums/exact_match"] == 0.25
    assert found["general/sums/exact_match_base"] == 0
    # change = [1, 0, 0, 0]: mean 1/4, variance 1/4, standard error 1/4
    assert (found["general/sums/delta"], found["general/sums/delta_stderr"]) == pytest.approx((0.25, 0.25))
    assert found["perplexity/general_base"] == pytest.approx(4)
    ends = [found[f"perplexity/general_delta{end}"] for end in ("", "_low", "_high")]
    assert ends == pytest.approx([1, 1, 1]), "every token of every document lost the same"


def named(config: Config, task: Task) -> str:
    return fingerprint(config, task, weights="w", dtype="d", template="t", ends=[0])


def test_a_baseline_is_of_its_items_and_texts(bench: Bench, small: Callable[..., Config], tmp_path: Path) -> None:
    config = small(*words(write_tasks(tmp_path)))
    task = read_task(config)

    less = small(*words(tmp_path), "evaluate.tasks_limit=3")
    shorter = small(*words(tmp_path), "evaluate.corpus_tokens=64")
    others = small(*words(tmp_path), "evaluate.limit=null", "evaluate.items=57", "evaluate.items_seed=1")

    assert named(config, task) == named(config, read_task(config))
    assert len({named(config, task), named(less, read_task(less)), named(shorter, task)}) == 3
    assert named(others, read_task(others)) != named(config, task)
    assert named(config, task) != named(config, bench.task)


def test_without_tasks_and_corpus_nothing_is_read_or_reported(small: Callable[..., Config]) -> None:
    config = small("evaluate.corpus=null")

    task = read_task(config)

    assert (task.lm_tasks, task.corpus) == ((), None)
    assert not [name for name in metric_names(config) if "perplexity/general" in name]
    assert compare_general({}, {}, config) == {}


def test_the_memory_estimate_knows_the_longest_item(bench: Bench, small: Callable[..., Config], tmp_path: Path) -> None:
    config = small(*words(write_tasks(tmp_path)), "evaluate.corpus_tokens=256")
    task = read_task(config)

    with_corpus, _ = read_lengths(config, task, bench.folder)
    long = small(*words(tmp_path), "evaluate.corpus=null")
    without, _ = read_lengths(long, replace(task, corpus=None), bench.folder)

    rated = [one for one in task.lm_tasks if not one.writes]
    assert with_corpus.question == 256, "the embedded texts have more tokens than that for this tokenizer"
    assert without.question >= longest_asked(bench.base.tokenizer, rated)


def test_a_document_of_one_token_is_left_out_and_too_few_are_refused(bench: Bench) -> None:
    tokenizer = bench.base.tokenizer
    texts = ("A whole sentence.", "Another one.", "a")
    corpus = Corpus(ids=("c/0", "c/1", "c/2"), documents=texts, digest="")

    ids, tokens = corpus_tokens(tokenizer, corpus, most=3)

    assert [len(tokenizer(text).input_ids) for text in texts][2] == 1
    assert ids == ("c/0", "c/1")
    assert max(map(len, tokens)) == 3
    with pytest.raises(EvaluationError, match="1 of 2 documents have two tokens or more"):
        corpus_tokens(tokenizer, Corpus(ids=("c/0", "c/2"), documents=(texts[0], "a"), digest=""), most=3)
