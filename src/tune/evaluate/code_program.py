"""From a model's reply to whole programs: prompt, completion and tests put together as HumanEval and MBPP do.

A reply is a fenced block or bare code, a whole function or the rest of one, and may go on past its end. Where it can be
read in several ways all are returned, the likeliest first; the first that compiles is run.

Sources: Chen et al. 2021, https://arxiv.org/abs/2107.03374 (prompt + completion + tests, and where a completion stops);
Austin et al. 2021, https://arxiv.org/abs/2108.07732 (code, then asserts).
"""

import re
import textwrap
from collections.abc import Iterator, Mapping

_FENCE = re.compile(r"```[ \t]*(?P<language>[\w+-]*)[ \t]*\n(?P<code>.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_PYTHON = {"python", "py", "python3", ""}
_STOPS = re.compile(r"\n(?=class\b|def\b|#|if\b|print\b)")
"""Where a completion has left its function, by the first of the papers."""

_ACTS = re.compile(r"\n(?!class\b|(?:async[ ]+)?def\b|import\b|from\b|[#@\s)\]}]|$)")
"""Before a line that does something outside of functions, or is prose; definitions alone may help the function."""

_BARE_RETURN = re.compile(r"^return\b", re.MULTILINE)
_BEGINS = re.compile(r"(?:import|from|def|async def|class)\b|@")
_PROGRAM_LINE = re.compile(
    r"\s|$|[#@\])}]|(?:import|from|def|async|class|if|else|elif|try|except|finally|with|for|while)\b|[\w.]+ ?[=(\[+]"
)
_INDENT = "    "


def programs_of(reply: str, extra: Mapping[str, object]) -> list[str]:
    """Return what a reply may mean, each with its tests; nothing where it holds no code.

    Args:
        reply: What the model said.
        extra: `test`; and for a completion `prompt`, the code it goes on from, and `entry_point`, the function.
    """
    prompt, entry = str(extra.get("prompt", "")), str(extra.get("entry_point", ""))
    code = code_of(reply, entry)
    if not code.strip():
        return []
    if prompt and not _defines(code, entry):
        readings = [f"{prompt.rstrip()}\n{text}" for text in _completions(code)]
    else:
        before = _before(prompt, entry) if prompt else ""
        readings = [f"{before}{text}" for text in (code, _definitions(code))]
    call = f"check({entry})\n" if entry else ""
    return list(dict.fromkeys(f"{text}\n\n{extra['test']}\n\n{call}" for text in readings))


def code_of(reply: str, entry_point: str = "") -> str:
    """Return the code of a reply: the Python block that defines the function, else the first one, else all."""
    fences = list(_FENCE.finditer(reply))
    if fences and not fences[0]["language"] and _is_code(before := reply[: fences[0].start()]):
        return before.strip("\n")  # a completion: that fence closes the one that the prompt opened
    blocks = [_block(match) for match in fences if match["language"].lower() in _PYTHON]
    if not blocks:
        return reply.strip("\n")
    return next((code for code in blocks if entry_point and _defines(code, entry_point)), blocks[0])


def _is_code(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    return bool(lines) and all(_PROGRAM_LINE.match(line) or _BARE_RETURN.match(line) for line in lines)


def _block(fence: re.Match[str]) -> str:
    """Return the code between fences; in a list they stand further right, and so does the code."""
    before = fence.string[: fence.start()].rpartition("\n")[2]
    return textwrap.dedent(fence["code"]) if before and before.isspace() else fence["code"]


def _defines(code: str, name: str) -> bool:
    return re.search(rf"^(?:async )?def {re.escape(name)}\b", code, re.MULTILINE) is not None


def _before(prompt: str, entry: str) -> str:
    """Return what a prompt has before the function that is asked for: imports, and functions that it may use."""
    return re.split(rf"^(?:async )?def {re.escape(entry)}\b", prompt, maxsplit=1, flags=re.MULTILINE)[0]


def _completions(code: str) -> Iterator[str]:
    """Yield a function's body, whose first line may have lost its indentation, or all lines have."""
    is_bare = not code[:1].isspace()
    if is_bare and "\n" in code and _BARE_RETURN.search(code, 1):
        yield textwrap.indent(code, _INDENT)
    whole = _INDENT + code if is_bare else code
    for end in (_ACTS, _STOPS):
        yield end.split(whole, maxsplit=1)[0]
    if is_bare:
        yield textwrap.indent(code, _INDENT)


def _definitions(code: str) -> str:
    """Return the code from its first definition on to the first line that is prose."""
    lines = code.split("\n")
    begin = next((at for at, line in enumerate(lines) if _BEGINS.match(line)), 0)
    end = next((at for at in range(begin, len(lines)) if not _PROGRAM_LINE.match(lines[at])), len(lines))
    return "\n".join(lines[begin:end])
