"""What programs get for what they do, really run; and that nothing of them stays behind."""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest

import tune
from tests.evaluate.hostile_programs import EXTRA, REPLIES
from tune.config.code import CodeConfig, Jail
from tune.errors import DataError, EvaluationError
from tune.evaluate.code import code_digest, score_code
from tune.evaluate.code_filter import build_filter
from tune.evaluate.code_jail import CodeScore, check_jail, run_program
from tune.examples import Example, Message

JAILS = [Jail.namespaces, Jail.filter]
QUICK = {"timeout_s": 1, "memory_mib": 256}


def asked(**extra: str) -> Example:
    return Example(id="e", messages=(Message(role="user", content="?"),), answer="", extra=extra or EXTRA)


def lack(jail: Jail) -> str:
    """Why this machine does not have a jail; empty where it has."""
    try:
        check_jail(CodeConfig(jail=jail))
    except EvaluationError as error:
        return str(error)
    return ""


def seen_in(folder: Path) -> list[str]:
    """What is in a folder, and who is there."""
    there = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    processes = [process.info for process in psutil.process_iter(["cwd", "cmdline"])]
    return there + [f"process {of['cmdline']}" for of in processes if (of["cwd"] or "").startswith(str(folder))]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "kept").write_text("whole")
    (folder / "kept").chmod(0o600)
    return folder


@pytest.fixture(scope="module", params=JAILS)
def scored(
    request: pytest.FixtureRequest, outside: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, CodeScore]:
    """Every program's end, each run in a folder of ours; checks that nothing is left there."""
    if reason := lack(request.param):
        pytest.skip(reason)
    replies = [reply.replace("OUTSIDE", str(outside)) for reply, _ in REPLIES.values()]
    private = tmp_path_factory.mktemp("private")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(private))
        before = psutil.Process().children(recursive=True)
        scores = score_code([asked()] * len(replies), replies, CodeConfig(jail=request.param, **QUICK))
        assert psutil.Process().children(recursive=True) == before
    assert seen_in(private) == []
    return dict(zip(REPLIES, scores, strict=True))


def test_a_machine_that_has_neither_shows_why() -> None:
    # On Linux this fails where programs cannot be scored at all, so that no machine skips everything unseen.
    if platform.system() == "Linux" and all(lack(jail) for jail in JAILS):
        pytest.skip(lack(Jail.auto))
    assert check_jail(CodeConfig()) in JAILS


@pytest.mark.parametrize("name", REPLIES)
def test_every_program_gets_its_verdict(scored: dict[str, CodeScore], name: str) -> None:
    score = scored[name]

    assert score.verdict == REPLIES[name][1], score.detail
    assert score.right == (score.verdict == "right")
    assert score.right or score.detail


def test_no_file_outside_was_touched(scored: dict[str, CodeScore], outside: Path) -> None:
    assert scored
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "whole"
    assert (outside / "kept").stat().st_mode & 0o777 == 0o600


def test_the_line_that_failed_is_told(scored: dict[str, CodeScore]) -> None:
    assert scored["off by one"].detail == "assert candidate(1, 2) == 3: AssertionError: "
    assert scored["an unknown name"].detail == "return a + c: NameError: name 'c' is not defined"
    assert scored["sleeps"].detail == "took longer than 4 s"
    assert scored["an endless loop"].detail == "took 1 s of processor time"
    assert scored["aborts"].detail == "SIGABRT" or scored["aborts"].detail == "SIGSEGV"


def test_mbpp_rows_run_code_then_setup_then_asserts() -> None:
    test = "root = Node(2)\nassert double(root.value) == 4"
    right = (
        "class Node:\n    def __init__(self, value):\n        self.value = value\n\ndef double(x):\n    return 2 * x\n"
    )

    scores = score_code([asked(test=test)] * 2, [right, right.replace("2 * x", "x")], CodeConfig())

    assert [score.verdict for score in scores] == ["right", "wrong"]


def test_in_namespaces_a_program_sees_no_file_but_pythons_own(outside: Path) -> None:
    if reason := lack(Jail.namespaces):
        pytest.skip(reason)
    program = f"""
        import os
        assert not os.path.exists({str(outside)!r})
        assert not os.path.exists({__file__!r})
        assert not os.path.exists("/proc") and not os.path.exists("/home") and not os.path.exists("/etc")
        assert os.getpid() == 1
        assert os.getcwd() == "/"
        assert os.environ.keys() <= {{"PYTHONHASHSEED", "PYTHONUTF8", "LC_CTYPE"}}
    """

    assert run_program([textwrap.dedent(program)], CodeConfig(), Jail.namespaces).detail == ""


