"""The MLflow pages really come up by the command that is printed, and for this machine only."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tune.track.folder import ui_command

# MLflow's own use of SQLAlchemy, on import
pytestmark = [
    pytest.mark.slow,
    pytest.mark.promise(27),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def run_id(mlflow_store) -> str:
    trial = mlflow_store.trial_run(name="t", study_run_id=None, tags={})
    trial.text("config.yaml", "seed: 0")
    return trial.run_id


@pytest.fixture
def server(mlflow_store, port: int, tmp_path: Path) -> Iterator[psutil.Process]:
    log = (tmp_path / "log").open("w+")
    command = ui_command(mlflow_store.folder, port=port)
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(port, process, tmp_path / "log")
        yield psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + 90
    while time.monotonic() < ends and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"the server did not come up: {log.read_text()}")


def ask(port: int, path: str, *, post: dict[str, object] | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json", **headers}
    connection.request("GET" if post is None else "POST", path, json.dumps(post) if post else None, headers)
    answer = connection.getresponse()
    result = answer.status, answer.read()
    connection.close()
    return result


@pytest.mark.usefixtures("server")
def test_the_pages_answer_this_machine_refuse_the_rest_and_run_nothing(run_id, port) -> None:
    assert ask(port, "/")[0] == 200
    assert ask(port, "/", Host=f"localhost:{port}")[0] == 200
    for foreign in ("evil.example", f"evil.example:{port}", "192.168.0.1", f"10.0.0.1:{port}"):
        assert ask(port, "/", Host=foreign)[0] == 403

    assert ask(port, f"/get-artifact?run_uuid={run_id}&path=config.yaml") == (200, b"seed: 0")
    for outside in ("../../../mlflow.db", "/etc/passwd", "%2e%2e/%2e%2e/%2e%2e/mlflow.db"):
        assert ask(port, f"/get-artifact?run_uuid={run_id}&path={outside}")[0] in {400, 404}

    status, said = ask(port, "/ajax-api/3.0/jobs/", post={"job_name": "optimize_prompts", "params": {}})
    assert (status, b"job execution feature is not enabled" in said) == (500, True)


OUTSIDE = (
    "../../../mlflow.db",
    "..%2F..%2F..%2Fmlflow.db",
    "%252e%252e/%252e%252e/mlflow.db",
    "a/../../../x",
    "/etc/passwd",
)


def test_only_loopback_is_bound_and_no_other_site_may_write(server, port) -> None:
    processes = [server, *server.children(recursive=True)]
    bound = {link.laddr for each in processes for link in each.net_connections() if link.status == "LISTEN"}
    assert bound == {("127.0.0.1", port)}

    create = "/ajax-api/2.0/mlflow/experiments/create"
    assert ask(port, create, post={"name": "a"}, Origin="http://evil.example")[0] == 403
    assert ask(port, create, post={"name": "b"}, Origin=f"http://127.0.0.1:{port}")[0] == 200


@pytest.mark.usefixtures("server")
def test_no_way_leads_out_of_the_folder_of_artifacts(run_id, mlflow_store, port) -> None:
    before = sorted(mlflow_store.folder.parent.rglob("*.db"))

    for path in OUTSIDE:
        for address in (
            f"/get-artifact?run_uuid={run_id}&path={path}",
            f"/ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}&path={path}",
            f"/ajax-api/2.0/mlflow/get-trace-artifact?request_id={path}",
            f"/model-versions/get-artifact?name=m&version=1&path={path}",
            f"/static-files/{path.lstrip('/')}",
            f"/{path.lstrip('/')}",
        ):
            status, said = ask(port, address)
            assert status in {400, 404}, address
            assert b"SQLite format" not in said
        assert ask(port, f"/api/2.0/mlflow-artifacts/artifacts/{path}")[0] == 503  # no artifacts are served by proxy
        upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path={path}"
        assert ask(port, upload, post={"a": 1})[0] == 400

    assert sorted(mlflow_store.folder.parent.rglob("*.db")) == before
