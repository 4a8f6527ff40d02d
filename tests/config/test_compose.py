"""Mistakes on the command line are told in one paragraph, before torch is imported."""

import subprocess
import sys

import pytest

from tune.config import rules
from tune.config.compose import compose, difference, from_yaml, leaves, sweep_names, to_yaml, with_values
from tune.config.schema import Config
from tune.errors import ConfigError

ROWS = ["data=jsonl", "data.path=rows.jsonl"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("lora.rnk=3", ["lora.rnk", "does not exist", "lora.rank"]),
        ("+lora.rnk=3", ["lora.rnk", "lora.rank"]),
        ("lora=foo", ["lora=foo", "There is: adalora, dora, eva, "]),
        ("model=smollm", ["model=smollm", "smollm2_135m"]),
        ("+sweep=rank_alfa", ["+sweep=rank_alfa", "Did you mean rank_alpha"]),
        ("mdoel=tiny", ["mdoel", "Did you mean model"]),
        ("lora.rank=many", ["lora.rank=many", "Integer"]),
        ("data.metrics=[bleuu]", ["data.metrics=[bleuu]", "execution, exact_match, numeric", "Did you mean bleu"]),
        ("data.scoring.normalise=[articel]", ["articel", "Did you mean articles"]),
        ("lora.rank=[", ["lora.rank=[", "key=value"]),
    ],
)
def test_a_mistake_names_the_key_and_a_way_out(override: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])

    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["lora.rank=0"], ["lora.rank=0", "1 or more"]),
        (["train.learning_rate=0"], ["train.learning_rate=0", "above 0"]),
        (["train.learning_rate=nan"], ["train.learning_rate=nan", "above 0"]),
        (["lora.dropout=1"], ["lora.dropout=1", "up to but not 1"]),
        (["data=gsm8k"], ["data=gsm8k", "data.path"]),
        (["data=jsonl", "data.path=x", "data.metrics=[execution]"], ["execution", "text_to_sql"]),
        (["evaluate.n_shot=4"], ["evaluate.n_shot=4", "3 solved"]),
        (["evaluate.mmlu_dir=x"], ["evaluate.mmlu_dir", "evaluate=mmlu"]),
        (["data.metrics=[]"], ["data.metrics=[]"]),
        (["track.uri=sqlite:///x.db"], ["track.uri=sqlite:///x.db", "http:// or https://", "track.folder"]),
        (["track.uri=localhost:5000"], ["track.uri=localhost:5000", "http://127.0.0.1:5000"]),
        (["track.uri=http://:5000"], ["track.uri=http://:5000"]),
        (["track.uri=http://host:port"], ["track.uri=http://host:port"]),
        (["track.uri='http://me:hunter22@host'"], ["track.uri=…@host", "TUNE_TRACKING_URI"]),
        (["lora.targets=everything"], ["lora.targets=everything", "all_linear, attention, down, gate"]),
        (["lora.targets=q+dwon"], ["lora.targets=q+dwon", "dwon is unknown", "Did you mean down"]),
        (["lora.targets=q+"], ["lora.targets=q+", "an empty word"]),
        (["lora.targets='re:(q'"], ["lora.targets=re:(q", "unterminated subpattern", "whole names"]),
        (["lora.layers=top"], ["lora.layers=top", "top 8", "0-7"]),
        (["lora.layers=top 0"], ["lora.layers=top 0"]),
        (["lora.layers=7-3"], ["lora.layers=7-3", "0+2+5"]),
        (["lora.layers=0+x"], ["lora.layers=0+x"]),
        ([*ROWS, "data.balance.how=cap"], ["data.balance.how=cap needs data.balance.cap"]),
        ([*ROWS, "data.balance.cap=5"], ["data.balance.cap=5 has no effect with data.balance.how=none"]),
        ([*ROWS, "data.balance.column=kind"], ["data.balance.column=kind has no effect"]),
        ([*ROWS, "data.mix.share=0.1"], ["data.mix.share needs data.mix.path"]),
        ([*ROWS, "data.mix.share=1.1"], ["data.mix.share=1.1", "from 0 to 1"]),
        ([*ROWS, "data.layout=columns"], ["data.columns.question and data.columns.answer"]),
        ([*ROWS, "data.columns.question=q"], ["data.columns.answer is not set"]),
        ([*ROWS, "data.clean.min_words=9", "data.clean.max_words=3"], ["data.clean.min_words=9", "no row can stay"]),
        ([*ROWS, "data.validation=1.5"], ["data.validation=1.5", "a whole number of rows"]),
        (["data.validation=0.1"], ["data.validation set what is done with rows of files", "generated"]),
        (["data.clean.min_words=3"], ["data.clean set what is done with rows of files"]),
        (["data.columns.label=kind", "data.balance.how=resample"], ["data.columns set", "data.balance.how=resample"]),
        (["+sweep=smoke", "sweep.naem=x"], ["the key sweep.naem does not exist", "sweep.name"]),
        (
            ["+sweep=smoke", "sweep.space.lora.rank=[2]"],
            ["sweep.space.lora.rank", "'+sweep.space={KEY:[VALUE,VALUE]}'"],
        ),
        (["sweep.name=x"], ["sweep.name: there is no sweep to change", "+sweep=NAME"]),
        (["+sweep=mix_share"], ["data.mix.share needs data.mix.path"]),
        (["lora.rank=0", "lora.alpha=0"], ["lora.rank=0", "lora.alpha=0"]),
    ],
)
def test_values_out_of_range_are_refused_all_at_once(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        rules.check(compose(overrides))

    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://me:hunter22@host", "TUNE_TRACKING_URI=…@host is not allowed"),
        ("host:5000", "TUNE_TRACKING_URI=host:5000 is not allowed"),
    ],
)
def test_a_server_of_the_environment_is_checked_and_its_password_not_told(monkeypatch, address, said) -> None:
    monkeypatch.setenv("TUNE_TRACKING_URI", address)

    with pytest.raises(ConfigError, match=said) as caught:
        rules.check(compose([]))

    assert "hunter22" not in str(caught.value)
    rules.check(compose(["track.uri=https://host/mlflow"]))  # the key comes first


