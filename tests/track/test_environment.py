"""What a run was made with, and what is never written about it."""

import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tune import paths
from tune.track.environment import environment, redact

FAKE = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def test_the_environment_names_interpreter_platform_and_libraries() -> None:
    found = environment()

    assert found["python"] == platform.python_version()
    assert int(found["cpus"]) >= 1
    assert found["torch"].split(".")[0].isdigit()
    assert found["numpy"].split(".")[0].isdigit()


def test_the_environment_leaves_out_host_name_and_variables(monkeypatch) -> None:
    monkeypatch.setenv("SOME_VARIABLE", "its-telling-value")

    text = str(environment())

    assert "its-telling-value" not in text
    assert socket.gethostname() not in text


def test_no_library_is_imported_to_learn_its_version() -> None:
    code = "import sys, tune.track.environment as e; e.environment(); print({'torch', 'mlflow'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_env())

    assert done.stdout.strip() == "set()"


def test_the_commit_is_named_and_a_change_makes_it_dirty(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(paths, "checkout", lambda: tmp_path)
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("1")
    _git(tmp_path, "add", "file")
    _git(tmp_path, "-c", "user.name=n", "-c", "user.email=e@x", "commit", "--quiet", "-m", "first")
    commit = _git(tmp_path, "rev-parse", "HEAD")

    clean = environment()
    (tmp_path / "file").write_text("2")
    dirty = environment()

    assert (clean["git_commit"], clean["git_dirty"]) == (commit, "false")
    assert (dirty["git_commit"], dirty["git_dirty"]) == (commit, "true")


def test_outside_a_checkout_and_without_git_there_is_no_commit(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(paths, "checkout", lambda: tmp_path)
    assert "git_commit" not in environment()

    monkeypatch.setenv("PATH", "")
    assert "git_dirty" not in environment()


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ("postgresql://me:hunter2@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("postgresql+psycopg://me:a/b@db/x", "postgresql+psycopg://me:***@db/x"),
        ("mysql://me:p@ss@db/x", "mysql://me:***@db/x"),
        ("https://dapi123@host:5000/x", "https://***@host:5000/x"),
        ("redis://:secret@cache", "redis://:***@cache"),
        ("postgresql+psycopg://me:p%40s%2Fs%3Aw@db:5432/x", "postgresql+psycopg://me:***@db:5432/x"),
        ("postgresql+psycopg://me:p@s/s:w@db:5432/x", "postgresql+psycopg://me:***@db:5432/x"),
        ("host=db user=me password=hunter2 dbname=x", "host=db user=me password=*** dbname=x"),
        ("password = 'hun ter\\'s' dbname=x", "password = *** dbname=x"),
        ("PGPASSWORD=hunter2 python -m tune", "PGPASSWORD=*** python -m tune"),
        ('{"password": "hun\\"ter2", "b": null}', '{"password": "***", "b": null}'),
        ('{"dsn": "host=db password=\\"hun ter2\\" user=me"}', '{"dsn": "host=db password=*** user=me"}'),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer ***"),
        ("postgresql://db/x?user=me&password=hunter2&connect=1", "postgresql://db/x?user=me&password=***&connect=1"),
        ('{"a":"https://u:p@h","b":1}', '{"a":"https://u:***@h","b":1}'),
        (f"hf_{FAKE} and sk-{FAKE}, sk-proj-{FAKE}.", "*** and ***, ***."),
        (f"ghp_{FAKE} github_pat_{FAKE} AKIAIOSFODNN7EXAMPLE", "*** *** ***"),
    ],
)
def test_passwords_and_tokens_are_starred(told: str, written: str) -> None:
    assert redact(told) == written


@pytest.mark.parametrize(
    "harmless",
    [
        "http://localhost:5000/experiments/1",
        "http://127.0.0.1:5000/mail@example.org",
        '{"url":"http://h:80","mail":"a@b"}',
        "ssh://git@example.org/repo",
        'FATAL:  password authentication failed for user "tune"',
        '{"password": null, "eos_token": "<|im_end|>"}',
        "max_new_tokens=8 eos_token=<|im_end|>",
        "hf_hub_download of task-specific-evaluation-harness",
        "sk-learn-style-names-without-a-number",
        "meta-llama/Llama-3.1-8B-Instruct",
    ],
)
def test_what_is_no_secret_stays(harmless: str) -> None:
    assert redact(harmless) == harmless


def test_values_of_secret_variables_are_starred_wherever_they_stand(monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "plainword-one")
    monkeypatch.setenv("aws_secret_access_key", "plainword-one-and-more")
    monkeypatch.setenv("PGPASSWORD", "plainword-two")
    monkeypatch.setenv("OPENAI_API_KEY", "plainword-three")

    told = "plainword-one, plainword-one-and-more, plainword-two, plainword-three"

    assert redact(told) == "***, ***, ***, ***"


def test_a_secret_is_starred_as_addresses_and_json_write_it(monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", 'ml@flow/pa"ss')
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

    for told in (
        'ml@flow/pa"ss',
        'ml@flow/pa\\"ss',
        "ml%40flow/pa%22ss",
        "ml%40flow%2Fpa%22ss",
        "0123456789abcdef0123456789abcdef01234567",
        "wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY",
    ):
        assert redact(f"<{told}>") == "<***>"


def test_the_password_of_an_address_in_the_environment_is_starred_alone_too(monkeypatch) -> None:
    monkeypatch.setenv("SOME_DATABASE", "postgresql+psycopg://me:top%40secret-word@db/x")
    monkeypatch.setenv("SOME_PAGE", "http://127.0.0.1:5000/people@example.org")

    assert redact("top@secret-word top%40secret-word people") == "*** *** people"


def test_a_long_text_without_spaces_is_read_in_no_time() -> None:
    started = time.perf_counter()

    for long in ("x" * 1_000_000 + "://", "x-" * 500_000, "password " * 100_000):
        assert redact(long) == long
    assert time.perf_counter() - started < 5  # seconds; backtracking over it all would take hours


def test_short_values_and_tokenizer_settings_are_no_secrets(monkeypatch) -> None:
    monkeypatch.setenv("USE_TOKEN", "true")
    monkeypatch.setenv("TOKENIZER_MODEL", "smollm2-135m")

    assert redact("it is true that smollm2-135m answers") == "it is true that smollm2-135m answers"


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.strip()


def _env() -> dict[str, str]:
    return {"PYTHONPATH": str(paths.PACKAGE.parent), "PATH": ""}


PRINTS = """
import logging, os, sys, traceback
from tune.track.output import print_no_secrets
print_no_secrets()
secret = os.environ["A_PASSWORD"]
print("out", secret)
sys.stderr.writelines([f"lines {secret}\\n"])
logging.warning("log %s", secret)
try:
    raise ValueError(f"one\\ntwo {secret}")
except ValueError as error:
    traceback.print_exception(error)
assert sys.stderr.fileno() == 2
raise RuntimeError(f"last {secret}")
"""


def test_what_a_process_prints_holds_no_secret() -> None:
    secret = "correct horse/battery+staple"  # noqa: S105 - of nobody
    command = [sys.executable, "-c", PRINTS]
    done = subprocess.run(
        command, env=os.environ | {"A_PASSWORD": secret}, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert done.stdout == "out ***\n"
    for said in ("lines ***", "WARNING:root:log ***", "ValueError: one\ntwo ***", "RuntimeError: last ***"):
        assert said in done.stderr
    assert secret not in done.stderr
