"""The best weights beside the checkpoints are looked at like those."""

from pathlib import Path

from tune.files import write_manifest
from tune.study.leftovers import damaged_checkpoints, half_written


def test_damaged_and_half_written_best_weights_are_found(tmp_path: Path) -> None:
    for name in ("best-00000003", "best-00000006", "step-00000006"):
        place = tmp_path / "checkpoints" / name
        place.mkdir(parents=True)
        (place / "adapter.safetensors").write_bytes(b"12345")
        write_manifest(place, "r")
    (tmp_path / "checkpoints" / "best-00000006" / "adapter.safetensors").write_bytes(b"123")
    (tmp_path / "checkpoints" / ".best-00000009.writing").mkdir()

    assert [path.name for path in damaged_checkpoints(tmp_path)] == ["best-00000006"]
    assert [path.name for path in half_written(tmp_path)] == [".best-00000009.writing"]
