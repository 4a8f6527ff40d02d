"""Which store the configuration asks for."""

from pathlib import Path

from tune import paths
from tune.config.schema import TrackConfig
from tune.track.mlflow_server import ServerStore
from tune.track.mlflow_store import MlflowStore
from tune.track.store import RunStore


def open_store(track: TrackConfig, runs: Path) -> RunStore:
    """Return the MLflow server of `track.uri` or `TUNE_TRACKING_URI`, else the record in the folder `runs`.

    Nothing is read, made or asked before the store is used.
    """
    uri = paths.tracking_uri(track.uri)
    return MlflowStore(runs, track.experiment) if uri is None else ServerStore(uri, track.experiment, folder=runs)
