"""Reads files and command lines that were damaged at random, and reports what is no documented error.

    python -m tests.fuzz --seconds 60 --seed 0
    python -m tests.fuzz --cases 1000 --only images          a fixed number of cases of each target
    python -m tests.fuzz --seed 0 --only images --case 7      one case again

A case is a small valid file that was changed: bytes, or a part of its structure with the checksums made right again. It
must be read, or refused by one of the errors that the reader documents, in one line, with less than 1 GB of memory and
in less than 10 seconds; and no process may be started. Otherwise it is printed with the command that makes it again,
and the exit code is 1. A case depends on the seed, the target and its number alone.

The cases run in a process of their own, so that a crash and a case without an end are findings too.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from tinyalexnet.devices.machine import peak_memory

TARGETS = ("torch", "idx", "cifar", "images", "checkpoints", "labels", "matrices", "commands")

MOST_SECONDS, MOST_MEMORY = 10, 1 << 30
"""Of a case."""

HANGS_AFTER = 60
"""Seconds after which a case is ended."""

MOST_FINDINGS = 20


def cases(options: argparse.Namespace, names: list[str]) -> Iterator[tuple[str, int]]:
    """Target and number of each case, one of each target in turn."""
    if options.case is not None:
        yield from ((name, options.case) for name in names)
        return
    end = time.monotonic() + options.seconds
    numbers = itertools.count() if options.cases is None else range(options.cases)
    for number in numbers:
        for name in names:
            if options.cases is None and time.monotonic() > end:
                return
            yield name, number


def outcome(read: Callable[[random.Random], object], rng: random.Random) -> tuple[str, str]:
    """The name of the error, or "read", and what is wrong with it, "" if nothing is."""
    began = time.monotonic()
    try:
        read(rng)
        result, wrong = "read", ""
    except (ValueError, OSError) as error:
        result, wrong = type(error).__name__, ""
        if "\n" in str(error) or not str(error) or len(str(error)) > 6000:
            wrong = f"its message is not one line: {str(error)[:400]!r}"
    except BaseException as error:
        result, wrong = type(error).__name__, "".join(traceback.format_exception(error))
    seconds = time.monotonic() - began
    if seconds > MOST_SECONDS:
        wrong = f"it took {seconds:.1f} s"
    # Of the whole process and for ever: after such a finding each case is one.
    if (peak_memory() or 0) > MOST_MEMORY:
        wrong = "it took more than 1 GB"
    return result, wrong


def work(options: argparse.Namespace, folder: str, to: Connection) -> None:
    """Runs the cases; sends each before it runs, and what came of it. In a process of its own."""
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    os.chdir(folder)
    import numpy.testing  # noqa: F401  which starts lscpu in NumPy 2.0 when SciPy imports it

    from tests.fuzz_targets import targets

    # Before the guard: the seeds of "matrices" have the name of BLAS; an old threadpoolctl asks the system for it once.
    reads = targets()
    start, name = subprocess.Popen.__init__, ""

    def guarded(self: subprocess.Popen[bytes], *arguments: object, **more: object) -> None:
        # Under a command old versions of SciPy and threadpoolctl ask the system for its libraries.
        if name != "commands":
            raise AssertionError(f"it starts a process: {arguments}")
        start(self, *arguments, **more)  # type: ignore[arg-type]

    subprocess.Popen.__init__ = guarded  # type: ignore[method-assign,assignment]
    names = [one for one in TARGETS if options.only in (None, one)]
    for name, number in cases(options, names):
        to.send((name, number))
        to.send(outcome(reads[name], random.Random(f"{options.seed} {name} {number}")))
    to.send(None)


def fuzz(options: argparse.Namespace) -> int:
    """The number of findings, which are printed."""
    counts: dict[str, int] = {}
    findings, digest = 0, hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = multiprocessing.Pipe()
        worker = multiprocessing.get_context("spawn").Process(target=work, args=(options, folder, theirs), daemon=True)
        worker.start()
        theirs.close()
        name, number, message = "start", 0, None
        while findings < MOST_FINDINGS:
            try:
                message = ours.recv() if ours.poll(HANGS_AFTER) else ("hang", f"it took more than {HANGS_AFTER} s")
            except EOFError:
                worker.join()
                message = "crash", f"the process ended with {worker.exitcode}"
            if message is None:
                break
            if isinstance(message[1], int):
                name, number = message
                counts[name] = counts.get(name, 0) + 1
                continue
            result, wrong = message
            digest.update(f"{name} {number} {result}\n".encode())
            if wrong:
                findings += 1
                print(f"{name}: {wrong.rstrip()}")
                print(f"again: python -m tests.fuzz --seed {options.seed} --only {name} --case {number}\n", flush=True)
            if result in ("hang", "crash"):
                break
        worker.kill()
        worker.join()
    total = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{total}; {findings} findings; outcomes {digest.hexdigest()[:12]}")
    return findings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long, if no number is given (%(default)s)")
    parser.add_argument("--cases", type=int, help="how many of each target")
    parser.add_argument("--seed", type=int, default=0, help="of all cases (%(default)s)")
    parser.add_argument("--only", choices=TARGETS, help="one target")
    parser.add_argument("--case", type=int, help="the number of the only case")
    return 1 if fuzz(parser.parse_args(arguments)) else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    sys.exit(main())
