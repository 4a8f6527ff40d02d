"""What every test relies on: one thread, no hub, no trace in the user's cache, and the real data when it is there."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as postgresql

CACHE = tempfile.TemporaryDirectory(prefix="tune-tests-")  # removed when the tests end

# Set before anything imports torch or datasets, which read them once; torch itself is left to the tests that need it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = CACHE.name

# A shell lets what it starts in the background ignore Ctrl-C, and every process that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real, openly licensed data beside the checkout; a continuous-integration run must have it."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        reason = f"the real data sets are not at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgresql.Postgres]:
    """A PostgreSQL server that runs while the tests do; a continuous-integration run must have it."""
    bin_dir = postgresql.programs()
    if bin_dir is None:
        reason = "PostgreSQL is not installed: run scripts/postgres"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with postgresql.running(bin_dir) as server:
        yield server
