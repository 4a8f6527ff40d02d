"""A real MLflow server is written to, goes away in the middle, and comes back; and what other answers are taken for."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tune.config.schema import TrackConfig
from tune.errors import ConfigError, StoreAway, TrackingError
from tune.track.buffer import buffered_run
from tune.track.mlflow_server import ServerStore
from tune.track.mlflow_store import MlflowStore
from tune.track.place import open_store
from tune.track.recorder import RunStatus
from tune.track.replay import replay, unsent

# MLflow's own use of SQLAlchemy, on import
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")

PREPARE = """
import os, sys
from pathlib import Path
from tune.track import mlflow_client, mlflow_server
mlflow_client.load_mlflow()
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        mlflow_server.ServerStore(sys.argv[1], "together", folder=Path(sys.argv[2])).prepare()
        os._exit(0)  # not reached after an error, which ends the child with 1
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""

DIE = """
import os, signal, sys
from pathlib import Path
from tune.track.buffer import buffered_run
from tune.track.mlflow_server import ServerStore
folder = Path(sys.argv[2])
trial = buffered_run(ServerStore(sys.argv[1], "tune", folder=folder), folder, name="killed", study_run_id=None, tags={})
for step in range(50):
    trial.metrics({"train/loss": float(step)}, step=step)
os.kill(os.getpid(), signal.SIGKILL)
"""


