"""Kernels that are compiled ahead: which ones a step calls, and the processes that compile them."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from tinyalexnet import warm
from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.console import FIRST_TIME, Console
from tinyalexnet.devices import device
from tinyalexnet.devices.cpu import ahead, compiler
from tinyalexnet.devices.cpu.threads import ParallelKernel, StreamingKernel
from tinyalexnet.layers import Conv2d, Dropout
from tinyalexnet.network import Sequential


class Dispatcher:
    """What ``ahead`` uses of a kernel of Numba's; ``index`` is what its cache on disk has."""

    def __init__(self, function, index=()):
        self.py_func, self.compiled_for = function, []
        self.targetctx = SimpleNamespace(codegen=lambda: "this processor")
        file = SimpleNamespace(_load_index=lambda: {(types, "this processor") for types in index})
        self._cache = SimpleNamespace(_cache_file=file, _index_key=lambda types, codegen: (types, codegen))

    def compile(self, types):
        if self.py_func.__name__ == "broken":
            raise RuntimeError("no code")
        self.compiled_for.append(types)

    def __call__(self, *arguments):
        raise AssertionError("a kernel runs")


def kernel(function):
    return ParallelKernel(Dispatcher(function))


@kernel
def few(x):
    pass


@kernel
def many(x, y, z):
    pass


@kernel
def broken(x, y):
    pass


def quick_alone(x):
    pass


quick = StreamingKernel(few.compiled, Dispatcher(quick_alone))

X, N = np.zeros(3, np.float32), 7
FEW, MANY = (numba.typeof(X),), (numba.typeof(X), numba.typeof(N), numba.typeof((1, 2)))


@pytest.fixture(autouse=True)
def nothing_compiled():
    for one in (few, many):
        one.compiled.compiled_for.clear()


def run():
    few(X)
    many(X, N, (1, 2))
    few(X + 1)


def test_a_step_tells_each_kernel_once_the_longest_first_and_runs_none():
    assert ahead.jobs_of(run) == [ahead.Job(__name__, "many", MANY), ahead.Job(__name__, "few", FEW)]
    assert ParallelKernel.instead is None


def test_a_kernel_without_a_parallel_loop_has_a_dispatcher_of_its_own():
    (job,) = ahead.jobs_of(lambda: quick(X))
    assert job == ahead.Job(__name__, "quick_alone", FEW)
    assert job.dispatcher() is quick.alone
    assert ahead.Job(__name__, "quick", FEW).dispatcher() is few.compiled


def test_kernels_of_winograd_come_before_others(monkeypatch):
    function = many.compiled.py_func
    monkeypatch.setattr(function, "__module__", "tinyalexnet.ops.relu.cpu")
    one = kernel(lambda x: None)
    monkeypatch.setattr(one.compiled.py_func, "__module__", "tinyalexnet.ops.conv2d.winograd.cpu.schedules")
    monkeypatch.setattr(ahead, "_is_cached", lambda job: False)

    def both():
        many(X, N, N)
        one(X)

    assert [job.title for job in ahead.jobs_of(both)] == ["conv2d.winograd.cpu.schedules.<lambda>", "relu.cpu.many"]


def test_what_is_on_disk_is_left_out(monkeypatch):
    cache = Dispatcher(few.compiled.py_func, [FEW])._cache
    monkeypatch.setattr(few.compiled, "_cache", cache)
    assert [job.name for job in ahead.jobs_of(run)] == ["many"]
    # Of other types it is not there.
    assert [job.types for job in ahead.jobs_of(lambda: few(N))] == [(numba.typeof(N),)]


def test_without_a_folder_to_write_to_there_is_nothing_to_do(monkeypatch):
    for one in (few, many):
        monkeypatch.setattr(one.compiled, "_cache", SimpleNamespace())
    assert ahead.jobs_of(run) == []


