"""A real HTTP server on this machine that speaks as OpenAI's chat completions do, and misbehaves as it is told."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tune.config.judge import JudgeConfig

Script = Callable[[str, int], Any]
"""(what the user's message says, the how-manyth request this is, from 0) → Sent, or the text of an answer."""


@dataclass(kw_only=True)
class Sent:
    """What the server sends."""

    status: int = 200
    text: str = ""
    """The model's words; or with `raw` the whole body."""

    raw: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    drip_s: float = 0.0
    """Pause after each byte."""

    cut: bool = False
    """Hang up in the middle."""

    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 10})


@dataclass
class Served:
    """A server that runs, and what it was sent."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def config(self, **more: Any) -> JudgeConfig:
        """Return a judge that is asked in order and in a hurry."""
        quick = {"n_parallel": 1, "backoff_s": 0.01, "timeout_s": 5.0, "retries": 2}
        return JudgeConfig(base_url=self.url, model="tester", **(quick | more))


@contextmanager
def serve(script: Script) -> Iterator[Served]:
    served, lock = Served(url=""), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(served.bodies)
                served.bodies.append(body)
                served.headers.append(dict(self.headers))
                served.times.append(time.monotonic())
                served.paths.append(self.path)
            said = script(body["messages"][-1]["content"], number)
            self._send(said if isinstance(said, Sent) else Sent(text=said))

        def _send(self, sent: Sent) -> None:
            time.sleep(sent.after_s)
            chat: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": sent.text}}]}
            whole = chat if sent.usage is None else chat | {"usage": sent.usage}
            data = sent.text.encode() if sent.raw else json.dumps(whole).encode()
            try:
                self.send_response(sent.status)
                self.send_header("Content-Length", str(len(data)))
                for name, value in sent.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if sent.cut:
                    self.wfile.write(data[: len(data) // 2])
                elif sent.drip_s:
                    for byte in data:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(sent.drip_s)
                else:
                    self.wfile.write(data)
            except OSError:
                return  # whoever asked has gone

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def block(name: str, text: str) -> str:
    """Return what stands between the lines of a block of the judge's message."""
    found = re.search(rf"<<{name} (\w+)>>\n(.*)\n<<END {name} \1>>", text, re.DOTALL)
    assert found, f"no block {name} in {text}"
    return found.group(2)


def is_pair(text: str) -> bool:
    return "<<REPLY A " in text


def rubric(score: int, **more: Any) -> str:
    return json.dumps({"reason": "so it is", "helpfulness": score, "accuracy": score, "style": score} | more)


def better(which: str) -> str:
    return json.dumps({"reason": "so it is", "better": which})


def fair(text: str, _: int = 0) -> str:
    """Judge as a fair judge of replies such as `good 4` would: the number is the score, and more is better."""
    if not is_pair(text):
        return rubric(int(block("REPLY", text).split()[-1]))
    first, second = (int(block(f"REPLY {one}", text).split()[-1]) for one in "AB")
    return better("A" if first > second else "B" if second > first else "tie")
