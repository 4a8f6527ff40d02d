"""Secrets in the environment and in the storage's address are found nowhere afterwards."""

import base64
import http.client
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg import sql

from tests.postgres import Postgres
from tests.promises.secret_forms import contents, leaks, secret
from tests.promises.study_process import CELLS, processes, started, tune, wait_until

NAMES = ("HF_TOKEN", "OPENAI_API_KEY", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY")
BUG = Path(__file__).with_name("tells_secrets")


@pytest.mark.promise(26)
@pytest.mark.slow
@pytest.mark.long
def test_secrets_are_in_no_file_row_log_page_or_command_line(runs: Path, postgres: Postgres, evidence) -> None:
    values = {name: secret() for name in NAMES}
    password, url = keeper(postgres)
    bug = {
        "PYTHONPATH": os.pathsep.join([str(BUG), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "TESTS_FIRST": str(runs.parent / "first"),
        "TESTS_SECRETS": ",".join([*NAMES, "TUNE_STORAGE"]),
    }
    told = {**values, "TUNE_STORAGE": url}
    values["password of TUNE_STORAGE"] = password

    study = started(*CELLS, "study.n_trials=2", folder=runs, **told, **bug)
    lines: set[str] = set()
    while study.poll() is None:
        lines |= set(processes())
        time.sleep(0.1)
    said = "".join(study.communicate())
    commands = {"study": said, "ps": "\n".join(lines)}
    for words in (["report", "cells"], ["report", "cells", "report.format=json"], ["status", "cells"], ["config"]):
        done = tune(*words, folder=runs, **told)
        assert done.returncode == 0, done.stderr
        commands[" ".join(words)] = done.stdout + done.stderr
    pages = dict(pages_of(runs, **told))
    table_rows = list(rows_of(postgres, "secrets"))
    files = [*contents(runs), *contents(runs.parent / "cache")]

    assert study.returncode == 0, said
    assert any(f" tune worker cells track.folder='{runs}'" in line for line in lines)
    assert "trial 0 failed (bug)" in said, "the bug was met"
    places = [*files, *pages.items(), *((name, text.encode()) for name, text in commands.items()), *table_rows]
    assert {str(place): found for place, content in places if (found := leaks(content, values))} == {}
    evidence(
        f"{len(values)} secrets, and a bug that tells all of them, in none of {len(files)} files and dumps, "
        f"{len(table_rows)} rows of PostgreSQL, {len(pages)} pages and answers, {len(commands) - 1} commands' output "
        f"and {len(lines)} command lines; raw, percent-encoded, in JSON, hex and base64"
    )


@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda value: quote(value, safe=""),
        lambda value: json.dumps({"a": value}),
        lambda value: base64.b64encode(f"user:{value} and more".encode()).decode(),
        lambda value: base64.b64encode(f"me:{value}".encode()).decode(),
        lambda value: base64.b64encode(value.encode()).decode(),
    ],
)
def test_a_secret_is_found_however_it_is_written(write) -> None:
    value = secret()

    assert leaks(f"before {write(value)} after".encode(), {"it": value, "other": secret()}) == {"it"}


def test_a_secret_is_found_inside_a_database(tmp_path: Path) -> None:
    value = secret()
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("CREATE TABLE t (text TEXT)")
        connection.execute("INSERT INTO t VALUES (?)", ["x" * 5000 + value])

    assert [leaks(content, {"it": value}) for _, content in contents(tmp_path)][-1] == {"it"}


def keeper(postgres: Postgres) -> tuple[str, str]:
    """Return the password of a new role, in which there are signs that an address must escape, and its address."""
    password, url = secret(), postgres.url("secrets")
    with postgres.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS keeper")
        connection.execute(sql.SQL("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD {}").format(password))
    return password, url.replace(f"tune:{postgres.password}", f"keeper:{quote(password, safe='')}")


def rows_of(postgres: Postgres, database: str) -> Iterator[tuple[str, bytes]]:
    """Yield every row of every table of a database."""
    with postgres.connect(database) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        assert ("trials",) in tables
        for (name,) in tables:
            for (row,) in connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))):
                yield f"{database}.{name}", row.encode()


def pages_of(runs: Path, **variables: str) -> Iterator[tuple[str, bytes]]:
    """Yield what the web pages answer of every run, and what their server says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    ui = started("ui", f"track.port={port}", folder=runs, **variables)
    wait_until(lambda: ui.poll() is not None or answers(port), "the pages are there")
    yield "/", ask(port, "/")
    experiments = ask(port, "/api/2.0/mlflow/experiments/search", {"max_results": 100})
    yield "experiments", experiments
    ids = [one["experiment_id"] for one in json.loads(experiments)["experiments"]]
    found = ask(port, "/api/2.0/mlflow/runs/search", {"experiment_ids": ids})
    yield "runs", found
    run_ids = [run["info"]["run_id"] for run in json.loads(found)["runs"]]
    assert len(run_ids) == 3, "the study's and two trials'"
    for run_id in run_ids:
        yield f"run {run_id}", ask(port, f"/api/2.0/mlflow/runs/get?run_id={run_id}")
        listed = ask(port, f"/api/2.0/mlflow/artifacts/list?run_id={run_id}")
        yield f"files of {run_id}", listed
        for file in json.loads(listed).get("files", []):
            if not file["is_dir"]:
                yield f"{run_id}: {file['path']}", ask(port, f"/get-artifact?run_uuid={run_id}&path={file['path']}")
    os.killpg(ui.pid, signal.SIGTERM)
    yield "ui", "".join(ui.communicate(timeout=60)).encode()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, path: str, post: dict[str, Any] | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("GET" if post is None else "POST", path, json.dumps(post) if post else None, headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return content
