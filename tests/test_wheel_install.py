"""The wheel carries conf/ and sweeps/: installed elsewhere, it composes and lists them from an empty folder."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the built wheel; what it depends on is lent from the one that runs this test."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(TOP))
    (wheel,) = folder.glob("loratune-*.whl")
    venv.create(folder / "venv", with_pip=True)
    made = folder / "venv" / "bin" / "python"
    run(str(made), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    (site,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    # A path file, so that the editable install of this checkout, which needs its own .pth to be read, is not seen.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_installed_wheel_composes_a_sweep_from_an_empty_folder(python: Path, tmp_path: Path) -> None:
    where = run(str(python), "-c", "import tune; print(tune.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(python.parents[1])

    shown = run(str(python), "-m", "tune", "config", "+sweep=smoke", cwd=tmp_path)

    assert "embedded: tiny" in shown
    assert "name: smoke" in shown
    assert not list(tmp_path.iterdir())


def test_the_installed_wheel_lists_its_sweeps_and_groups(python: Path, tmp_path: Path) -> None:
    shown = run(str(python), "-m", "tune", "--help", cwd=tmp_path)

    for name in (file.stem for file in (TOP / "sweeps").glob("*.yaml")):
        assert name in shown
    assert "smollm2_135m" in shown