class Server:
    """A tracking server on a port of its own, that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        place = ["--backend-store-uri", f"sqlite:///{self._folder}/server.db"]
        place += ["--artifacts-destination", str(self._folder / "files")]
        bound = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command = [sys.executable, "-m", "mlflow", "server", *place, *bound]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | settings, start_new_session=True
            )
        ends = time.monotonic() + 120
        while time.monotonic() < ends and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        pytest.fail(f"the server did not come up: {(self._folder / 'log').read_text()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)
            self._process.wait(timeout=60)
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop(signal.SIGKILL)


def downloaded(store: ServerStore, run_id: str, name: str, folder: Path) -> str:
    return Path(store.call("download_artifacts", run_id, name, str(folder))).read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_a_killed_process_recorded_before_the_server_came_is_sent_by_another(
    server, points, start, tmp_path: Path
) -> None:
    server.stop()
    victim = start(DIE, server.uri, tmp_path)
    said = victim.communicate(timeout=120)
    assert victim.returncode == -signal.SIGKILL, said
    store = ServerStore(server.uri, "tune", folder=tmp_path)
    with pytest.raises(StoreAway):
        replay(store, tmp_path)

    server.start()

    assert replay(store, tmp_path) == 51
    (run,) = store._search("attributes.run_name = 'killed'")
    assert points(store, run.info.run_id, "train/loss") == [(step, float(step)) for step in range(50)]
    assert unsent(tmp_path) == 0


@pytest.mark.slow
def test_a_server_that_stops_in_the_middle_and_comes_back_holds_every_step_once(
    server, points, start, tmp_path: Path
) -> None:
    server.start() if server._process is None else None
    many = start(PREPARE, server.uri, tmp_path)
    said = many.communicate(timeout=120)
    assert many.returncode == 0, said  # how many of the four failed

    store = ServerStore(server.uri, "tune", folder=tmp_path)
    store.prepare()
    study = store.study_run("rank_alpha", tags={})
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "weights").write_text("w")
    trial = buffered_run(store, tmp_path / "t", name="t", study_run_id=study.run_id, tags={"tune.number": "0"})
    trial.params({"lora.rank": 8})
    assert trial.run_id is not None
    longest_s = 0.0
    for step in range(200):
        if step == 100:
            server.stop()
        began = time.monotonic()
        trial.metrics({"train/loss": float(step)}, step=step)
        longest_s = max(longest_s, time.monotonic() - began)
        time.sleep(0.01)  # a training step
    trial.metrics({"task/score": 0.5})
    trial.tags({"tune.reason": "none"})
    trial.text("config.yaml", "seed: 0 # ü")
    trial.artifact(adapter)
    trial.finish(RunStatus.finished)
    assert not trial.flush(limit_s=2)
    assert f"{server.uri} does not answer" in trial.away

    server.start()

    assert trial.close(limit_s=60), trial.trouble or trial.away
    assert longest_s < 1
    assert points(store, trial.run_id, "train/loss") == [(step, float(step)) for step in range(200)]
    (child,) = store.children(study.run_id)
    assert (child.run_id, child.status) == (trial.run_id, RunStatus.finished)
    assert (child.params, child.metrics["task/score"]) == ({"lora.rank": "8"}, 0.5)
    assert (child.tags["tune.number"], child.tags["tune.reason"]) == ("0", "none")
    assert downloaded(store, trial.run_id, "config.yaml", tmp_path) == "seed: 0 # ü"
    assert downloaded(store, trial.run_id, "adapter/weights", tmp_path) == "w"
    with pytest.raises(TrackingError, match=f"(?s)record in {server.uri} failed: .*not found.* Take the id"):
        store.open("0" * 32)


@pytest.fixture
def answering() -> Iterator[Callable[[int], str]]:
    """Start a server that gives one answer to everything; return its address."""
    servers: list[HTTPServer] = []

    def answering(code: int) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(code)
                self.end_headers()
                self.wfile.write(b"<html>this is no MLflow</html>")

            do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://me:hunter22@127.0.0.1:{servers[-1].server_port}"

    yield answering
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("code", [429, 502, 503, 504])
def test_a_server_that_is_not_ready_is_away(answering, tmp_path: Path, code: int) -> None:
    store = ServerStore(answering(code), "tune", folder=tmp_path)

    with pytest.raises(StoreAway, match=rf"http://me:\*\*\*@127.* does not answer \(HTTP {code}\)\. Start it") as told:
        store.prepare()

    assert "hunter22" not in str(told.value)


@pytest.mark.parametrize("code", [200, 401, 404, 500])
def test_a_server_that_answers_something_else_is_trouble_and_not_away(answering, tmp_path: Path, code: int) -> None:
    store = ServerStore(answering(code), "tune", folder=tmp_path)

    with pytest.raises(TrackingError, match=r"record in http://me:\*\*\*@127\.0\.0\.1:\d+ failed: ") as told:
        store.prepare()

    assert not isinstance(told.value, StoreAway)
    assert "hunter22" not in str(told.value)


def test_no_such_host_is_said_in_a_moment_without_the_password(tmp_path: Path) -> None:
    store = ServerStore("http://me:hunter22@nowhere.invalid:5000", "tune", folder=tmp_path)
    store._client  # noqa: B018 - MLflow's import is not what is timed
    started = time.monotonic()

    with pytest.raises(StoreAway) as told:
        store.prepare()

    assert time.monotonic() - started < 5
    assert "http://me:***@nowhere.invalid:5000 does not answer" in str(told.value)
    assert "hunter22" not in str(told.value)


def test_the_address_comes_from_the_key_then_the_environment_else_it_is_a_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("TUNE_TRACKING_URI", raising=False)
    here = open_store(TrackConfig(), tmp_path)
    monkeypatch.setenv("TUNE_TRACKING_URI", "http://of-all:5000")
    of_all = open_store(TrackConfig(), tmp_path)
    named = open_store(TrackConfig(uri="http://named:5000"), tmp_path)

    assert isinstance(here, MlflowStore)
    assert (of_all.where, named.where) == ("http://of-all:5000", "http://named:5000")
    monkeypatch.setenv("TUNE_TRACKING_URI", "sqlite:///elsewhere.db")
    with pytest.raises(ConfigError, match=r"TUNE_TRACKING_URI=sqlite:///elsewhere\.db is not allowed"):
        open_store(TrackConfig(), tmp_path)


def test_the_users_own_patience_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")

    ServerStore("http://127.0.0.1:1", "tune", folder=tmp_path)

    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
