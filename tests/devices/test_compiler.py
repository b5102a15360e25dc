"""The compiler's cache: code is compiled once, and again if a source that it is made of has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from numba.core.caching import Cache

import tinyalexnet
from tinyalexnet.devices.cpu import compiler

PACKAGE = Path(tinyalexnet.__file__).parent

# The compiled mask has the constants of philox.py in it, a file beside the kernel's.
SCRIPT = """
import numpy as np
from tinyalexnet.devices import device
from tinyalexnet.ops.dropout import dropout_mask
with device("cpu").report_compilation(lambda name: None, lambda seconds: None) as compiled:
    mask = dropout_mask((100,), 0.5, 7, "cpu")
assert (mask == dropout_mask((100,), 0.5, 7, "reference")).all()
print(len(compiled), mask.astype(int).tolist())
"""


@pytest.mark.compiled
def test_a_changed_source_is_compiled_again(tmp_path):
    copy = tmp_path / "tinyalexnet"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        compiled, _, mask = done.stdout.partition(" ")
        return int(compiled), mask

    def change(name, before, after):
        source = copy / name
        text = source.read_text()
        assert before in text
        source.write_text(text.replace(before, after))

    (first, mask), (cached, again) = run(), run()
    assert first > 0
    assert (cached, again) == (0, mask)
    change("ops/dropout/philox.py", "ROUNDS = 10", "ROUNDS = 11")
    compiled, other = run()
    assert compiled > 0
    assert other != mask  # and the reference agrees with it: the script has compared them
    change("devices/cpu/compiler.py", "size * index // count", "index * size // count")
    assert run() == (first, other)
    change("ops/l2_loss/reference.py", '"""', '"""The formula. ')
    assert run() == (0, other)  # another operation's source


def mask(environment, before=""):
    done = subprocess.run(
        [sys.executable, "-c", before + SCRIPT],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    compiled, _, found = done.stdout.partition(" ")
    return int(compiled), found, done.stderr


@pytest.mark.compiled
def test_without_a_folder_for_the_cache_it_compiles_and_says_so_once(tmp_path):
    nowhere = "from numba.core.caching import CacheImpl\nCacheImpl._locator_classes = []\n"
    compiled, _, err = mask({}, nowhere)
    assert compiled > 0
    assert err.count("no folder can be written to, so each start compiles all kernels: set NUMBA_CACHE_DIR to one") == 1


@pytest.mark.compiled
@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
def test_a_cache_that_is_damaged_is_made_again(tmp_path, ending):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = mask(environment)
    assert first[0] > 0
    for path in tmp_path.rglob(f"*{ending}"):
        path.write_bytes(path.read_bytes()[:-40])
    assert mask(environment) == first
    assert mask(environment) == (0, *first[1:])


class Damaged(Cache):
    """A cache of which nothing can be read or written."""

    cache_path = None
    flushed = 0

    def __init__(self, error):
        self.error = error

    def load_overload(self, *given):
        raise self.error

    def save_overload(self, *given):
        raise self.error

    def flush(self):
        self.flushed += 1
        raise OSError

    def enable(self):
        raise NotImplementedError

    def disable(self):
        raise NotImplementedError


def uses_a_name():
    return mask()


def calls_others():
    return mask() or (lambda: named_inside(0))


class Inside:
    """Stands for a dispatcher of Numba's, or a function that is called by its name."""

    py_func = staticmethod(uses_a_name)


named_inside = Inside()


def test_names_are_found_in_all_that_a_function_calls(monkeypatch):
    monkeypatch.setattr(compiler, "NAMED", [(mask, "mask"), (len, "len")])
    assert compiler.names_in(uses_a_name) == compiler.names_in(calls_others) == ["mask"]
    assert compiler.names_in(Damaged.enable) == []


def test_a_cache_that_fails_is_none(monkeypatch):
    """Before it is asked, what the code calls by a name is provided."""
    told = []
    monkeypatch.setattr(compiler, "NAMED", [(mask, SimpleNamespace(provide_for=told.append)), (len, None)])
    cache = Damaged(OSError())
    dispatcher = SimpleNamespace(_cache=cache, py_func=uses_a_name)
    assert compiler._resilient(dispatcher) is dispatcher
    assert cache.load_overload("signature", "context") is None
    assert told == ["signature"]
    assert cache.flushed == 1
    cache.save_overload("signature", "data")
    no_cache = SimpleNamespace()
    assert compiler._resilient(no_cache) is no_cache
    assert vars(no_cache) == {}


