"""A real browser, driven through a pipe: DevTools messages as JSON, each ended by a zero byte."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
LIMIT_S = 60


def program() -> str | None:
    """Return the browser, or None where none is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, os.fdopen(back, "rb", buffering=0)
        self._rest, self._n, self._session = b"", 0, ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._n += 1
        sent = {"id": self._n, "method": method, "params": params}
        if self._session:
            sent["sessionId"] = self._session
        os.write(self._to, json.dumps(sent).encode() + b"\0")
        while (said := self._next()).get("id") != self._n:
            if said["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}:
                self.errors.append(json.dumps(said["params"]))
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    def open(self, file: Path) -> None:
        """Open a file, and wait until its script has run."""
        self.ask("Page.navigate", url=file.as_uri())
        wait_until(lambda: self.run("document.readyState === 'complete' && location.protocol === 'file:'"))

    def run(self, script: str) -> Any:
        """Return what an expression is worth in the page; the page's own security policy does not hold for it."""
        return self.ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = key if len(key) == 1 else ""
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a mouse does."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._back.fileno(), 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        said: dict[str, Any] = json.loads(line)
        return said


@contextmanager
def browser(profile: Path, downloads: Path) -> Iterator[Page]:
    """Start a browser of its own, and end it."""
    found = program()
    assert found
    to_browser, to = os.pipe()
    back, from_browser = os.pipe()
    # The browser reads from its descriptor 3 and writes to its 4; a shell puts them there.
    flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-pipe --no-first-run"
    shell = f'exec "$0" {flags} "$1" 3<&{to_browser} 4>&{from_browser}'
    process = subprocess.Popen(
        ["/bin/bash", "-c", shell, found, f"--user-data-dir={profile}"],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        page = Page(to, back)
        page.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        yield page
        page.ask("Page.close")
    finally:
        process.terminate()
        process.wait(timeout=LIMIT_S)
        os.close(to)
        page._back.close()


def wait_until(holds: Any) -> None:
    """Wait until something holds, and fail if it never does."""
    ends = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.05)
