"""Ctrl-C and SIGTERM: one line and the exit code 128 + signal, at any moment.

``python tests/test_interrupts.py`` tries 40 moments of each command.
"""

from __future__ import annotations

import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinyalexnet import interrupts
from tinyalexnet.command import Parser, exit_code
from tinyalexnet.console import Console

ROOT = Path(__file__).parent.parent
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as in POSIX")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No signal is left over for other tests, and the handlers are as they were."""
    before = {number: signal.getsignal(number) for number in WORDS}
    hook = sys.unraisablehook
    registered = []
    monkeypatch.setattr(interrupts, "atexit", SimpleNamespace(register=registered.append))
    with interrupts.raised():
        pass
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook
    with interrupts.raised():
        pass


@pytest.fixture
def heeded():
    """As at the start of a command in a terminal; a shell may have started the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interrupts.install()


@pytest.fixture
def ended(monkeypatch):
    """What ends the process at once, noted in its place."""

    class End(BaseException):
        pass

    written = []
    monkeypatch.setattr(os, "write", lambda number, text: written.append((number, text.decode())))

    def leave(code):
        raise End(code)

    monkeypatch.setattr(os, "_exit", leave)
    return SimpleNamespace(End=End, written=written)


@pytest.mark.parametrize("number", WORDS, ids=lambda number: number.name)
def test_while_nothing_is_open_the_process_ends_at_once(heeded, ended, number):
    with pytest.raises(ended.End) as caught:
        signal.raise_signal(number)
    assert caught.value.args == (128 + number,)
    assert ended.written == [(2, f"{WORDS[number]}\n")]


@pytest.mark.parametrize("number", WORDS, ids=lambda number: number.name)
def test_a_command_that_is_interrupted_says_one_line(heeded, capsys, number):
    left = []

    def run(console):
        try:
            signal.raise_signal(number)
        finally:
            left.append("cleared away")
        return 0

    assert exit_code(Parser(prog="test"), run) == 128 + number
    assert capsys.readouterr() == ("", f"{WORDS[number]}\n")
    assert left == ["cleared away"]
    assert interrupts.has_ended()


def test_what_a_callback_has_swallowed_is_found_by_the_next_check(heeded, capsys):
    def run(console):
        with suppress(KeyboardInterrupt):  # as a callback of C code, which cannot pass it on
            signal.raise_signal(signal.SIGINT)
        with console.bar("steps", 100) as (advance, _):
            advance()
            pytest.fail("the loop went on")

    assert exit_code(Parser(prog="test"), run) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("outcome", [0, ValueError("made of it by a library")])
def test_what_was_swallowed_is_found_at_the_end(heeded, capsys, outcome):
    def run(console):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        if outcome:
            raise outcome
        return 0

    assert exit_code(Parser(prog="test"), run) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_command_may_catch_it_and_finish(heeded, capsys):
    finished = []

    def run(console):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            interrupts.caught()
        with console.bar("steps", 1) as (advance, _):
            advance()
        finished.append(1)
        return 130

    assert exit_code(Parser(prog="test"), run) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert finished == [1]


@pytest.mark.parametrize("tqdm", [True, False])
def test_each_step_of_a_bar_and_each_kernel_asks_if_there_was_one(monkeypatch, tqdm):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    class Hardware:
        @contextmanager
        def report_compilation(self, on_start, on_end):
            on_start("conv")
            yield

        def compile_ahead(self, run, on_start, on_end, least):
            pass

    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    else:
        pytest.importorskip("tqdm")
    asked = []
    monkeypatch.setattr(interrupts, "check", lambda: asked.append(1))
    console = Console(Terminal(), quiet=False)
    with console.bar("steps", 2) as (advance, _):
        advance()
        advance()
    assert len(asked) == 2
    with console.compiling(Hardware()):
        assert len(asked) == 3
    assert len(asked) == 4
    console.compile_ahead(Hardware(), None)
    assert len(asked) == 5


def test_a_second_one_within_a_moment_is_the_same_and_a_later_one_ends_it_at_once(heeded, ended, monkeypatch):
    now = [5.0]
    monkeypatch.setattr(interrupts, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with interrupts.raised():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        now[0] += 0.5
        signal.raise_signal(signal.SIGINT)
        assert ended.written == []
        now[0] += 0.6
        with pytest.raises(ended.End):
            signal.raise_signal(signal.SIGINT)
    assert ended.written == [(2, "interrupted\n")]


def test_at_the_very_end_of_a_process_its_result_counts(monkeypatch):
    """Python would take the handler away and let the signal kill what has ended well."""
    registered = []
    monkeypatch.setattr(interrupts.atexit, "register", registered.append)
    interrupts.install()
    (finish,) = registered
    finish()
    assert [signal.getsignal(number) for number in WORDS] == [signal.SIG_IGN] * 2


def test_a_signal_that_is_ignored_stays_ignored():
    for number in WORDS:
        signal.signal(number, signal.SIG_IGN)
    interrupts.install()
    assert [signal.getsignal(number) for number in WORDS] == [signal.SIG_IGN] * 2


@pytest.mark.parametrize("number", WORDS)
def test_in_a_call_that_does_not_come_back_the_system_ends_the_process(number):
    program = (
        "import ctypes, os, threading\n"
        "from tinyalexnet import interrupts\n"
        "interrupts.install()\n"
        f"threading.Timer(0.2, os.kill, (os.getpid(), {int(number)})).start()\n"
        "with interrupts.ends_at_once():\n"
        "    [ctypes.CDLL(None).sleep(30) for _ in range(9)]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", b"")


def test_after_such_a_call_the_handlers_are_as_before(heeded, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts.ends_at_once():
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == before != signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    with monkeypatch.context() as foreign:  # a handler that Python has not set
        foreign.setattr(interrupts.signal, "getsignal", lambda number: None)
        with interrupts.ends_at_once():
            foreign.undo()
            assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_leaves_the_handlers_alone(heeded):
    def handlers():
        with interrupts.ends_at_once():
            return [signal.getsignal(number) for number in WORDS]

    before = [signal.getsignal(number) for number in WORDS]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(handlers).result() == before


def test_a_swallowed_interrupt_shows_no_traceback_and_other_errors_do(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "__unraisablehook__", lambda found: shown.append(found.exc_type))
    for error in (KeyboardInterrupt, OSError):
        interrupts._hook(SimpleNamespace(exc_type=error))
    assert shown == [OSError]


@pytest.mark.parametrize(
    ("argv", "original", "expected"),
    [
        (["-m"], ["python", "-X", "utf8", "-m", "tinyalexnet", "train"], True),
        (["-m"], ["python", "-mtinyalexnet"], True),
        (["-m"], ["python", "-m", "other"], False),
        (["/usr/bin/tinyalexnet", "train"], ["python", "/usr/bin/tinyalexnet", "train"], True),
        ([str(ROOT / "bench.py")], [], True),
        (["elsewhere/bench.py"], [], False),
        (["/usr/bin/pytest"], ["python", "-m", "pytest", "tinyalexnet"], False),
        ([""], [], False),
        ([], [], False),
    ],
)
def test_a_program_that_imports_the_package_keeps_its_own_handlers(monkeypatch, argv, original, expected):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert interrupts._is_command() is expected


def test_a_command_has_the_handler_from_its_first_import(monkeypatch):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for argv, installed in (["other"], False), (["/usr/bin/tinyalexnet"], True):
        monkeypatch.setattr(sys, "argv", argv)
        spec = importlib.util.spec_from_file_location("another", interrupts.__file__)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        assert (signal.getsignal(signal.SIGINT) is not signal.default_int_handler) is installed


def test_the_line_is_written_once_and_a_closed_standard_error_is_no_matter(monkeypatch):
    written = []
    with interrupts.raised():
        assert [interrupts.ended(written.append) for _ in range(2)] == [130, 130]
    assert written == ["interrupted\n"]

    def closed(*_):
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", closed)
        interrupts._write("interrupted\n")


# --- real processes ---------------------------------------------------------------------------------------------------


def started(*arguments, **how):
    """A process that heeds Ctrl-C, though a shell may have started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
        )
    finally:
        signal.signal(signal.SIGINT, before)


