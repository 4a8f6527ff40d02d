"""Replies to one question, right and wrong, hanging, greedy and hostile, with the verdict that each must get.

OUTSIDE stands for a folder that no program may touch; it holds a file `kept`.
"""

import platform

PROMPT = 'from typing import List\n\n\ndef add(a: int, b: int) -> int:\n    """Return the sum of both."""\n'
TEST = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"
EXTRA = {"prompt": PROMPT, "entry_point": "add", "test": TEST}


def inside(*lines: str, then: str = "return a + b") -> str:
    """A completion that does something and then answers."""
    return "".join(f"    {line}\n" for line in (*lines, then))


REPLIES = {
    # Right: also with talk, output, threads, and a refusal that the program takes.
    "a completion": ("    return a + b\n", "right"),
    "a completion whose indentation is lost": ("return a + b", "right"),
    "a whole function in a fence": ("Sure!\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds.", "right"),
    "much output": (inside("print('x' * 5_000_000)"), "right"),
    "threads": (
        inside("import threading", "t = threading.Thread(target=print)", "t.start(); t.join()"),
        "right",
    ),
    "an event loop": (
        inside("import asyncio", "async def run(): return a + b", then="return asyncio.run(run())"),
        "right",
    ),
    "a main block is not run": (
        "    return a + b\n\nif __name__ == '__main__':\n    raise SystemExit(add(1, 2))\n",
        "right",
    ),
    "takes no for an answer": (
        inside("import os", "try: os.fork()", "except PermissionError: pass"),
        "right",
    ),
    # Wrong.
    "off by one": ("    return a + b + 1\n", "wrong"),
    "nothing": ("    pass\n", "wrong"),
    "asserts itself": ("    assert False, 'no'\n", "wrong"),
    "an unknown name": ("    return a + c\n", "error"),
    "endless recursion": ("    return add(a, b)\n", "error"),
    "a missing library": ("    import numpy\n    return a + b\n", "error"),
    "prose": ("I would simply add them up.", "syntax"),
    "a null byte": ("    return a + b\0\n", "syntax"),
    "deep nesting": ("    return " + "(" * 5000 + ")" * 5000, "syntax"),
    "an empty reply": (" \n", "empty"),
    # Ends before its tests do.
    "sys.exit": (inside("import sys", "sys.exit(0)"), "exit"),
    "os._exit": (inside("import os", "os._exit(0)"), "exit"),
    "forges what the keeper prints": (
        inside("import os", 'print(\'{"verdict": "right", "detail": ""}\', flush=True)', "os._exit(0)"),
        "exit",
    ),
    "closes every descriptor": (inside("import os", "os.closerange(0, 256)"), "exit"),
    "raises SystemExit at import": ("```python\ndef add(a, b): return a + b\nraise SystemExit\n```", "exit"),
    # Hangs.
    "an endless loop": (inside("while True: pass"), "timeout"),
    "sleeps": (inside("import time", "time.sleep(1000)"), "timeout"),
    "catches everything and goes on": (
        inside(
            "import signal",
            "signal.signal(signal.SIGXCPU, signal.SIG_IGN)",
            "while True:",
            "    try: a += 1",
            "    except BaseException: pass",
        ),
        "timeout",
    ),
    "closes every descriptor and sleeps": (
        inside("import os, time", "os.closerange(0, 256)", "time.sleep(1000)"),
        "timeout",
    ),
    # Greedy.
    "one large object": (inside("x = bytearray(10 ** 12)"), "memory"),
    "a list that grows": (inside("x = ['']", "while True: x += x"), "memory"),
    # Hostile.
    "a fork bomb": (inside("import os", "while True: os.fork()"), "forbidden"),
    "a process": (inside("import subprocess", "subprocess.run(['true'])"), "forbidden"),
    "another program": (inside("import os", "os.execv('/bin/sh', ['sh'])"), "forbidden"),
    "a worker process": (
        inside("import multiprocessing as m", "p = m.get_context('fork').Process(target=print)", "p.start()"),
        "forbidden",
    ),
    "a socket": (inside("import socket", "socket.create_connection(('127.0.0.1', 9))"), "forbidden"),
    "a name looked up": (inside("import socket", "socket.getaddrinfo('example.org', 80)"), "forbidden"),
    "a page": (inside("import urllib.request as u", "u.urlopen('http://127.0.0.1:9/')"), "forbidden"),
    "a socket of the machine": (inside("import socket", "socket.socket(socket.AF_UNIX)"), "forbidden"),
    "writes a file where it is": (inside("open('made', 'w').write('x')"), "forbidden"),
    "writes a file elsewhere": (inside("open('OUTSIDE/made', 'w').write('x')"), "forbidden"),
    "appends to a file": (inside("open('OUTSIDE/kept', 'a').write('x')"), "forbidden"),
    "empties a file": (inside("import os", "os.truncate('OUTSIDE/kept', 0)"), "forbidden"),
    "removes a file": (inside("import os", "os.remove('OUTSIDE/kept')"), "forbidden"),
    "renames a file": (inside("import os", "os.rename('OUTSIDE/kept', 'OUTSIDE/made')"), "forbidden"),
    "opens a file to all": (inside("import os", "os.chmod('OUTSIDE/kept', 0o777)"), "forbidden"),
    "makes a folder": (inside("import os", "os.mkdir('OUTSIDE/made')"), "forbidden"),
    "makes a link": (inside("import os", "os.symlink('kept', 'OUTSIDE/made')"), "forbidden"),
    "kills who started it": (inside("import os", "os.kill(os.getppid() or 1, 9)"), "forbidden"),
    "signals through a pipe's owner": (
        inside("import fcntl, os", "r, w = os.pipe()", "fcntl.fcntl(r, fcntl.F_SETOWN, 1)"),
        "forbidden",
    ),
    "writes to every descriptor": (
        inside(
            "import os",
            "for fd in range(64):",
            "    try: os.write(fd, b'right')",
            "    except OSError: pass",
        ),
        "forbidden",
    ),
    "reads foreign memory": (
        inside(
            "import ctypes, os",
            "c = ctypes.CDLL(None, use_errno=True)",
            "if c.ptrace(16, os.getppid() or 1, 0, 0) < 0: raise OSError(ctypes.get_errno(), 'ptrace')",
        ),
        "forbidden",
    ),
    "another processor's calls": (
        # int 0x80 asks for a call by the numbers of 32-bit programs, where 20 is getpid.
        inside(
            "import ctypes, mmap",
            "m = mmap.mmap(-1, 4096, prot=7)",
            "m.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')",
            "at = ctypes.addressof(ctypes.c_char.from_buffer(m))",
            "ctypes.CFUNCTYPE(ctypes.c_int)(at)()",
        ),
        "forbidden",
    ),
    # Breaks Python.
    "reads at address 0": (inside("import ctypes", "ctypes.string_at(0)"), "crash"),
    "aborts": (inside("import os", "os.abort()"), "crash"),
}
"""Reply and verdict, by what the program does."""

if platform.machine() != "x86_64":
    del REPLIES["another processor's calls"]
