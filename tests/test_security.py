"""A hostile configuration or model folder is refused before anything in it runs: one paragraph, code 2, no trace."""

import ast
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tune import paths
from tune.data.load import embedded_texts
from tune.model.assets import embedded_folder

pytestmark = pytest.mark.promise(25)

PROBE = """
import sys
from tune.cli import main
code = main(sys.argv[1:])
heavy = [name for name in ("torch", "mlflow", "transformers", "trl", "peft", "lm_eval") if name in sys.modules]
print("HEAVY", *heavy)
sys.exit(code)
"""
SECRET = "swordfish-swordfish"  # noqa: S105 - of nobody


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in which nothing is wrong."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_CACHE", str(cache))
        return embedded_folder("tiny", texts=embedded_texts(), announce=lambda _: None)


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "model", ignore=shutil.ignore_patterns("manifest.json"))
    return tmp_path / "model"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Exists once something ran."""
    return tmp_path / "ran"


def _left_behind(folder: Path) -> list[Path]:
    """Return all files but the empty locks of the cache's data, which is opened before a file is read."""
    locks = {path for path in folder.glob("cache/data/.*.lock") if not path.stat().st_size}
    return sorted(path for path in folder.rglob("*") if path.is_file() and path not in locks)


def refused(*words: str, cwd: Path) -> str:
    """Return what the refusal says, after checking what every refusal must be."""
    before = _left_behind(cwd)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TUNE_CACHE": str(cwd / "cache"), "A_PASSWORD": SECRET},
        cwd=cwd,
    )

    assert done.returncode == 2, done.stderr
    assert done.stdout.splitlines() == ["HEAVY"], "it is told before anything heavy is imported"
    assert done.stderr.startswith("tune: ")
    assert len(done.stderr.strip().splitlines()) == 1, "one paragraph"
    assert _left_behind(cwd) == before, "it leaves nothing behind, a trace least of all"
    assert SECRET not in done.stderr
    return done.stderr


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **changes}))


def weights_are_a_pickle(model: Path, bomb: bytes) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(bomb)


def pickle_called_safetensors(model: Path, bomb: bytes) -> None:
    (model / "model.safetensors").write_bytes(bomb)


def pickle_among_the_shards(model: Path, bomb: bytes) -> None:
    (model / "model.safetensors").rename(model / "model-1.safetensors")
    (model / "model-2.bin").write_bytes(bomb)
    shards = {"a": "model-1.safetensors", "b": "model-2.bin"}
    edit(model / "model.safetensors.index.json", metadata={}, weight_map=shards)


def pickle_named_by_config(model: Path, bomb: bytes) -> None:
    (model / "adapter_model.bin").write_bytes(bomb)
    edit(model / "config.json", transformers_weights="adapter_model.bin")


def adapter_that_is_a_pickle(model: Path, bomb: bytes) -> None:
    (model / "adapter_model.bin").write_bytes(bomb)
    edit(model / "adapter_config.json", peft_type="LORA")


def code_of_the_model(model: Path, _bomb: bytes) -> None:
    (model / "modeling_evil.py").write_text(f"open({str(model.parent / 'ran')!r}, 'w')")
    edit(model / "config.json", auto_map={"AutoModelForCausalLM": "modeling_evil.Evil"})


def code_of_a_new_architecture(model: Path, bomb: bytes) -> None:
    code_of_the_model(model, bomb)
    edit(model / "config.json", model_type="evil", auto_map={"AutoConfig": "modeling_evil.Config"})


def code_of_the_tokenizer(model: Path, _bomb: bytes) -> None:
    (model / "tokenizer_evil.py").write_text(f"open({str(model.parent / 'ran')!r}, 'w')")
    edit(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenizer_evil.Evil", None]})


def kernel_of_the_hub(model: Path, _bomb: bytes) -> None:
    edit(model / "config.json", attn_implementation="evil/kernel")


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (weights_are_a_pickle, "are pickles, which can run code"),
        (pickle_called_safetensors, "is no safetensors file, whatever its name"),
        (pickle_among_the_shards, "names model-2.bin as weights"),
        (pickle_named_by_config, "names adapter_model.bin as weights"),
        (adapter_that_is_a_pickle, "holds an adapter"),
        (code_of_the_model, "wants to run Python code that comes with it (auto_map: modeling_evil."),
        (code_of_a_new_architecture, "wants to run Python code"),
        (code_of_the_tokenizer, "wants to run Python code that comes with it (auto_map: tokenizer_evil.Evil"),
        (kernel_of_the_hub, "(evil/kernel), which would be fetched from the hub and run"),
    ],
)
def test_a_hostile_model_folder(model: Path, trace: Path, plant: Callable[[Path, bytes], None], said: str) -> None:
    plant(model, pickle.dumps(Bomb(trace)))

    text = refused("model.embedded=null", f"model.path={model}", cwd=model.parent)

    assert said in text
    assert not trace.exists()


