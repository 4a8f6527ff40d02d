"""Run a program that a model wrote, in a process that is shut in. Only the standard library is used."""

import errno
import sys
import types

_PROGRAM = "program"
"""Name of the module that the program is: not __main__, so that what stands under that condition is not run."""

_CHAIN = 10
"""Errors that are followed back to their cause."""

_SHOWN = 200
"""Characters of a line, and of an error, that are shown."""


def run(programs: list[str]) -> dict[str, str]:
    """Return how the first of the programs ends that is one."""
    problems = []
    for text in programs:
        try:
            code = compile(text, f"<{_PROGRAM}>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, OverflowError) as error:
            problems.append(f"{type(error).__name__}: {error}"[:_SHOWN])
        else:
            return _outcome(code, text)
    return ended("syntax", problems[0])


def _outcome(code: types.CodeType, text: str) -> dict[str, str]:
    module = types.ModuleType(_PROGRAM)
    sys.modules[_PROGRAM] = module  # where dataclasses look for the names of annotations
    try:
        exec(code, module.__dict__)  # noqa: S102 - what this process is for
    except MemoryError:
        raise
    except BaseException as error:  # noqa: BLE001 - a program may raise anything
        return ended(_reason(error), f"{_line(error, text)}{type(error).__name__}: {_words(error)}"[: 2 * _SHOWN])
    return ended("right", "")


def _reason(error: BaseException) -> str:
    link: BaseException | None = error
    for _ in range(_CHAIN):
        if isinstance(link, OSError) and (
            link.errno in {errno.EPERM, errno.EACCES} or type(link).__name__ == "gaierror"
        ):
            return "forbidden"
        link = (link.__cause__ or link.__context__) if link else None
    if isinstance(error, SystemExit):
        return "exit"
    return "wrong" if isinstance(error, AssertionError) else "error"


def _line(error: BaseException, text: str) -> str:
    """Return the last line of the program that the error came through, for a person who reads failures."""
    number, step = 0, error.__traceback__
    while step:
        number = step.tb_lineno if step.tb_frame.f_code.co_filename == f"<{_PROGRAM}>" else number
        step = step.tb_next
    lines = text.splitlines()
    return f"{lines[number - 1].strip()[:_SHOWN]}: " if 0 < number <= len(lines) else ""


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the program's own __str__
        return ""


def ended(verdict: str, detail: str) -> dict[str, str]:
    """Return the form in which an end is told from process to process."""
    return {"verdict": verdict, "detail": detail}
