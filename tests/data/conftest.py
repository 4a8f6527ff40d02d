"""Tests of data keep what they make in a cache of their own."""

import pytest


@pytest.fixture(autouse=True)
def _own_cache(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # The real model's tokenizer comes from the user's cache, or is fetched into it once.
    if request.node.get_closest_marker("real") is None:
        monkeypatch.setenv("TUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
