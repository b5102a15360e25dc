"""A learner's code in a process of its own: whatever it does, one sentence comes back, and nothing is left over."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import time
from types import SimpleNamespace

import numpy as np
import pytest

from tinyalexnet.dojo import child, process
from tinyalexnet.dojo.process import Process
from tinyalexnet.dojo.runner import (
    Call,
    Code,
    Inside,
    Limits,
    Signature,
    StoppedError,
    described,
    shortened,
    stopped_by,
)

LIMITS = Limits(seconds=20, memory=1 << 30, written=1 << 20, printed=60)

RIGHT = """
import numpy as np

answers = {"s": 3, "t": np.float64(2.5)}

def twice(x, times=2):
    print("called with", x.shape)
    return x * times, (1, [2])

def spoil(x):
    x[0] = 9
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "learned.py"
        path.write_text(text)
        return path

    return write


def test_a_call_brings_arrays_and_what_was_printed(written):
    with Process(written(RIGHT), LIMITS) as code:
        assert code.value("answers") == {"s": 3, "t": 2.5}
        assert code.about("twice") == Signature((("x", True), ("times", False)), more=False)
        x = np.arange(3.0)
        found = code.call("twice", {"x": x, "times": 3})
        np.testing.assert_array_equal(found.returned[0], [0.0, 3, 6], strict=True)
        assert found.returned[1] == (1, [2])
        assert found.printed == "called with (3,)"
        assert code.call("spoil", {"x": x}) == Call(None, ("x",), "")
        assert x[0] == 0
        old, new = code.race("spoil", written(RIGHT), {"x": x}, rounds=4, seconds=1.0)
        assert len(old) == len(new) == 4


def stopped(path, limits=LIMITS, function="f"):
    """The error of a file's function."""
    with pytest.raises(StoppedError) as caught, Process(path, limits) as code:  # noqa: PT012
        code.about(function)
        code.call(function, {"x": np.arange(3.0)})
    return caught.value


ENDINGS = {
    "syntax": ("def f(x:\n    return x", "Line 1, `def f(x:`, cannot be read as Python: "),
    "import": ("import numpi", "Line 1, `import numpi`, raises ModuleNotFoundError: No module named 'numpi'."),
    "missing": (
        "def g(x):\n    return x",
        "There is no function f: keep its name as it was in the exercise (the file has g).",
    ),
    "empty": ("", "There is no function f: keep its name as it was in the exercise (the file has no function)."),
    "no function": ("f = 3", "f is the int 3, but must be a function."),
    "exception": (
        "def f(x):\n    y = x\n    return y[5]",
        "Line 3, `return y[5]`, raises IndexError: index 5 is out of bounds for axis 0 with size 3.",
    ),
    "without words": ("def f(x):\n    assert x is None", "Line 2, `assert x is None`, raises AssertionError."),
    "hole": (
        "def f(x):\n    raise NotImplementedError",
        "Line 2, `raise NotImplementedError`, is still the hole of the exercise: write your own code in its place.",
    ),
    "arguments": ("def f():\n    pass", "Your code raises TypeError: f() got an unexpected keyword argument 'x'."),
    "sys.exit": (
        "import sys\ndef f(x):\n    sys.exit()",
        "Line 3, `sys.exit()`, ends the program: leave that out, because the check must go on after it.",
    ),
    "quit": ("quit()", "Line 1, `quit()`, ends the program: leave that out, because the check must go on after it."),
    "os._exit": (
        "import os\ndef f(x):\n    os._exit(0)",
        "Your code ended its process with exit code 0: leave that out, because the check must go on.",
    ),
    "crash": (
        "import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGSEGV)",
        "The process of your code was ended by SIGSEGV: it crashed, or used too much memory.",
    ),
    "keyboard": (
        "def f(x):\n    return input('name? ')",
        "Line 2, `return input('name? ')`, reads from the keyboard, but nobody types during a check: leave that out.",
    ),
    "memory": (
        "import numpy as np\ndef f(x):\n    return np.zeros(10**10 // 8)",
        "Line 3, `return np.zeros(10**10 // 8)`, asks for more memory than the 1024 MB that a check may use.",
    ),
    "list": (
        "def f(x):\n    return [0] * 10**9",
        "Line 2, `return [0] * 10**9`, asks for more memory than the 1024 MB that a check may use.",
    ),
    "prints": (
        "def f(x):\n    while True: print('la' * 1000)",
        "Line 2, `while True: print('la' * 1000)`, prints or writes more than the 1 MB that a check may use.",
    ),
    "pipes": (
        "import os\ndef f(x):\n    for n in range(3, 20):\n"
        "        try: os.write(n, b'x\\n')\n        except OSError: pass",
        "Your code wrote to a file that it did not open: leave that out.",
    ),
    "closes": (
        "import os, time\ndef f(x):\n    os.closerange(0, 99)\n    time.sleep(60)",
        "Your code closed a file that it did not open: leave that out.",
    ),
    "recursion": (
        "def f(x):\n    return f(x)",
        "Line 2, `return f(x)`, raises RecursionError: maximum recursion depth exceeded",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), ENDINGS.values(), ids=ENDINGS)