@pytest.mark.parametrize("command", [["fetch"], ["+sweep=smoke"]], ids=["fetch", "study"])
def test_every_command_that_gets_a_model_looks_at_it_first(model: Path, trace: Path, command: list[str]) -> None:
    code_of_the_model(model, b"")

    assert "wants to run Python code" in refused(*command, f"model.path={model}", cwd=model.parent)
    assert not trace.exists()


def test_a_pickle_given_as_data(tmp_path: Path, trace: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(pickle.dumps(Bomb(trace)))

    assert "rows.jsonl" in refused("data=jsonl", "data.path=rows.jsonl", cwd=tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["+lora._target_=os.system"], "runs no code"),
        (["lora={_target_:os.system}"], "runs no code"),
        (["+sweep=smoke", "sweep.space={_target_:[os.system]}"], "runs no code"),
        (["hydra/launcher=basic"], "Hydra's own settings"),
        (["hydra.launcher.n_jobs=2"], "Hydra's own settings"),
        (["+hydra.sweeper.a=1"], "Hydra's own settings"),
        (["hydra.searchpath=[pkg://evil]"], "Hydra's own settings"),
        (["+model@hydra.launcher=tiny"], "Hydra's own settings"),
        (["~hydra.job"], "Hydra's own settings"),
        (["data.system=${oc.env:A_PASSWORD}"], "read from the environment"),
        (["data.system='\\${oc.env:A_PASSWORD}'"], "read from the environment"),
        (["data.system=${oc.${model.embedded}:A_PASSWORD}"], "read from the environment"),
        (["+sweep=smoke", "sweep.question=${hydra:runtime.cwd}"], "read from the environment"),
        (["+sweep=smoke", "study.name=../../elsewhere"], "study.name=../../elsewhere is not allowed"),
        (["+sweep=../../elsewhere"], "there is no"),
        (["model.code_from=evil/model"], "must equal model.path=null"),
        (["model.path=good/model", "model.code_from=evil/model"], "must equal model.path=good/model"),
        (["+sweep=smoke", "+sweep.space={evaluate.metric:['a.py:f','b.py:f']}"], "it is nothing to search"),
        (["+evaluate={metric: a.py:f}"], "a.py:f"),
    ],
)
def test_hostile_words(tmp_path: Path, words: list[str], said: str) -> None:
    assert said in refused(*words, cwd=tmp_path)


SWEEP = "# @package _global_\nsweep:\n  name: mine\n  space: {{lora.rank: [2]}}\nstudy: {{sampler: grid}}\n{0}"


@pytest.mark.parametrize(
    ("file", "content", "words", "said"),
    [
        ("sweep/mine.yaml", SWEEP.format("").replace("space", "_target_"), ["+sweep=mine"], "runs no code"),
        ("sweep/mine.yaml", SWEEP.format("lora:\n  _target_: os.system\n"), ["+sweep=mine"], "runs no code"),
        ("lora/mine.yaml", "_target_: os.system\nrank: 2\n", ["lora=mine"], "runs no code"),
        ("sweep/mine.yaml", SWEEP.format("hydra: {searchpath: ['pkg://evil']}\n"), ["+sweep=mine"], "Hydra's own"),
        ("sweep/mine.yaml", SWEEP.format("defaults: [override /hydra/launcher: evil]\n"), ["+sweep=mine"], "Hydra's"),
        ("lora/mine.yaml", "# @package hydra.callbacks\nevil: {a: 1}\n", ["lora=mine"], "Hydra's own"),
        ("lora/mine.yaml", "defaults: [/model@hydra.x: tiny]\n", ["lora=mine"], "Hydra's own"),
        ("sweep/mine.yaml", SWEEP.format("data: {system: '${oc.env:A_PASSWORD}'}\n"), ["+sweep=mine"], "environment"),
        ("sweep/mine.yaml", SWEEP.format("defaults: [/model: '${oc.env:A}']\n"), ["+sweep=mine"], "environment"),
        ("sweep/mine.yaml", SWEEP.format("").replace("name: mine", "name: ../mine"), ["+sweep=mine"], "../mine is not"),
        ("sweep/mine.yaml", SWEEP.format("").replace("lora.rank", "model.code_from"), ["+sweep=mine"], "a permission"),
        ("sweep/mine.yaml", "a: !!python/object/apply:os.system ['touch ran']\n", ["+sweep=mine"], "is no YAML"),
        ("lora/mine.yaml", "defaults: [../../elsewhere]\n", ["lora=mine"], "leads out of"),
        (
            "sweep/mine.yaml",
            SWEEP.format("evaluate: {metric: 'evil.py:f'}\n"),
            ["+sweep=mine"],
            "evaluate.metric=evil.py:f",
        ),
        ("evaluate/mine.yaml", "metric: 'evil.py:f'\n", ["evaluate=mine"], "add evaluate.metric=evil.py:f to the"),
        ("data/mine.yaml", "# @package _global_\nevaluate: {metric: 'evil.py:f'}\n", ["data=mine"], "stands in a file"),
        (
            "evaluate/mine.yaml",
            "metric: 'evil.py:f'\n",
            ["+sweep=smoke", "+sweep.space={evaluate:[quick,mine]}"],
            "stands in a file",
        ),
        ("model/mine.yaml", "path: evil/model\ncode_from: evil/model\n", ["model=mine"], "stands in a file"),
    ],
)
def test_a_hostile_file_in_a_folder_of_configuration(
    tmp_path: Path, file: str, content: str, words: list[str], said: str
) -> None:
    (tmp_path / "mine" / file).parent.mkdir(parents=True)
    (tmp_path / "mine" / file).write_text(content)
    (tmp_path / "elsewhere.yaml").write_text("rank: 3\n")
    (tmp_path / "evil.py").write_text("open('ran', 'w')")

    assert said in refused("--config-dir", "mine", *words, cwd=tmp_path)


