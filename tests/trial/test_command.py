"""One trial without a study, while the MLflow server is away."""

import socket
from pathlib import Path

import pytest

from tune.track.mlflow_store import MlflowStore
from tune.track.replay import replay, unsent
from tune.trial.command import run_single
from tune.trial.outcome import State

# MLflow's own use of SQLAlchemy, on import
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


@pytest.mark.usefixtures("cache")
def test_a_trial_does_not_need_its_server(small, tmp_path: Path, capsys) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"

    outcome, decision, folder = run_single(small("train.max_steps=3", f"track.folder={tmp_path}", f"track.uri={uri}"))

    assert outcome.state is State.complete
    said = capsys.readouterr().err
    assert f"{uri} does not answer" in said
    assert f"waits in {folder}" in said
    assert unsent(folder) > 3
    store = MlflowStore(tmp_path / "later", "tune")
    replay(store, folder)
    assert unsent(folder) == 0
    (run,) = store._search("attributes.status = 'FINISHED'")
    steps = store.call("get_metric_history", run.info.run_id, "train/step_loss")
    assert [point.step for point in steps] == [1, 2, 3]
    assert run.data.metrics["eval/loss"] == outcome.metrics["eval/loss"]
    assert run.data.tags["tune.verdict"] == decision.verdict
    assert decision.reasons[-1].startswith("no guard is named")
    assert (tmp_path / "later" / "artifacts" / run.info.run_id / "artifacts" / "adapter" / "adapter").is_dir()