def test_every_ending_is_one_sentence(written, text, sentence):
    begin = time.monotonic()
    error = stopped(written(text))
    assert str(error).startswith(sentence)
    assert "\n" not in str(error)
    assert "Traceback" not in str(error) + error.printed
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f(x):\n    n = 0\n    while n < 1:\n        n = n * 1", r"Line [34], `.*`, was running then"),
        ("while True:\n    pass", r"Line [12], `.*`, was running then"),
        ("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", "Your code was running then"),
    ],
)
def test_an_endless_loop_is_stopped_and_its_line_named(written, text, line):
    error = stopped(written(text), Limits(seconds=0.5))
    assert str(error).startswith("Your code ran longer than 0.5 s. ")
    assert str(error).endswith(": is there an endless loop?")
    assert re.search(line, str(error))


def test_a_loop_is_stopped_though_the_shell_ignores_ctrl_c(written):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        error = stopped(written("while True:\n    pass"), Limits(seconds=0.5))
    finally:
        signal.signal(signal.SIGINT, before)
    assert re.search(r"Line [12], `.*`, was running then", str(error))


def test_the_time_is_for_all_calls_together(written):
    """Each has less than a second of its own; on a busy machine fewer than two may be done in one."""
    text, done = "import time\ndef f(x):\n    time.sleep(0.4)", []
    with Process(written(text), Limits(seconds=1)) as code:
        with pytest.raises(StoppedError, match="ran longer than 1 s"):  # noqa: PT012
            for _ in range(3):
                done.append(code.call("f", {"x": 1}))
        assert done


def test_what_was_printed_before_the_end_is_there(written):
    text = "import os\nprint('é' * 30)\ndef f(x):\n    print('one')\n    os.write(2, b'two\\n')\n    os._exit(1)"
    error = stopped(written(text))
    assert error.printed == "one\ntwo"


def test_long_prints_are_cut(written):
    with Process(written("def f(x):\n    print('ab' * x)"), LIMITS) as code:
        assert code.call("f", {"x": 30}).printed == "ab" * 30
        assert code.call("f", {"x": 40}).printed == "ab" * 30 + "\n... and 20 more characters"
        assert code.call("f", {"x": 5000}).printed == "ab" * 30 + "\n... and 9941 more characters"
    assert shortened("short\n", 10) == "short"


@pytest.mark.parametrize(
    ("text", "left_out", "shown"),
    [
        ("abc", 0, "abc"),
        ("abcd", 0, "abc\n... and 1 more characters"),
        ("abcde", 5, "abc\n... and 7 more characters"),
        ("abc", 5, "abc\n... and 5 more characters"),
    ],
)
def test_three_characters_are_shown_and_the_others_counted(text, left_out, shown):
    assert shortened(text, 3, left_out) == shown


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ({"source": "x = 1"}, "Line 3, `x = 1`, raises OSError: no such device."),
        ({}, "Line 3 raises OSError: no such device."),
        ({"line": None}, "Your code raises OSError: no such device."),
        ({"message": "[Errno 27] File too large"}, "Line 3 prints or writes more than the 16 MB that a check may use."),
        ({"type": "ValueError", "message": "File too large."}, "Line 3 raises ValueError: File too large."),
    ],
)
def test_an_exception_is_a_sentence_with_what_is_known_of_its_line(failure, sentence):
    known = {"type": "OSError", "message": "no such device", "line": 3, "source": ""}
    assert str(stopped_by(known | failure, Limits(), "")) == sentence


def test_a_process_and_its_children_end_with_the_block(written):
    text = (
        "import subprocess, sys\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "def f(x):\n    return other.pid\n"
    )
    with Process(written(text), LIMITS) as code:
        other = code.call("f", {"x": 1}).returned
        assert alive(other)
    assert code.process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while alive(other) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(other)