def test_a_server_of_the_environment_may_have_a_password(monkeypatch) -> None:
    monkeypatch.setenv("TUNE_TRACKING_URI", "https://me:hunter22@host:5000/mlflow")

    rules.check(compose([]))


def test_every_range_belongs_to_a_key() -> None:
    assert set(rules.RANGES) <= set(leaves(Config()))


def test_the_difference_from_the_default_composes_the_same_trial() -> None:
    config = compose(["+sweep=smoke", "lora.rank=3", "data.system='It is one, two: three'"])

    again = compose(difference(config))

    assert again.lora == config.lora
    assert again.model == config.model
    assert again.data == config.data
    assert again.sweep is None


def test_yaml_carries_a_whole_configuration() -> None:
    config = compose(["+sweep=joint", "model=tiny"])

    assert from_yaml(to_yaml(config)) == config


def test_with_values_checks_keys_and_types() -> None:
    config = compose([])

    assert with_values(config, {"lora.rank": 3}).lora.rank == 3
    with pytest.raises(ConfigError, match=r"lora\.rnk"):
        with_values(config, {"lora.rnk": 3})
    with pytest.raises(ConfigError, match=r"lora\.rank=x"):
        with_values(config, {"lora.rank": "x"})


def test_a_config_folder_of_ones_own_adds_options_and_sweeps(tmp_path) -> None:
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "mine.yaml").write_text("rank: 5\nalpha: 7\n")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "own.yaml").write_text(
        "# @package _global_\nsweep:\n  name: own\n  space:\n    lora.rank: [1, 2]\nstudy:\n  sampler: grid\n"
    )

    config = compose(["lora=mine", "+sweep=own"], config_dir=tmp_path)

    assert (config.lora.rank, config.lora.alpha) == (5, 7)
    assert config.sweep is not None
    assert config.sweep.name == "own"


def test_there_are_sweeps() -> None:
    names = (
        "dropout forgetting guard joint learning_rate methods mix_share pareto quantization rank_alpha seeds smoke "
        "target_modules"
    )
    assert sweep_names() == names.split()


def test_a_mistake_comes_back_with_code_2_and_without_torch() -> None:
    code = (
        "import sys; from tune.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'mlflow', 'optuna'} & set(sys.modules); print(code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code, "lora.rnk=3"], capture_output=True, text=True, check=True)

    assert done.stdout == "2 []\n"
    assert done.stderr.startswith("tune: the key lora.rnk does not exist.")
