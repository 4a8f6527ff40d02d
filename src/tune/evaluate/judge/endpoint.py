"""One request to the judge's server, and what became of it. The key goes into its header and nowhere else."""

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import urlsplit

from tune.config.judge import JudgeConfig
from tune.errors import EvaluationError

_MOST_BYTES = 4 * 1024 * 1024
_LOOK_S = 0.1  # how often a wait looks whether it should end
_LATER = {408, 425, 429}
_SHUT = {401, 402, 403, 404, 405}
"""Key, account, address or model are refused: so will every other request be."""

_LOCAL = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one request came to."""

    text: str | None = None
    """What the model wrote; None where it did not."""

    why: str = ""
    """Why there is none."""

    again: bool = False
    """Whether the same request may go well later."""

    shut: bool = False
    """Whether no request will go well."""

    wait_s: float | None = None
    """How long the server asks to wait."""

    tokens: tuple[int, int] | None = None
    """Read and written, as the server counts them; None where it does not."""

    is_late: bool = False
    """No whole answer came in time; the server may have made one, and ask for its price."""


class Endpoint:
    """The server of one configuration."""

    def __init__(self, judge: JudgeConfig, stop: threading.Event) -> None:
        """Read the key from its variable.

        Args:
            judge: With an address and a model.
            stop: Ends every wait once it is set.

        Raises:
            EvaluationError: The key cannot be sent, or not in secret.
        """
        assert judge.base_url is not None
        self._judge, self._stop = judge, stop
        self._url = judge.base_url.rstrip("/") + "/chat/completions"
        self._key = _key(judge)
        # What is on this machine is reached directly: a proxy would be told the key and the replies in the clear.
        direct = [urllib.request.ProxyHandler({})] if urlsplit(self._url).hostname in _LOCAL else []
        self._opener = urllib.request.build_opener(_Stay(), *direct)

    def settings(self) -> dict[str, Any]:
        """Return what a request holds beside its messages."""
        judge = self._judge
        asked = {"model": judge.model, "temperature": judge.temperature, "max_tokens": judge.max_tokens}
        form = {"response_format": {"type": "json_object"}} if judge.json_mode else {}
        return {name: value for name, value in asked.items() if value is not None} | form

    def post(self, messages: Sequence[Mapping[str, str]]) -> Answer:
        """Return the answer to a chat; nothing that a server does makes it raise or wait longer than timeout_s."""
        headers = {"Content-Type": "application/json", "User-Agent": "loratune"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        body = json.dumps(self.settings() | {"messages": list(messages)}).encode()
        request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")  # noqa: S310 - checked
        late = Answer(why=f"no whole answer within {self._judge.timeout_s:g} s", again=True, is_late=True)
        return _within(self._judge.timeout_s, lambda: self._send(request), self._stop) or late

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=self._judge.timeout_s) as response:
                return self._completion(response)
        except urllib.error.HTTPError as error:
            with error:
                return self._refusal(error)
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)  # what urllib wraps
            words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            return Answer(why=self._clean(f"not reached ({words})"), again=True)

    def _completion(self, response: IO[bytes]) -> Answer:
        try:
            content = json.loads(response.read(_MOST_BYTES))
            text = content["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return Answer(why="what came back is no whole chat completion", again=True)
        tokens = _tokens(content.get("usage"))
        if not isinstance(text, str):
            return Answer(why="the chat completion holds no text", again=True, tokens=tokens)
        return Answer(text=text, tokens=tokens)

    def _refusal(self, error: urllib.error.HTTPError) -> Answer:
        status = error.code
        why = f"HTTP {status}{self._told(error)}"
        if status in {401, 403}:
            name = self._judge.key_env
            why += "; no key was sent" if not self._key else ""
            why += f" (the key is read from {name})" if name else ""
        shut = status in _SHUT or 300 <= status < 400  # noqa: PLR2004 - the key follows no redirection
        again = status in _LATER or status >= 500  # noqa: PLR2004
        return Answer(why=why, again=again, shut=shut, wait_s=_retry_after(error.headers.get("Retry-After")))

    def _told(self, error: urllib.error.HTTPError) -> str:
        """Return what the server says of it, without the key that some servers repeat."""
        try:
            said = json.loads(error.read(_MOST_BYTES))["error"]
            words = str(said["message"] if isinstance(said, dict) else said)
        except (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError):
            return ""
        return f": {self._clean(words)}"

    def _clean(self, words: str) -> str:
        hidden = words.replace(self._key, "***") if self._key else words
        return " ".join(hidden.split())[:200]


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: another place would be given the key and the replies."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _key(judge: JudgeConfig) -> str:
    key = os.environ.get(judge.key_env, "").strip() if judge.key_env else ""
    if key and not (key.isascii() and key.isprintable()):
        msg = f"{judge.key_env} holds signs that no HTTP header can carry, so it is no key. Set it again."
        raise EvaluationError(msg)
    parts = urlsplit(judge.base_url or "")
    if key and parts.scheme == "http" and parts.hostname not in _LOCAL:
        msg = (
            f"evaluate.judge.base_url={judge.base_url} would carry the key of {judge.key_env} over the network for "
            "everybody to read: take its https:// address, or evaluate.judge.key_env=null where it needs no key."
        )
        raise EvaluationError(msg)
    return key


def _within(seconds: float, call: Callable[[], Answer], stop: threading.Event) -> Answer | None:
    """Return what a call returns, or None where it takes too long or is not wanted any more.

    A timeout of a socket is one of each read, so a server that sends a byte now and then would never run into it.
    """
    if stop.is_set():
        return None
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    end = time.monotonic() + seconds
    while not stop.is_set() and (left := end - time.monotonic()) > 0:
        try:
            return future.result(timeout=min(_LOOK_S, left))
        except TimeoutError:
            continue
    return None


def _tokens(usage: object) -> tuple[int, int] | None:
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    return (read, written) if type(read) is int and type(written) is int else None


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which has seconds or a date; None where it has neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
