"""Which store the configuration asks for."""

from pathlib import Path

from tune import paths
from tune.config.rules import no_server
from tune.config.schema import TrackConfig
from tune.errors import ConfigError
from tune.track.mlflow_server import ServerStore
from tune.track.mlflow_store import MlflowStore
from tune.track.store import RunStore


def open_store(track: TrackConfig, runs: Path) -> RunStore:
    """Return the MLflow server of `track.uri` or `TUNE_TRACKING_URI`, else the record in the folder `runs`.

    Nothing is read, made or asked before the store is used.

    Raises:
        ConfigError: The address is none of a server. A worker's environment may name another than its study's did.
    """
    if wrong := list(no_server(track.uri)):
        raise ConfigError(" ".join(wrong))
    uri = paths.tracking_uri(track.uri)
    return MlflowStore(runs, track.experiment) if uri is None else ServerStore(uri, track.experiment, folder=runs)
