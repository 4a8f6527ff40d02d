"""The folder that the record stands in, and the commands a person runs on it. MLflow is not imported.

mlflow.db               runs, params, metrics, tags (sqlite)
artifacts/<run id>/     files of each run
mlflow.lock             held while the database or a study's run is made
"""

import shlex
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tune.errors import ConfigError, TrackingError


def database(folder: Path) -> Path:
    """Return MLflow's sqlite file."""
    return folder / "mlflow.db"


def artifacts(folder: Path) -> Path:
    """Return the folder of all runs' files."""
    return folder / "artifacts"


def address(file: Path) -> str:
    """Return the SQLAlchemy URL of a sqlite file."""
    return f"sqlite:///{file}"


def check_writable(folder: Path) -> None:
    """Make `folder` and try a file in it.

    Raises:
        ConfigError: The folder cannot be made or written, or its path has a `?`, which ends a sqlite address.
    """
    trouble = "a ? in its path would end the address of its database" if "?" in str(folder) else _trouble_with(folder)
    if trouble:
        msg = (
            f"track.folder={folder} cannot be used ({trouble}): it must be a folder that you may create files in. "
            "Set track.folder to another one, or mend its owner, permissions or free space."
        )
        raise ConfigError(msg)


def check_database(file: Path) -> None:
    """Refuse what is no database before MLflow does, which tries it ten times over two minutes.

    Raises:
        TrackingError: There is no such file, or it is no sqlite database.
    """
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        found = f"cannot be read ({error})" if file.exists() else "does not exist"
        msg = (
            f"the record of runs {file} {found}. Run a study first, set track.folder to where your runs are, "
            "or move a damaged file away to begin a new record."
        )
        raise TrackingError(msg) from error


def ui_command(folder: Path, *, port: int) -> list[str]:
    """Return the command, as a list, that shows the record in `folder` at http://127.0.0.1:`port`.

    Loopback only: other interfaces are not bound, and a foreign Host header is refused. The server runs
    no jobs, takes no uploads and sends no usage data.
    """
    file = database(folder.resolve())
    settings = ["env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true"]
    settings += ["PYTHONWARNINGS=ignore"]  # of MLflow's own imports; nothing for the user to do
    server = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--no-serve-artifacts"]
    place = ["--backend-store-uri", address(file), "--default-artifact-root", artifacts(file.parent).as_uri()]
    bound = ["--host", "127.0.0.1", "--port", str(port), "--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"]
    return [*settings, *server, *place, *bound]


def mlflow_command(folder: Path, *words: str) -> str:
    """Return the shell command that runs MLflow's own program on the record in `folder`."""
    where = f"MLFLOW_TRACKING_URI={address(database(folder))}"
    return shlex.join(["env", where, sys.executable, "-m", "mlflow", *words])


def _trouble_with(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"tune")
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None