def alive(pid):
    """If the process runs: a zombie, whose new parent has not looked yet, does not."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_is_left_of_a_process_whose_file_fails(written):
    code = Process(written("1 / 0"), LIMITS)
    with pytest.raises(StoppedError, match="ZeroDivisionError"):
        code.__enter__()
    assert code.process.returncode == -signal.SIGKILL
    assert code.process.stdin.closed
    assert code.process.stdout.closed
    assert code.output.closed


def test_the_system_limits_memory_and_files_and_keeps_no_image_of_a_crash(written):
    resource = pytest.importorskip("resource")
    names = "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_CORE"
    most = [resource.getrlimit(getattr(resource, name))[1] for name in names]
    text = f"import resource\nfound = [resource.getrlimit(getattr(resource, name))[0] for name in {names}]"
    with Process(written(text), LIMITS) as code:
        found = code.value("found")
    for limit, asked, largest in zip(found, (LIMITS.memory, LIMITS.written, 0), most, strict=True):
        assert limit == (asked if largest == resource.RLIM_INFINITY else min(asked, largest))


def test_the_parent_executes_nothing_of_the_file(written, tmp_path):
    marker = tmp_path / "executed"
    text = f"import os\nopen({str(marker)!r}, 'a').write(f'{{os.getpid()}} ')\ndef f(x):\n    return x\n"
    with Process(written(text), LIMITS) as code:
        code.call("f", {"x": 1})
        assert marker.read_text().split() == [str(code.process.pid)]


def test_a_process_that_does_not_start_is_an_error_of_the_system(written, monkeypatch, tmp_path):
    broken = tmp_path / "child.py"
    broken.write_text("raise SystemExit('no NumPy here')")
    monkeypatch.setattr(child, "__file__", str(broken))
    with pytest.raises(OSError, match="could not be started: no NumPy here"):
        Process(written("")).__enter__()
    broken.write_text("import time\ntime.sleep(60)")
    with pytest.raises(OSError, match="could not be started: "):
        Process(written(""), Limits(start=0.1)).__enter__()
    # A process that is slow to start may hear of the signal later, if at all.
    monkeypatch.setattr(subprocess.Popen, "send_signal", lambda self, number: None)
    with pytest.raises(OSError, match=r"could not be started: it gave no sign within 0\.1 s$"):
        Process(written(""), Limits(start=0.1)).__enter__()


def test_without_signals_and_groups_the_process_is_killed_alone(written, monkeypatch):
    """As on Windows."""
    monkeypatch.delattr(process.os, "killpg")

    def refuse(self, number):
        raise ValueError("Unsupported signal")

    monkeypatch.setattr(subprocess.Popen, "send_signal", refuse)
    code = Process(written("while True: pass"), Limits(seconds=0.2))
    # Popen.kill sends a signal as well.
    monkeypatch.setattr(subprocess.Popen, "kill", lambda self: os.kill(self.pid, signal.SIGKILL))
    with pytest.raises(StoppedError, match=r"ran longer than 0\.2 s\. Your code was running then"):
        code.__enter__()
    assert code.process.returncode == -signal.SIGKILL


# --- in this process, as in a notebook --------------------------------------------------------------------------------


def test_the_same_code_in_this_process():
    def f(x, unused=None):
        print("called")
        return 2 * x

    code = Inside({"f": f, "answers": {"s": 1}, "n": 3})
    assert code.value("answers") == {"s": 1}
    found = code.call("f", {"x": np.arange(2.0)})
    np.testing.assert_array_equal(found.returned, [0.0, 2])
    assert found.printed == "called"
    with pytest.raises(StoppedError, match="There is no `g` in what was handed over"):
        code.value("g")
    with pytest.raises(StoppedError, match=r"There is no function g: .* \(what was handed over has no function\)"):
        code.about("g")
    with pytest.raises(StoppedError, match="n is the int 3, but must be a function"):
        code.about("n")


def test_exceptions_in_this_process_are_sentences_with_their_line():
    def f(x):
        print("before")
        return x[7]

    def ends(x):
        raise SystemExit

    def stops(x):
        raise KeyboardInterrupt

    code = Inside({"f": f, "ends": ends, "stops": stops})
    with pytest.raises(StoppedError, match=r"^Line \d+, `return x\[7\]`, raises IndexError: ") as caught:
        code.call("f", {"x": np.zeros(2)})
    assert caught.value.printed == "before"
    with pytest.raises(StoppedError, match="ends the program"):
        code.call("ends", {"x": 1})
    with pytest.raises(KeyboardInterrupt):
        code.call("stops", {"x": 1})


def test_every_code_answers_requests():
    with pytest.raises(NotImplementedError):
        Code().ask({})


@pytest.mark.parametrize(
    ("own", "more", "takes"),
    [
        (["x", "w"], False, True),
        (["w", "x"], False, False),
        (["x"], False, False),
        (["x"], True, True),
        (["x", "w", "b"], False, False),
        (["x", "w", "b?"], False, True),
        (["x", "b?", "w"], False, True),
        ([], True, True),
    ],
)
def test_which_parameters_will_do(own, more, takes):
    parameters = tuple((name.rstrip("?"), not name.endswith("?")) for name in own)
    assert Signature(parameters, more).takes(("x", "w")) == takes


def test_values_in_words():
    assert described(np.zeros((2, 3))) == "an array of shape (2, 3)"
    assert described((1, 2)) == "a tuple"
    assert described(2.5) == "the float 2.5"
    assert described(None) == "None"
    assert described(child.Opaque("a Tensor")) == "a Tensor"
    assert described("x") == "a str"


def test_a_reply_that_never_comes_is_not_waited_for_forever():
    code = Process("unused", Limits(seconds=0.01))
    code.replies = queue.Queue()
    code.process = SimpleNamespace(send_signal=lambda number: code.replies.put(b'{"late": 1}\n'))
    assert code._reply(0.01) == {"late": 1}
