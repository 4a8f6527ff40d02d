"""Which tasks of lm-eval are meant, by which score each is judged, and what is refused before anything heavy starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluate.lm_tasks_folder import write_tasks
from tune.config import rules
from tune.config.compose import compose
from tune.config.lm_tasks import chosen_tasks
from tune.config.metrics import metric_names
from tune.config.task_index import Kind, task_index
from tune.errors import ConfigError


def judged(*names: str, own: str | None = None) -> list[tuple[str, str, str]]:
    return [(task.name, task.metric, task.filter) for task in chosen_tasks(names, own)]


def test_the_main_metric_is_the_first_that_is_a_mean_over_the_items() -> None:
    # from lm-eval's own files: hellaswag lists acc, acc_norm; gsm8k has two filters; lambada lists perplexity first
    assert judged("hellaswag", "gsm8k", "lambada_openai") == [
        ("hellaswag", "acc", "none"),
        ("gsm8k", "exact_match", "strict-match"),
        ("lambada_openai", "acc", "none"),
    ]


def test_a_group_and_a_tag_stand_for_their_tasks() -> None:
    assert len(chosen_tasks(("mmlu",), None)) == 57
    assert [task.name for task in chosen_tasks(("ai2_arc",), None)] == ["arc_challenge", "arc_easy"]


def test_a_folder_of_ones_own_stands_beside_lm_evals(tmp_path: Path) -> None:
    own = str(write_tasks(tmp_path))

    assert judged("own_group", "last_word", "arc_easy", own=own) == [
        ("capitals", "acc", "none"),
        ("sums", "exact_match", "number"),
        ("last_word", "acc", "none"),
        ("arc_easy", "acc", "none"),
    ]
    assert [task.name for task in chosen_tasks(("own_tasks",), own)] == ["capitals", "sums"]


def test_an_own_task_stands_before_lm_evals_of_that_name(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path)
    file = folder / "hellaswag.yaml"
    file.write_text((folder / "last_word.yaml").read_text().replace("last_word", "hellaswag"))

    (task,) = chosen_tasks(("hellaswag",), str(folder))

    assert task.folders == (folder.resolve(),)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("helaswag", "evaluate.tasks=helaswag is no task, group or tag of lm-eval. Did you mean hellaswag or"),
        (
            "wikitext",
            r"wikitext \(loglikelihood_rolling\) has no metric that is a mean .* evaluate.corpus=FILE measures",
        ),
        ("humaneval", "humaneval runs code that the model wrote, with nothing around it"),
        ("squadv2", "squadv2 is a Python class of its own"),
        ("mmmu_val", "mmmu_val_art needs images, which these models do not read"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rules.check(compose([f"evaluate.tasks=[{name}]"]))


def test_a_task_that_comes_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="has the task arc_easy twice, by ai2_arc and by arc_easy: take one of"):
        rules.check(compose(["evaluate.tasks=[ai2_arc,arc_easy]"]))


def test_a_missing_folder_and_a_broken_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("task: bad\nmetric_list: [\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"evaluate\.tasks_dir=.*nowhere is no folder"):
        rules.check(compose(["evaluate.tasks=[bad]", f"evaluate.tasks_dir={tmp_path / 'nowhere'}"]))
    with pytest.raises(ConfigError, match="the files of bad cannot be read: while parsing"):
        rules.check(compose(["evaluate.tasks=[bad]", f"evaluate.tasks_dir={tmp_path}"]))


def test_the_folder_counts_on_the_command_line_alone(tmp_path: Path) -> None:
    (tmp_path / "evaluate").mkdir()
    (tmp_path / "evaluate" / "mine.yaml").write_text(f"tasks: [capitals]\ntasks_dir: {tmp_path}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="stands in a file, but its files may hold Python code that would run here"):
        compose(["evaluate=mine"], config_dir=tmp_path)

    compose(["evaluate=mine", f"evaluate.tasks_dir={tmp_path}"], config_dir=tmp_path)


def test_limit_and_items_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.items=100 and evaluate\.limit=3 both say how many"):
        rules.check(compose(["evaluate.items=100"]))

    rules.check(compose(["evaluate.items=100", "evaluate.limit=null"]))


def test_finalists_are_asked_everything_unless_told_otherwise() -> None:
    config = compose(["evaluate.items=100", "evaluate.limit=null", "evaluate.tasks=[arc_easy]"])

    whole = config.evaluate.for_finalists()
    same = compose(["evaluate.finalists_full=false"]).evaluate

    assert (whole.limit, whole.items, whole.tasks_limit, whole.tasks) == (None, None, None, ["arc_easy"])
    assert same.for_finalists() == same


def test_names_of_metrics_are_known_without_lm_eval_or_torch() -> None:
    code = (
        "import sys; from tune.config.compose import compose; from tune.config.metrics import metric_names;"
        "print(*(n for n in metric_names(compose(['evaluate.tasks=[arc_easy]'])) if 'arc_easy' in n));"
        "print([name for name in ('torch', 'datasets', 'lm_eval') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    names, loaded = done.stdout.splitlines()
    changes = " ".join(f"general/arc_easy/delta{end}" for end in ("", "_low", "_high", "_stderr"))
    assert names == f"general/arc_easy/acc general/arc_easy/acc_base {changes}"
    assert loaded == "[]"


def test_no_tasks_no_names() -> None:
    assert not [name for name in metric_names(compose([])) if name.startswith("general/") and "probe" not in name]


@pytest.mark.slow  # lm-eval's own scan takes 10 s
def test_the_index_is_lm_evals_own() -> None:
    from lm_eval.tasks import TaskManager

    theirs = TaskManager().task_index
    ours = task_index(None)

    kinds = {"TASK": Kind.task, "PY_TASK": Kind.task, "GROUP": Kind.group, "TAG": Kind.tag}
    assert {name: entry.kind for name, entry in ours.items()} == {n: kinds[e.kind.name] for n, e in theirs.items()}
    assert {name: entry.file for name, entry in ours.items()} == {
        name: entry.yaml_path and entry.yaml_path.resolve() for name, entry in theirs.items()
    }
    tags = {name: set(entry.members) for name, entry in ours.items() if entry.kind is Kind.tag}
    assert tags == {name: theirs[name].tags for name in tags}
    assert len(tags) > 100
