"""What is timed: the steps after the first ones, each until the device is done, by a clock that the test reads."""

from __future__ import annotations

import io
from types import SimpleNamespace

from tinyalexnet.benchmark import timing
from tinyalexnet.benchmark.timing import TimedRun, Workload, time_steps
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
