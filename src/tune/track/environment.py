"""What a run was made with, and what must never be written about it.

`environment` lists what decides a number: interpreter, platform, libraries, commit.
`redact` takes secrets out of every text on its way into a record. It looks for
passwords in addresses and assignments, for the shapes of well-known tokens, and for the
values of this process's own secret variables; a secret of no known shape is not found.
"""

import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from urllib.parse import quote, unquote

from tune import paths

LIBRARIES = (
    "loratune",
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "datasets",
    "accelerate",
    "lm-eval",
    "optuna",
    "numpy",
)

HIDDEN = "***"

_USER_INFO = re.compile(
    # Lengths are bounded so that a long text without spaces costs no more than its length.
    r"""\b([a-z][a-z0-9+.-]{0,30}://[^\s/:@"]{0,200}):          # scheme://user
        (?:(?!\d+/)[^\s"]{0,2000}|[^\s/"]{0,2000})@            # secret@; slashes allowed, but host:80/x@y is no secret
    """,  # up to the last @: a password may hold one, and rather a host is lost than half a password kept
    re.IGNORECASE | re.VERBOSE,
)
_USER_ALONE = re.compile(r"""\b(https?://)[^\s/@:"]{1,2000}@""", re.IGNORECASE)  # where it is often a token
_QUERY = re.compile(r"""([?&][\w-]*(?:token|secret|password|passwd|api_?key)=)[^&\s"']+""", re.IGNORECASE)
_NAME = r"(?:password|passwd|secret|secret_access_key|api_?key)"
_ASSIGNED = re.compile(
    # password=word, password='it\\'s' as PostgreSQL's keywords have it, and the same in JSON, where quotes are escaped.
    rf"""({_NAME}\s?=\s?)
        (?:'(?:[^'\\]|\\.){{0,2000}}' | \\?"[^"]{{0,2000}}" | [^\s&"',;\\]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_IN_JSON = re.compile(rf"""({_NAME}"\s?:\s?")(?:[^"\\]|\\.){{0,2000}}(?=")""", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@]*:(?!\d+/)(\S+)@\S*", re.IGNORECASE)
_HEADER = re.compile(r"""(\bauthorization["']?\s?[:=]\s?["']?(?:bearer|basic)\s)[^\s"']+""", re.IGNORECASE)
_TOKEN = re.compile(
    r"""\b(?: hf_[A-Za-z0-9]{16,}                   # Hugging Face
          | sk-(?=[\w-]*\d)[\w-]{16,}               # OpenAI, Anthropic; always with a digit, unlike words
          | gh[opsur]_[A-Za-z0-9]{16,}              # GitHub
          | github_pat_\w{16,}
          | glpat-[\w-]{16,}                        # GitLab
          | (?:AKIA|ASIA)[A-Z0-9]{16}               # AWS
        )""",
    re.VERBOSE,
)
_SECRET_VARIABLE = re.compile(r"TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|API_?KEY", re.IGNORECASE)  # not TOKENIZERS_…
_SHORTEST_SECRET = 8  # shorter values ("true", "none") would black out ordinary words


def environment() -> dict[str, str]:
    """Return what decides a run's numbers: interpreter, platform, cores, library versions and commit.

    No library is imported. Host name, user and environment variables are left out.
    """
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
        "cpus": str(os.cpu_count() or 1),
        **_versions(),
        **_commit(paths.checkout() or Path.cwd()),
    }


def redact(text: str) -> str:
    """Return the text with passwords in addresses, tokens and this process's secret variables as `***`."""
    for secret in _secret_values():
        text = text.replace(secret, HIDDEN)
    text = _USER_INFO.sub(rf"\1:{HIDDEN}@", text)
    text = _USER_ALONE.sub(rf"\1{HIDDEN}@", text)
    for shape in (_QUERY, _ASSIGNED, _IN_JSON, _HEADER):
        text = shape.sub(rf"\1{HIDDEN}", text)
    return _TOKEN.sub(HIDDEN, text)


def _secret_values() -> list[str]:
    """Return the values of secret variables, as they are and as addresses and JSON write them.

    Passwords of addresses in other variables are among them. Longest first, so that none is left half covered.
    """
    found = {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)}
    addresses = filter(None, map(_ADDRESS.fullmatch, os.environ.values()))
    found |= {unquote(address.group(1)) for address in addresses}
    written = {form(value) for value in found for form in (str, quote, _quote_all, _json)}
    return sorted((value for value in written if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)


def _quote_all(text: str) -> str:
    """Return a text as an address writes it when slashes are escaped too."""
    return quote(text, safe="")


def _json(text: str) -> str:
    """Return a text as it stands between the quotes of JSON."""
    return json.dumps(text)[1:-1]


def _versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit(folder: Path) -> dict[str, str]:
    """Return commit and dirty flag of the checkout around `folder`, or nothing where there is none."""
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain")
    if not commit or changes is None:
        return {}
    return {"git_commit": commit, "git_dirty": "true" if changes else "false"}


def _git(folder: Path, *words: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    # No optional locks: a person may be committing meanwhile. No fsmonitor: a checkout's settings run no program.
    command = [program, "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