@pytest.mark.parametrize("jail", JAILS)
def test_who_is_killed_takes_its_program_along(jail: Jail, tmp_path: Path) -> None:
    if reason := lack(jail):
        pytest.skip(reason)
    start = "import sys; from tune.config.code import *; from tune.evaluate.code_jail import run_program\n"
    start += f"run_program(['import time; time.sleep(1000)'], CodeConfig(timeout_s=600), Jail({jail.value!r}))"
    process = subprocess.Popen(
        [sys.executable, "-c", start], env={**os.environ, "TMPDIR": str(tmp_path)}, start_new_session=True
    )
    of = psutil.Process(process.pid)
    ends_at = time.monotonic() + 60
    while len(family := of.children(recursive=True)) < 2 and time.monotonic() < ends_at:
        time.sleep(0.05)

    process.send_signal(signal.SIGKILL)
    process.wait()

    assert len(family) == 2  # the keeper and the program
    assert psutil.wait_procs(family, timeout=30)[1] == []


def test_verdicts_do_not_hang_on_the_order_of_a_set() -> None:
    program = "assert False, ''.join({'a', 'b', 'c', 'd', 'e', 'f'})"
    jail = check_jail(CodeConfig())
    found = {run_program([program], CodeConfig(), jail).detail for _ in range(5)}

    assert len(found) == 1


def test_a_plain_user_gets_the_same_verdicts(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests run as a plain user already")
    python = next((p for p in (sys.executable, "/usr/bin/python3") if _runs_for_nobody(p)), None)
    if python is None:
        pytest.skip("no Python of 3.11 or later that a plain user may run")
    names = [
        "a completion",
        "off by one",
        "a fork bomb",
        "a socket",
        "appends to a file",
        "one large object",
        "os._exit",
    ]
    ask = (
        "import sys, json; from tune.config.code import CodeConfig, Jail\n"
        "from tune.evaluate.code_jail import run_program, check_jail\n"
        "from tune.evaluate.code_program import programs_of\n"
        "replies, extra = json.load(sys.stdin)\n"
        "jails = []\n"
        "for jail in (Jail.namespaces, Jail.filter):\n"
        "    try: jails.append(check_jail(CodeConfig(jail=jail)))\n"
        "    except Exception as error: print(error, file=sys.stderr)\n"
        "said = [[run_program(programs_of(r, extra), CodeConfig(), j).verdict for r in replies] for j in jails]\n"
        "print(json.dumps(said))"
    )
    outside = tmp_path / "kept"
    outside.write_text("whole")
    replies = [REPLIES[name][0].replace("OUTSIDE", str(tmp_path)) for name in names]
    done = as_nobody(python, ask, json.dumps([replies, EXTRA]))

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(said) >= 1, done.stderr
    assert all(verdicts == [REPLIES[name][1] for name in names] for verdicts in said)
    assert outside.read_text() == "whole"


def _runs_for_nobody(python: str) -> bool:
    try:
        return (
            as_nobody(python, "import sys, tune.evaluate.code_jail; assert sys.version_info >= (3, 11)").returncode == 0
        )
    except OSError:
        return False


def as_nobody(python: str, program: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-c", program],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        env={"PYTHONPATH": str(Path(tune.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def test_rows_without_tests_are_refused() -> None:
    bare = Example(id="rows.jsonl/3", messages=(Message(role="user", content="?"),), answer="x")

    with pytest.raises(DataError, match=r"data\.metrics has code, but rows\.jsonl/3 has no tests.*another metric"):
        score_code([bare], ["x"], CodeConfig())


def test_another_processor_is_refused_with_a_way_out() -> None:
    with pytest.raises(EvaluationError, match=r"cannot run programs on riscv64.*x86_64 and aarch64.*data\.metrics"):
        build_filter("riscv64")


def test_what_moves_a_score_is_in_its_digest() -> None:
    plain = code_digest([asked()], CodeConfig())

    assert code_digest([asked()], CodeConfig(n_parallel=1, jail=Jail.filter)) == plain
    assert code_digest([asked()], CodeConfig(timeout_s=4)) != plain
    assert code_digest([asked()], CodeConfig(memory_mib=64)) != plain
    assert code_digest([asked(test="assert True")], CodeConfig()) != plain
