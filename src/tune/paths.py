"""Where conf/, sweeps/, the cache and mlruns/ are.

In a checkout they stand beside src/; in an installed package conf/ and sweeps/
travel inside it and mlruns/ is made in the folder that the command was started from.
"""

import os
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """Return the top of the source checkout this package runs from, or None when it is installed."""
    top = PACKAGE.parent.parent
    return top if (top / "pyproject.toml").is_file() and (top / "conf").is_dir() else None


def conf_dir() -> Path:
    """Return the folder of config groups."""
    return (checkout() or PACKAGE) / "conf"


def sweeps_dir() -> Path:
    """Return the folder of sweep files."""
    return (checkout() or PACKAGE) / "sweeps"


def cache_dir() -> Path:
    """Return the folder for converted models and base scores: `TUNE_CACHE`, else the platform's cache.

    The command line makes it, and all in it, readable for this user alone; to share it, `chmod -R go+rX` it.
    """
    named = os.environ.get("TUNE_CACHE")
    return Path(named).expanduser().resolve() if named else Path(platformdirs.user_cache_dir("loratune"))


def runs_dir(named: str | None) -> Path:
    """Return the folder for studies and MLflow's files: `track.folder` if set, else mlruns/ of the checkout or here.

    The command line makes it, and all in it, readable for this user alone; one that exists keeps its mode.
    """
    if named:
        return Path(named).expanduser().resolve()
    return (checkout() or Path.cwd()) / "mlruns"


def tracking_uri(named: str | None) -> str | None:
    """Return the address of the MLflow server: `track.uri` if set, else `TUNE_TRACKING_URI`, else None for a folder."""
    return named or os.environ.get("TUNE_TRACKING_URI") or None
