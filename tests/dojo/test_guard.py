"""What the guard of graded code refuses, event by event; whole programs are in teacher/test_grade.py."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import numpy as np
import pytest

from tinyalexnet.dojo import guard
from tinyalexnet.dojo.guard import Guard, Originals, RefusedError


@pytest.fixture
def watching(tmp_path):
    for name in ("package/dojo/stubs", "python/numpy", "students"):
        (tmp_path / name).mkdir(parents=True)
    return Guard(str(tmp_path / "students" / "a.py"), str(tmp_path / "package"), [str(tmp_path / "python")])


@pytest.mark.parametrize("module", ["tinyalexnet", "tinyalexnet.ops.relu", "scipy.signal", "numba", "torch"])
def test_other_packages_are_refused(watching, module):
    assert watching.reason("import", (module, None)).startswith(f"imports {module.partition('.')[0]} (NumPy and")


@pytest.mark.parametrize("module", ["numpy", "numpy.linalg", "math", "collections.abc", "subprocess"])
def test_numpy_and_pythons_own_modules_are_not(watching, module):
    """A module that starts programs may be imported, as NumPy's own tests do; to start one is refused."""
    assert watching.reason("import", (module, None)) is None
    assert watching.reason("subprocess.Popen", ("ls", [], None, None)) == "starts another program"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("os.system", "starts another program"),
        ("os.fork", "starts another process"),
        ("ctypes.dlopen", "calls into libraries"),
        ("socket.connect", "uses the network"),
        ("os.remove", "changes files"),
        ("os.kill", "sends signals to processes"),
    ],
)
def test_what_leaves_the_process_is_refused(watching, event, words):
    assert watching.reason(event, ()) == words


@pytest.mark.parametrize("event", ["object.__getattr__", "exec", "compile", "os.listdir", "sys._getframe", "osfork"])
def test_other_events_are_not(watching, event):
    assert watching.reason(event, ("a",)) is None


def test_files(watching, tmp_path):
    def reason(name, mode="r", flags=os.O_RDONLY):
        path = tmp_path / name if isinstance(name, str) else name
        return watching.reason("open", (path, mode, flags))

    assert reason("students/a.py") is None
    assert reason("python/numpy/core.py") is None
    assert reason(str(tmp_path / "package/dojo/stubs/fast_dense.py").encode()) is None
    assert reason(3) is None
    assert reason("students/b.py") == "reads the file b.py"
    assert reason("package/ops/relu.py") == "reads the package's own code"
    assert reason("students/a.py", "w", os.O_WRONLY) == "writes a file"
    assert reason("students/a.py", "r+", os.O_RDWR) == "writes a file"
    assert reason("students/a.py", "a", None) == "writes a file"
    assert reason("students/a.py", "rb", None) is None
    (tmp_path / "students" / "link.py").symlink_to(tmp_path / "package" / "secret.py")
    assert reason("students/link.py") == "reads the package's own code"
    # A package that is installed among Python's modules is guarded there too.
    inside = Guard("a.py", str(tmp_path / "python" / "numpy"), [str(tmp_path / "python")])
    assert inside.reason("open", (tmp_path / "python" / "numpy" / "core.py", "r", 0)) == "reads the package's own code"


def test_a_refusal_is_raised_and_noted_even_if_it_is_hidden(watching):
    with pytest.raises(RefusedError, match="imports scipy"):
        watching("import", ("scipy", None))
    try:
        watching("os.system", ("true",))
    except Exception:
        pytest.fail("except Exception must not hide it")
    except BaseException:
        pass
    assert [reason.split()[0] for reason in watching.refused] == ["imports", "starts"]
    watching("import", ("numpy", None))
    watching.active = False
    watching("os.system", ("true",))
    assert len(watching.refused) == 2


def test_what_the_guard_itself_does_is_not_looked_at(watching, monkeypatch):
    """Else the look at one file could be a file that is opened, and so on."""
    reason = watching.reason

    def looks(event, arguments):
        watching("os.system", ("true",))
        return reason(event, arguments)

    monkeypatch.setattr(watching, "reason", looks)
    watching("import", ("numpy", None))
    assert watching.refused == []
    assert watching.active


def test_a_replaced_function_is_seen():
    module = ModuleType("numpy")
    module.equal, module.pi = max, 3
    originals = Originals({"numpy": module})
    module.pi = 4
    module.new = min
    assert originals.replaced() is None
    module.equal = min
    assert originals.replaced() == "numpy.equal"
    del module.equal
    assert originals.replaced() == "numpy.equal"


def test_a_process_is_watched_for_good(monkeypatch, watching):
    hooks = []
    monkeypatch.setattr(sys, "addaudithook", hooks.append)
    monkeypatch.setattr(sys, "path", [*sys.path, "/own/dist-packages", "/own/students"])
    watched = guard.watch("a.py", "package")
    assert watched() is None
    for readable in (np.__file__, os.__file__, "/own/dist-packages/one.py"):
        hooks[0]("open", (readable, "r", os.O_RDONLY))
    with pytest.raises(RefusedError):
        hooks[0]("import", ("scipy", None))
    with pytest.raises(RefusedError, match="reads the file one"):
        hooks[0]("open", ("/own/students/one.py", "r", os.O_RDONLY))
    assert watched().startswith("imports scipy")
    monkeypatch.setattr(guard.np, "array_equal", max)
    assert watched() == "replaces numpy.array_equal"
