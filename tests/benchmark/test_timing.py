"""What is timed: the steps after the first ones, each until the device is done, by a clock that the test reads."""

from __future__ import annotations

import io
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tinyalexnet.benchmark import timing
from tinyalexnet.benchmark.timing import ENERGY_SECONDS, TimedRun, Workload, compile_kernels, time_steps
from tinyalexnet.console import Console


def test_a_finished_step_is_taken_and_then_waited_for(monkeypatch):
    done = []
    monkeypatch.setattr(Workload, "step", lambda self, name: lambda: done.append(name))
    work = Workload(None, None, None, SimpleNamespace(wait=lambda: done.append("wait")))
    work.finished_step("Forward")()
    assert done == ["Forward", "wait"]


def test_the_seconds_of_the_processors_are_those_of_the_steps_that_count(monkeypatch):
    """Each step takes 2 s of the processors, and each look at their clock half a second."""
    clock = SimpleNamespace(cpu=100.0)

    def step(run):
        clock.cpu += 2
        return 0.5

    def process_time():
        clock.cpu += 0.5
        return clock.cpu

    device = SimpleNamespace(seconds_of=step, joules=lambda: None)
    work = SimpleNamespace(step=lambda name: None, device=device)
    monkeypatch.setattr(timing, "time", SimpleNamespace(monotonic=lambda: 7.0, process_time=process_time))
    run, out = TimedRun("Forward"), io.StringIO()
    time_steps(run, work, 21, out, Console(io.StringIO(), quiet=True))
    assert run.durations == [0.5] * 21
    assert run.cpu_seconds == 21 * (2 + 0.5)
    assert (run.joules, run.wall_seconds) == (None, 0.0)
    assert [line.partition("step ")[2] for line in out.getvalue().splitlines()] == [
        "10, duration = 0.500",
        "20, duration = 0.500",
    ]


@pytest.mark.parametrize(
    ("before", "after", "seconds", "joules"),
    [
        (10.0, 60.0, ENERGY_SECONDS / 4, 50.0),
        (10.0, 60.0, ENERGY_SECONDS / 8, None),  # too short to be measured
        (None, 60.0, ENERGY_SECONDS, None),
        (10.0, None, ENERGY_SECONDS, None),
    ],
)
def test_energy_is_that_of_the_steps_that_count(monkeypatch, before, after, seconds, joules):
    """Four of them, behind ten that do not; each moves the clock and the bar."""
    clock, found, moved = SimpleNamespace(now=0.0), iter([before, after]), []

    def step(run):
        clock.now += seconds
        return seconds

    @contextmanager
    def bar(name, total):
        yield lambda: moved.append(total), print

    device = SimpleNamespace(seconds_of=step, joules=lambda: next(found))
    work = SimpleNamespace(step=lambda name: None, device=device)
    monkeypatch.setattr(timing, "time", SimpleNamespace(monotonic=lambda: clock.now, process_time=lambda: 0.0))
    run = TimedRun("Forward")
    time_steps(run, work, 4, io.StringIO(), SimpleNamespace(bar=bar))
    assert (run.wall_seconds, run.joules) == (4 * seconds, joules)
    assert moved == [14] * 14


@pytest.mark.parametrize(
    ("compiled", "said"), [([], "0 functions compiled, all from"), (["a"], "1 functions compiled; ")]
)
def test_each_pass_is_taken_once_so_that_its_kernels_are_compiled(compiled, said):
    class Device:
        compiles = True

        @contextmanager
        def report_compilation(self, on_start, on_end):
            yield
            for name in compiled:
                on_start(name)
                on_end(1.0)

    err, taken = io.StringIO(), []
    work = SimpleNamespace(device=Device(), finished_step=lambda name: lambda: taken.append(name))
    compile_kernels(work, ("Forward", "Forward-backward"), Console(err, quiet=False))
    assert taken == ["Forward", "Forward-backward"]
    assert said in err.getvalue()
    Device.compiles = False
    compile_kernels(work, ("Forward",), Console(err, quiet=False))
    assert len(taken) == 2