def test_after_an_error_kernels_run_again():
    with pytest.raises(ZeroDivisionError):
        ahead.jobs_of(lambda: 1 // 0)
    with pytest.raises(AssertionError, match="a kernel runs"):
        few(X)


def test_a_compiler_answers_each_job_with_its_seconds():
    jobs = [ahead.Job(__name__, "few", FEW), ahead.Job(__name__, "many", MANY)]
    target = io.BytesIO()
    ahead.serve(io.BytesIO(b"".join(map(pickle.dumps, jobs))), target)
    assert [float(line) >= 0 for line in target.getvalue().splitlines()] == [True, True]
    assert (few.compiled.compiled_for, many.compiled.compiled_for) == ([FEW], [MANY])


class InThread:
    """A process whose work a thread of this one does; it ends, as one does that is killed, at the job ``broken``."""

    started: tuple = ()

    def __init__(self, command, env, start_new_session, stdin, stdout, stderr):
        assert command == [sys.executable, "-m", "tinyalexnet.devices.cpu.ahead"]
        assert env["PYTHONPATH"].split(os.pathsep)[0] == ahead.ROOT
        assert start_new_session
        InThread.started += (self,)
        (source, write), (read, target) = os.pipe(), os.pipe()
        self.stdin, self.stdout = os.fdopen(write, "wb"), os.fdopen(read, "rb")
        self.thread = threading.Thread(target=self.work, args=(os.fdopen(source, "rb"), os.fdopen(target, "wb")))
        self.thread.start()

    def work(self, source, target):
        with source, target:
            try:
                ahead.serve(source, target)
            except RuntimeError:
                return

    def kill(self):
        if not self.stdin.closed:
            self.stdin.close()

    def wait(self):
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def in_threads(monkeypatch):
    monkeypatch.setattr(ahead.subprocess, "Popen", InThread)
    InThread.started = ()


@pytest.mark.parametrize(("processes", "started"), [(1, 1), (2, 2), (9, 2)])
def test_processes_compile_all_jobs(in_threads, processes, started):
    done = []
    ahead.compile_ahead(ahead.jobs_of(run), lambda title, seconds: done.append((title, seconds >= 0)), processes)
    assert sorted(done) == [(f"{__name__}.few", True), (f"{__name__}.many", True)]
    assert (few.compiled.compiled_for, many.compiled.compiled_for) == ([FEW], [MANY])
    assert len(InThread.started) == started


def test_a_process_that_ends_leaves_its_job_and_what_follows_to_others(in_threads):
    jobs = [ahead.Job(__name__, "broken", (FEW[0],) * 2), ahead.Job(__name__, "few", FEW)]
    done = []
    ahead.compile_ahead(jobs, lambda title, seconds: done.append(title), 1)
    assert done == []
    ahead.compile_ahead(jobs, lambda title, seconds: done.append(title), 2)
    assert done == [f"{__name__}.few"]


class Interrupted:
    """A thread that never ends, while the user presses Ctrl-C."""

    def __init__(self, **how):
        pass

    def start(self):
        pass

    def is_alive(self):
        return True

    def join(self, timeout):
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_processes(in_threads, monkeypatch):
    monkeypatch.setattr(ahead, "threading", SimpleNamespace(Thread=Interrupted))
    with pytest.raises(KeyboardInterrupt):
        ahead.compile_ahead([ahead.Job(__name__, "few", FEW)], lambda title, seconds: None, 1)
    (process,) = InThread.started
    assert process.stdin.closed
    assert process.stdout.closed


def test_the_device_compiles_what_is_missing_if_it_is_enough(monkeypatch):
    said, jobs = [], ["a", "b", "c"]
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    monkeypatch.setattr(ahead, "jobs_of", lambda run: jobs)
    monkeypatch.setattr(ahead, "compile_ahead", lambda found, done, processes: said.append((found, processes)))
    device("cpu").compile_ahead(lambda: None, lambda: said.append("begins"), print, least=3)
    assert said[0] == "begins"
    assert said[1][0] == jobs
    assert 1 <= said[1][1] <= ahead.PROCESSES
    device("cpu").compile_ahead(lambda: None, lambda: said.append("begins"), print, least=4)
    assert len(said) == 2
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    device("cpu").compile_ahead(lambda: None, lambda: said.append("begins"), print, least=0)
    device("reference").compile_ahead(lambda: None, lambda: said.append("begins"), print)
    assert len(said) == 2


def test_the_console_says_what_was_compiled(monkeypatch):
    err, waits = io.StringIO(), []
    monkeypatch.setattr(Console, "waiting", lambda self, text: nullcontext(waits.append(text)))

    def compile_ahead(run, on_start, on_end, least):
        assert least == 2
        assert waits[0]() == "looking for kernels to compile ..."
        on_start()
        assert waits[0]() == "compiling ..."
        on_end("relu.cpu._forward", 1.26)

    names = Console(err, quiet=False).compile_ahead(SimpleNamespace(compile_ahead=compile_ahead), run)
    assert names == ["relu.cpu._forward"]
    assert err.getvalue().splitlines() == [FIRST_TIME, "compiled relu.cpu._forward: 1.3 s"]


@pytest.mark.parametrize(("variant", "asked"), [("digits", None), ("tf2015", ["tf2015"])])
def test_warm_takes_a_step_of_each_network_at_each_batch(monkeypatch, variant, asked):
    steps, err = [], io.StringIO()
    layers = [("conv", Conv2d(1, 1, 1, needs_dx=False)), ("drop", Dropout(0.5, rng=0))]

    class Net(Sequential):
        def forward(self, x):
            steps.append((x.shape, self.train))
            return super().forward(x[:1, :4, :4, :1]).reshape(1, -1).repeat(len(x), axis=0)

        def backward(self, dout):
            return super().backward(dout[:1].reshape(1, 4, 4, 1))

    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.setattr(compiler, "keeps_code", lambda: True)
    monkeypatch.setattr(warm, "alexnet", lambda name: Net(layers))
    monkeypatch.setattr(warm, "VARIANTS", {variant: VARIANTS[variant]})
    monkeypatch.setattr(Console, "compile_ahead", lambda self, hardware, run, least: run() or ["kernel"] * least)
    assert warm.warm(asked, Console(err, quiet=False)) == 0
    assert [shape[0] for shape, _ in steps] == [*warm.BATCHES, warm.BATCHES[-1]]
    assert [train for _, train in steps] == [*len(warm.BATCHES) * [True], False]
    assert {shape[1:] for shape, _ in steps} == {VARIANTS[variant].image_shape}
    assert err.getvalue().startswith("1 kernels compiled in ")


def test_warm_refuses_to_compile_for_nobody(monkeypatch):
    console = Console(io.StringIO(), quiet=False)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(ValueError, match=r"^NUMBA_DISABLE_JIT is set, but must not be"):
        warm.warm(None, console)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    monkeypatch.setattr(compiler, "slice_bounds", lambda: None)
    with pytest.raises(ValueError, match=r"^NUMBA_CACHE_DIR is '/proc/nowhere', but must be a folder"):
        warm.warm(None, console)
    monkeypatch.setattr(compiler, "slice_bounds", Dispatcher(None))
    assert compiler.keeps_code()


SCRIPT = """
import sys
import numpy as np
from tinyalexnet.devices import device
from tinyalexnet.devices.cpu import ahead, compiler
from tinyalexnet.ops.relu import relu_backward, relu_forward

for size, end in ((7, "_alone"), (20_000, "")):
    x = np.linspace(-1, 1, size, dtype=np.float32)
    run = lambda: relu_backward(x, relu_forward(x))
    names = []
    device("cpu").compile_ahead(run, lambda: None, lambda name, seconds: names.append(name))
    assert sorted(names) == [f"relu.cpu._backward{end}", f"relu.cpu._forward{end}"], names
    assert ahead.jobs_of(run) == []
    with device("cpu").report_compilation(lambda name: None, lambda seconds: None) as compiled:
        run()
    assert compiled == [], compiled
    assert (relu_forward(x) == np.maximum(x, 0)).all()
"""


@pytest.mark.compiled
def test_what_other_processes_have_compiled_is_loaded(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
