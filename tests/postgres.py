"""A real PostgreSQL server for the tests: in a folder of its own, gone when the tests are.

Started as a child process, not by pg_ctl, so that the kernel ends it with us however we end.
"""

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
max_connections = 100
shared_buffers = 16MB
# Speed: what a power cut would lose is not asked here.
fsync = off
synchronous_commit = off
full_page_writes = off
"""
_START_S = 60
_STOP_S = 30


def programs() -> Path | None:
    """Return the folder of initdb and postgres, the newest version's, or None where they are not installed."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    # By number: 9 is older than 15.
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)
    whole = (folder for folder in folders if (folder / "initdb").is_file() and (folder / "postgres").is_file())
    return next(whole, None)


class Postgres:
    """A server on a free loopback port; `tune` owns its databases and has a password."""

    def __init__(self, bin_dir: Path, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_hex(16)
        self.port = _free_port()
        self._bin_dir = bin_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._initialize()

    def url(self, database: str) -> str:
        """Return the SQLAlchemy address of a database that is made now, in the place of one of that name."""
        with self.connect() as connection:
            name = sql.Identifier(database)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        return f"postgresql+psycopg://tune:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
        """Return a connection in which every statement counts at once."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="tune",
            password=self.password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    @property
    def log(self) -> str:
        """Return what the server wrote."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Return when the server answers."""
        assert self._process is None, "it runs"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin_dir / "postgres", "-D", self._data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # a Ctrl-C at the tests is not one at the server
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread of ours is in C code here
                **_unprivileged(),
            )
        until = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(psycopg.OperationalError), self.connect():
                return
            time.sleep(0.05)
        self.stop()
        msg = f"PostgreSQL did not start: {self.log}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """End the server and everybody's connections; what was committed stays."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)  # "fast": waits for nobody
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Stop and start it: same port, same databases."""
        self.stop()
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _initialize(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password, encoding="utf-8")
        who = _unprivileged()
        if who:
            for path in (self.folder, secret):
                os.chown(path, who["user"], who["group"])
        options = ["--username=tune", f"--pwfile={secret}", "--auth=scram-sha-256"]
        options += ["--no-sync", "--encoding=UTF8", "--no-locale"]
        command: Sequence[str | Path] = [self._bin_dir / "initdb", "-D", self._data, *options]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **who)
        if done.returncode:
            msg = f"initdb failed: {done.stdout}{done.stderr}"
            raise RuntimeError(msg)
        secret.unlink()
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS.format(port=self.port, folder=self.folder))


@contextmanager
def running(bin_dir: Path) -> Iterator[Postgres]:
    """Run a server; afterwards nothing of it is left."""
    # Not below pytest's folder, which only its owner may enter; and short, for a socket's path ends at 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="tune-pg-"))
    server = None
    try:
        server = Postgres(bin_dir, folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)


def _unprivileged() -> dict[str, Any]:
    """Return whom the server runs as: it refuses root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG; SIGQUIT is PostgreSQL's "immediate"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
