"""How much of a processor the threads got, of what they asked for: on a busy machine a time says nothing.

A thread asks for a core while it computes, and while it waits in a loop for the others; a thread that sleeps asks for
nothing. Linux counts for each thread how long it ran, and how long it stood in the queue of a core. The share is

    time that the threads ran / (time that they ran + time in the queue)

CPU time by itself would not tell: a rung with a part on one thread asks for less than all cores, and how long an idle
thread of Numba keeps its core depends on Numba's threads. Other systems do not count the queue. There a rung on one
thread has its CPU time over the clock's, since it never waits, and a rung on several threads has no share.
"""

from __future__ import annotations

import time
from pathlib import Path

ENOUGH = 0.8
"""A smaller share warns."""

THREADS = Path("/proc/self/task")


def timed(call, threads, seconds_of, folder=THREADS):
    """The seconds of ``call()``, and the share of the cores that its threads got; None if nobody counts."""
    queues, cpu = _queues(folder), time.process_time()
    seconds = seconds_of(call)
    cpu, after = time.process_time() - cpu, _queues(folder)
    if queues and after:
        ran, waited = (sum(now[i] - queues.get(thread, (0, 0))[i] for thread, now in after.items()) for i in (0, 1))
        return seconds, ran / (ran + waited) if ran + waited > 0 else 1.0
    return seconds, min(1.0, cpu / seconds) if threads == 1 and seconds > 0 else None


def _queues(folder):
    """For each thread the nanoseconds that it ran and those that it waited for a core."""
    found = {}
    for thread in folder.glob("*/schedstat"):
        try:
            ran, waited, _ = thread.read_text().split()
        except (OSError, ValueError):  # the thread has just ended
            continue
        found[thread] = int(ran), int(waited)
    return found