def test_a_folder_of_configuration_does_not_replace_the_first_file(tmp_path: Path) -> None:
    # Hydra takes search paths from its first file alone, and that is tune's.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("hydra:\n  searchpath: [pkg://evil]\nseed: 7\n")
    (tmp_path / "evil.py").write_text("open('ran', 'w')")

    done = subprocess.run(
        [sys.executable, "-m", "tune", "--config-dir", "mine", "config"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )

    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "seed: 0"), done.stderr
    assert not (tmp_path / "ran").exists()


# What must not come back into the source.

IMPORTS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    "torch.load",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "hydra.utils.instantiate",
    "hydra.utils.call",
    "os.system",
    "os.popen",
    "eval",
    "exec",
    "compile",
    "__import__",
}
KEYWORDS = {("trust_remote_code", True), ("allow_pickle", True), ("weights_only", False), ("shell", True)}
SQL = {"execute", "executemany", "executescript", "text"}
SQL_AS_DATA = ("evaluate/sql*.py", "data/text_to_sql/checks.py")
"""Where queries are what the task is about: run in a database in memory, in which nothing is kept."""


def offences(source: str, *, builds_sql: bool = False) -> Iterator[str]:
    """Give what a file does that it must not: unpickle, run what a text says, or build SQL from pieces."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names if alias.name.split(".")[0] in IMPORTS)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if origin.split(".")[0] in IMPORTS:
                yield f"from {origin} import"
            yield from (f"{origin}.{alias.name}" for alias in node.names if f"{origin}.{alias.name}" in CALLS)
        elif isinstance(node, ast.Call):
            yield from _call(node, builds_sql=builds_sql)


def _call(node: ast.Call, *, builds_sql: bool) -> Iterator[str]:
    name = ast.unparse(node.func)
    if name in CALLS:
        yield name
    for keyword in node.keywords:
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if (keyword.arg, value) in KEYWORDS:
            yield f"{keyword.arg}={value}"
    if not builds_sql and name.split(".")[-1] in SQL and node.args and _is_built(node.args[0]):
        yield f"{name} of a text made from pieces"


def _is_built(node: ast.expr) -> bool:
    is_format = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"
    return isinstance(node, ast.JoinedStr | ast.BinOp) or is_format


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "torch.load('x')",
        "from torch import load",
        "yaml.load(x)",
        "np.load('x', allow_pickle=True)",
        "torch.anything('x', weights_only=False)",
        "model(trust_remote_code=True)",
        "eval('1')",
        "exec(code)",
        "subprocess.run(x, shell=True)",
        "c.execute(f'SELECT {x}')",
        "c.execute('SELECT %s' % x)",
        "c.execute('SELECT ' + x)",
        "c.execute(text('SELECT {}'.format(x)))",
    ],
)
def test_the_look_through_the_source_finds(source: str) -> None:
    assert list(offences(source))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "c.execute('SELECT ?', [x])",
        "c.execute(select(x))",
        "model(trust_remote_code=model.runs_own_code)",
        "recorder.text('config.yaml', f'{x}')",
        "json.load(x)",
    ],
)
def test_the_look_through_the_source_leaves_alone(source: str) -> None:
    assert not list(offences(source))


def test_nothing_in_the_source_unpickles_evaluates_or_builds_sql() -> None:
    files = sorted(paths.PACKAGE.rglob("*.py"))
    assert len(files) > 80

    found = {
        str(file.relative_to(paths.PACKAGE)): list(
            offences(file.read_text(encoding="utf-8"), builds_sql=any(file.match(place) for place in SQL_AS_DATA))
        )
        for file in files
    }

    # A program that a model wrote is run there, in a process that is shut in: docs/decisions/code.md.
    inmate = str(Path("evaluate", "code_inmate.py"))
    assert {name: what for name, what in found.items() if what} == {inmate: ["exec", "compile"]}