def ends(process, number, times=1):
    """Sends the signal; the process says one line and no more, unless it had ended already."""
    had_ended = process.poll() is not None
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.01 * (times > 1))
    out, err = process.communicate(timeout=60)
    word = WORDS[number]
    assert had_ended or process.returncode in (128 + number, 0), err
    assert "Traceback" not in err
    assert process.returncode == 0 or (err.count(word) == 1 and err.endswith(f"{word}\n")), err
    return out, err


TRAIN = ("-m", "tinyalexnet", "train", "--data=digits", "--backend=reference", "--epochs=2000")
COMMANDS = {
    "train": TRAIN,
    "bench": (str(ROOT / "bench.py"), "--backend=reference", "--batch_size=1"),
    "gradcheck": ("-m", "tinyalexnet", "gradcheck", "--backend=reference", "--variant=digits", "--directions=2000"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("loaded", ["tinyalexnet.interrupts", "numpy._core.multiarray", "tinyalexnet.network"])
def test_while_it_is_imported(name, loaded):
    """-X importtime tells on standard error what has been loaded."""
    with started("-X", "importtime", *COMMANDS[name]) as process:
        for line in process.stderr:
            if line.rstrip().endswith(loaded):
                break
        else:
            pytest.fail("it was not imported")
        ends(process, signal.SIGINT)
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("number", "times", "seconds"), [(signal.SIGINT, 1, 0.3), (signal.SIGINT, 2, 0.9), (signal.SIGTERM, 1, 1.5)]
)
def test_at_some_moments_of_a_training(tmp_path, number, times, seconds):
    pytest.importorskip("sklearn")
    files = [f"--checkpoint={tmp_path / 'run'}", "--checkpoint_every=1", f"--log={tmp_path / 'log'}"]
    with started(*TRAIN, *files) as process:
        time.sleep(seconds)
        ends(process, number, times)
    assert process.returncode == 128 + number
    assert {path.name for path in tmp_path.iterdir()} <= {"run", "log"}  # no half file


@pytest.mark.compiled
@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.5])
def test_in_the_middle_of_a_compilation(tmp_path, seconds):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    with started("-m", "tinyalexnet", "train", "--data=digits", env=environment) as process:
        for line in process.stderr:
            if line.startswith("kernels are compiled"):
                break
        time.sleep(seconds)
        ends(process, signal.SIGINT)
    assert process.returncode == 130


def test_a_job_in_the_background_goes_on(tmp_path):
    """A shell's & and nohup let a process ignore it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "bench.py"), "--compare_variants"], stdout=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        assert process.returncode == 0
        assert "tf2015" in process.stdout.read()


if __name__ == "__main__":
    for command in COMMANDS.values():
        for moment in range(40):
            with started(*command) as one:
                time.sleep(0.1 + 0.08 * moment)
                ends(one, (signal.SIGINT, signal.SIGTERM)[moment % 2], 1 + moment % 3 % 2)
            print(f"{' '.join(command)}: after {0.1 + 0.08 * moment:.2f} s: {one.returncode}", flush=True)
