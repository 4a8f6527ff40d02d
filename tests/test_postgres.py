"""The server that other tests lean on is a real one, and comes back after a restart."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.postgres import Postgres


def ask(url: str, statement: str) -> object:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            done = connection.execute(text(statement))
            return done.scalar() if done.returns_rows else None
    finally:
        engine.dispose()


def test_a_database_is_made_fresh_and_outlives_a_restart(postgres: Postgres) -> None:
    url = postgres.url("fixture")
    ask(url, "CREATE TABLE kept (number INTEGER)")
    ask(url, "INSERT INTO kept VALUES (42)")

    postgres.restart()

    assert ask(url, "SELECT number FROM kept") == 42
    assert ask(postgres.url("fixture"), "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'") == 0


def test_a_stopped_server_refuses_and_a_started_one_answers(postgres: Postgres) -> None:
    postgres.stop()
    with pytest.raises(psycopg.OperationalError):
        postgres.connect()

    postgres.start()

    with postgres.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_password_is_asked_for(postgres: Postgres) -> None:
    url = postgres.url("fixture").replace(postgres.password, "another")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace("+psycopg", ""))


PROGRAM = """
import sys, time
from tests.postgres import programs, running
with running(programs()) as server:
    print(server.folder, server.port, flush=True)
    time.sleep(300)
"""


def test_the_server_is_gone_when_the_tests_are_killed(postgres: Postgres) -> None:
    del postgres  # where there is none, this is skipped too
    root = Path(__file__).parents[1]
    owner = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, cwd=root)
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().split()[0])
    pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])

    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()

    until = time.monotonic() + 20
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)
    shutil.rmtree(folder)  # nobody else is left to do it


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
