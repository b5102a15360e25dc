"""The timed steps of the benchmark, and their statistics."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TextIO

from .. import interrupts
from ..console import Console
from ..devices import Device
from ..losses import Loss
from ..network import Sequential

BURN_IN_STEPS = 10
"""Steps that run before each timed run and do not count."""


ENERGY_SECONDS = 0.5
"""The shortest run whose energy is reported: a GPU's counter moves about ten times a second."""


class Steps(Protocol):
    """What is timed."""

    @property
    def device(self) -> Device:
        """Where it runs."""

    def step(self, name: str) -> Callable[[], object]:
        """A step of a pass."""

    def finished_step(self, name: str) -> Callable[[], object]:
        """A step that ends when the device is done."""


@dataclass(frozen=True)
class Workload:
    """A network and its input, on a device, with the loss of its output."""

    net: Sequential
    images: Any
    loss: Loss
    device: Device
    graph: bool = True

    def step(self, name: str) -> Callable[[], object]:
        """A step of a pass: the forward alone, or the forward, the loss and the gradients of the parameters."""
        step = self.net.captured({"Forward": None, "Forward-backward": self.loss}[name], graph=self.graph)
        return lambda: step(self.images)

    def finished_step(self, name: str) -> Callable[[], object]:
        """A step that ends when the device is done, as the step of another framework does."""
        step = self.step(name)

        def finished() -> None:
            step()
            self.device.wait()

        return finished


@dataclass
class TimedRun:
    """A timed run: the durations in seconds of the steps that were finished, the CPU time of all threads in them, and
    the energy that the device used from the first of them to the end of the last, if it is known."""

    name: str
    durations: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    joules: float | None = None
    wall_seconds: float = 0.0

    @property
    def watts(self) -> float | None:
        """Mean power of the device, over all steps and what is between them."""
        return None if self.joules is None else self.joules / self.wall_seconds

    def cpu_utilisation(self, threads: int) -> float:
        """Process CPU time over wall time times threads: 1 if every thread computed all the time."""
        return self.cpu_seconds / (sum(self.durations) * threads)


def statistics(durations: list[float]) -> tuple[float, float]:
    """Mean and population standard deviation of all durations, in seconds."""
    mean = math.fsum(durations) / len(durations)
    return mean, math.sqrt(math.fsum((duration - mean) ** 2 for duration in durations) / len(durations))


def legacy_statistics(durations: list[float]) -> tuple[float, float]:
    """The 2015 script's mean and standard deviation: the first sample is dropped, the divisor is not reduced.

    Math
        mean = Σ_{i>0} d_i / N and spread = √(Σ_{i>0} d_i² / N - mean²). So N equal durations d give the mean
        d (N - 1) / N and the spread d √(N - 1) / N: 10 % of d at N = 100, although nothing varied at all.
    Source
        docs/benchmark.md.
    """
    n = len(durations)
    mean = math.fsum(durations[1:]) / n
    return mean, math.sqrt(max(math.fsum(duration**2 for duration in durations[1:]) / n - mean**2, 0.0))


def compile_kernels(work: Steps, passes: tuple[str, ...], say: Console, ahead: bool = False) -> None:
    """Runs every pass once, so that no timed step waits for a compiler; what is missing may be compiled ``ahead``.

    It uses the whole batch, because a smaller one may take other algorithms.
    """
    if not work.device.compiles:
        return
    start = time.perf_counter()
    before = say.compile_ahead(work.device, lambda: _run_once(work, passes)) if ahead else []
    with say.compiling(work.device) as compiled:
        _run_once(work, passes)
    compiled = before + compiled
    cached = "" if compiled else ", all from the cache"
    say.line(f"{len(compiled)} functions compiled{cached}; ready after {time.perf_counter() - start:.1f} s")


def compile_quietly(work: Steps, passes: tuple[str, ...]) -> None:
    """As ``compile_kernels`` ahead, for who shows progress in another way."""
    work.device.compile_ahead(lambda: _run_once(work, passes), lambda: None, lambda name, seconds: None)
    interrupts.check()
    _run_once(work, passes)


def _run_once(work: Steps, passes: tuple[str, ...]) -> None:
    for name in passes:
        work.finished_step(name)()


def time_steps(run: TimedRun, work: Steps, num_batches: int, out: TextIO, say: Console) -> None:
    """Times the steps of a run and prints every tenth."""
    step = work.step(run.name)
    start, before = time.monotonic(), None
    with say.bar(run.name, BURN_IN_STEPS + num_batches) as (advance, write):
        for i in range(-BURN_IN_STEPS, num_batches):
            if i == 0:
                start, before = time.monotonic(), work.device.joules()
            cpu_start = time.process_time()
            duration = work.device.seconds_of(step)
            if i >= 0:
                run.cpu_seconds += time.process_time() - cpu_start
                run.durations.append(duration)
                if i > 0 and i % 10 == 0:
                    write(f"{datetime.now()}: step {i}, duration = {duration:.3f}", out)
            advance()
    after = work.device.joules()
    run.wall_seconds = time.monotonic() - start
    known = before is not None and after is not None and run.wall_seconds >= ENERGY_SECONDS
    run.joules = after - before if known else None  # type: ignore[operator]