def test_a_mistake_in_a_cached_kernel_is_no_failed_write():
    cache = Damaged(ValueError())
    compiler._resilient(SimpleNamespace(_cache=cache, py_func=uses_a_name))
    with pytest.raises(ValueError, match=r"^$"):
        cache.save_overload("signature", "data")


def test_without_any_folder_it_is_said_once(monkeypatch):
    options = []

    def njit(**given):
        if given["cache"]:
            raise RuntimeError("cannot cache function 'run_of': no locator available for file '<string>'")
        options.append(given)
        return lambda function: function

    monkeypatch.setattr(compiler.numba, "njit", njit)
    compiler._warn_of_no_cache.cache_clear()
    message = r"^no folder can be written to, .*: set NUMBA_CACHE_DIR to one$"
    with pytest.warns(UserWarning, match=message):
        assert compiler.inner(len) is len
    assert compiler.inner(max) is max  # a second warning would be an error
    assert [given["fastmath"] for given in options] == [False, False]


def test_kernels_alone_are_parallel_and_keep_their_names(monkeypatch):
    options = []

    def njit(**given):
        options.append(given)
        return lambda function: SimpleNamespace(py_func=function)

    monkeypatch.setattr(compiler.numba, "njit", njit)
    compiler.inner(mask)
    for decorator in (compiler.parallel, compiler.streaming):
        assert decorator(mask).__name__ == "mask"
    own = {"cache": True, "fastmath": False, "error_model": "numpy"}
    assert options == [own, *2 * [{**own, "parallel": True}], own]
    alone = compiler.streaming(mask).alone.py_func
    assert (alone.__name__, alone.__qualname__, alone.__module__) == ("mask_alone", "mask_alone", mask.__module__)
    assert alone.__code__ is mask.__code__


def test_code_is_as_old_as_the_sources_of_its_operation_and_of_all(tmp_path):
    """Of a kernel outside ``ops``, those of the folder of the compiler."""
    folder = tmp_path / "ops" / "conv" / "deep"
    folder.mkdir(parents=True)
    for name, text in (("deep/cpu.py", "kernel = len\n"), ("formula.py", "")):
        (folder.parent / name).write_text(text)
    everywhere = compiler._sources(Path(compiler.__file__).parent)
    for file in (folder / "cpu.py", tmp_path / "elsewhere.py"):
        cache = SimpleNamespace(_cache_file=SimpleNamespace(_source_stamp="own"))
        code = SimpleNamespace(co_filename=str(file))
        dispatcher = SimpleNamespace(_cache=cache, py_func=SimpleNamespace(__code__=code))
        assert compiler.stamped(dispatcher) is dispatcher
        own, of_all, of_operation = cache._cache_file._source_stamp
        assert (own, of_all) == ("own", everywhere)
        names = [(name, size) for name, _, size in of_operation]
        if file.parent == folder:
            assert names == [("deep/cpu.py", 13), ("formula.py", 0)]
        else:
            assert of_operation == everywhere


def test_the_seconds_of_a_kernel_are_those_of_all_that_it_compiles(monkeypatch):
    clock, said = iter([10.0, 11.0, 14.5, 20.0, 20.25]), []
    monkeypatch.setattr(compiler, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    listener = compiler.CompilationListener(said.append, said.append)
    data = {"dispatcher": SimpleNamespace(py_func=mask)}
    outer = SimpleNamespace(data=data)
    listener.on_start(outer)
    listener.on_start(outer)
    listener.on_end(outer)
    listener.on_end(outer)
    listener.on_start(outer)
    listener.on_end(outer)
    name = f"{__name__}.mask"
    assert said == [name, 4.5, name, 0.25]
    assert listener.names == [name, name]


@pytest.mark.compiled
def test_a_cache_that_cannot_be_written_is_left(tmp_path):
    full = (
        "import errno\nfrom numba.core.caching import IndexDataCacheFile\n"
        "def full(*given): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "IndexDataCacheFile._save_data = full\n"
    )
    for _ in range(2):
        assert mask({"NUMBA_CACHE_DIR": str(tmp_path)}, full)[0] > 0
