"""What the supervisor does for the journals of trials, while trials run."""

import threading
from pathlib import Path

from tests.study.two_trials import two_trials
from tune.config.compose import compose
from tune.study.record import send_what_waits
from tune.study.storage import load_study
from tune.track.place import open_store


def test_folders_that_trials_take_away_meanwhile_do_no_harm(tmp_path: Path) -> None:
    made = two_trials(tmp_path / "runs", "busy")
    config = compose([f"track.folder='{made.runs}'"])
    study, store = load_study(made.name, config, made.runs), open_store(config.track, made.runs)
    checkpoint = made.folder(0) / "checkpoints" / "step-1"
    is_over = threading.Event()

    def trial() -> None:
        while not is_over.is_set():
            checkpoint.mkdir(parents=True)
            checkpoint.rmdir()
            checkpoint.parent.rmdir()

    running = threading.Thread(target=trial)
    running.start()
    try:
        sent = [send_what_waits(study, store, made.study_folder) for _ in range(300)]
    finally:
        is_over.set()
        running.join()

    assert set(sent) == {0}
