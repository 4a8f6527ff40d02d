"""The database comes up once, stays out of the way, and may go away for a while."""

import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
import sqlalchemy

from tests.postgres import Postgres
from tests.study.test_attempts import DONE
from tune.config.compose import compose
from tune.errors import StudyError
from tune.study.attempts import end
from tune.study.claim import claim
from tune.study.database import engine, is_away, open_storage, patiently, shown, storage_url
from tune.study.lock import study_lock
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import open_study

OPEN = """
import sys
from pathlib import Path
from tune.config.compose import compose
from tune.study.storage import open_study
study, is_new = open_study(compose(["+sweep=smoke", *sys.argv[2:]]), Path(sys.argv[1]))
print(is_new)
"""
HOLD = """
import sys, time
from pathlib import Path
from tune.config.compose import compose
from tune.study.storage import open_study
from tune.study.lock import study_lock
study, _ = open_study(compose(["+sweep=smoke", *sys.argv[2:]]), Path(sys.argv[1]))
with study_lock(study):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Overrides that name an empty database."""
    if request.param == "sqlite":
        return [f"study.storage='sqlite:///{tmp_path / 'elsewhere.db'}'"]
    return [f"study.storage='{request.getfixturevalue('postgres').url(f'place_{uuid.uuid4().hex}')}'"]


def child(program: str, *words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", program, *map(str, words)], stdout=-1, stderr=-1, text=True)


def test_six_processes_may_meet_an_empty_database(tmp_path: Path, place: list[str]) -> None:
    processes = [child(OPEN, tmp_path, *place) for _ in range(6)]
    said = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0] * 6, said
    assert sorted(out.strip() for out, _ in said) == ["False"] * 5 + ["True"]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, place: list[str]) -> None:
    study, _ = open_study(compose(["+sweep=smoke", *place]), tmp_path)
    holder = child(HOLD, tmp_path, *place)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    got: list[float] = []

    def take() -> None:
        with study_lock(study):
            got.append(time.monotonic())

    waiting = threading.Thread(target=take)
    waiting.start()
    waiting.join(0.5)
    assert not got, "two held the lock at once"
    holder.kill()
    holder.communicate(timeout=30)
    waiting.join(30)

    assert got
    engine(study).dispose()


def test_a_result_is_told_once_although_the_database_restarts(tmp_path: Path, postgres: Postgres) -> None:
    config = compose(["+sweep=smoke", f"study.storage='{postgres.url('restarts')}'", "study.sampler=tpe"])
    config.study.n_trials = 2
    study, _ = open_study(config, tmp_path)
    space = parse_space(config)
    claimed = patiently(lambda: claim(study, config, space, worker=sign()), limit_s=30)
    assert claimed is not None
    told: list[bool] = []

    def tell() -> None:
        told.append(patiently(lambda: end(study, claimed.number, DONE, value=0.5, about={"ending": "t"}), limit_s=60))

    postgres.stop()
    telling = threading.Thread(target=tell)
    telling.start()
    telling.join(1)
    assert telling.is_alive(), "it was told to a database that is away"
    postgres.start()  # by this thread: the server goes when the thread that started it does
    telling.join(60)

    assert told == [True]
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"]
    assert not end(study, claimed.number, DONE, value=0.7)
    engine(study).dispose()


@pytest.mark.parametrize("statement", ["FROM trials", "FROM trial_values", "FROM trial_user_attributes"])
def test_a_connection_lost_amid_a_reading_counts_as_away(tmp_path: Path, postgres: Postgres, statement: str) -> None:
    # Optuna catches the loss in the second statement and asks once more, which SQLAlchemy refuses in other words.
    url = postgres.url(f"amid_{uuid.uuid4().hex}")
    config = compose(["+sweep=smoke", f"study.storage='{url}'", "study.sampler=random", "study.n_trials=2"])
    study, _ = open_study(config, tmp_path)
    study.enqueue_trial({"lora.rank": 2})
    cut: list[str] = []

    def lose(_: Any, cursor: Any, text: str, *__: object) -> None:
        if statement in text and not cut:
            cut.append(text)
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [cursor.connection.info.backend_pid])

    sqlalchemy.event.listen(engine(study), "before_cursor_execute", lose)
    with pytest.raises(optuna.exceptions.StorageInternalError) as lost:
        study.get_trials(deepcopy=False)

    assert cut
    assert is_away(lost.value)
    assert [trial.state.name for trial in patiently(lambda: study.get_trials(deepcopy=False), limit_s=5)] == ["WAITING"]
    engine(study).dispose()


def test_a_database_that_stays_away_is_said_so_without_its_password(tmp_path: Path, postgres: Postgres) -> None:
    config = compose(["+sweep=smoke", f"study.storage='{postgres.url('away')}'"])
    study, _ = open_study(config, tmp_path)
    postgres.stop()
    try:
        with pytest.raises(StudyError, match=r"study\.storage_wait_s=1") as refused:
            patiently(lambda: study.get_trials(deepcopy=False), limit_s=1)
        with pytest.raises(StudyError, match="cannot be opened") as unopened:
            open_storage(storage_url(config, tmp_path), tmp_path)
    finally:
        postgres.start()
        engine(study).dispose()

    for said in (str(refused.value), str(unopened.value)):
        assert postgres.password not in said
        assert len(said.splitlines()) == 1


def test_no_password_is_kept_with_the_study(tmp_path: Path, postgres: Postgres) -> None:
    study, _ = open_study(compose(["+sweep=smoke", f"study.storage='{postgres.url('secret')}'"]), tmp_path)

    assert postgres.password not in str(study.user_attrs)
    assert shown(postgres.url("secret")).endswith(f":***@127.0.0.1:{postgres.port}/secret")
    engine(study).dispose()


def test_what_is_no_absence_is_not_waited_for() -> None:
    def broken() -> None:
        msg = "a bug"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="a bug"):
        patiently(broken, limit_s=60)
    assert not is_away(None)


def test_a_full_disk_is_no_absence() -> None:
    import sqlite3

    from sqlalchemy.exc import OperationalError

    full = OperationalError("INSERT", None, sqlite3.OperationalError("database or disk is full"))
    locked = OperationalError("INSERT", None, sqlite3.OperationalError("database is locked"))

    assert not is_away(full)
    assert is_away(locked)


def test_the_environment_names_the_database_where_the_key_does_not(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TUNE_STORAGE", "postgresql+psycopg://of-the-environment/db")

    assert storage_url(compose(["study.storage='sqlite:///mine.db'"]), tmp_path) == "sqlite:///mine.db"
    assert storage_url(compose([]), tmp_path) == "postgresql+psycopg://of-the-environment/db"
    monkeypatch.delenv("TUNE_STORAGE")
    assert storage_url(compose([]), tmp_path) == f"sqlite:///{tmp_path / 'optuna.db'}"
