"""A command that all processes of ``mpiexec`` run: process 0 speaks for all, and what ends one ends all."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from ..command import BUG, exit_code, reported_bug
from ..console import Console
from ..devices import device, machine
from .link import Link
from .mpi import MPILink

GRACE = 0.5
"""Seconds for which a process keeps an error to itself: process 0 may have the same one, and end all."""


def together(
    parser: argparse.ArgumentParser, run: Callable[[Console, Link], int], patience: float, quiet: bool = False
) -> int:
    """As ``command.exit_code``, on all processes of the launcher.

    If one ends with an error, its line names it, and it ends the others. If all have the same error, process 0 says so
    alone.
    """
    links: list[MPILink] = []

    def run_linked(console: Console) -> int:
        link = MPILink(patience)
        links.append(link)
        if link.rank:
            console.quiet = True
            parser.prog = f"{parser.prog}: process {link.rank} of {link.size}"
        try:
            code = run(console, link)
        except BaseException:
            _let_another_speak(link)
            raise
        if code:
            _let_another_speak(link)
        return code

    try:
        code = exit_code(parser, run_linked, quiet)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else BUG
    except Exception:
        if not links:
            raise
        code = reported_bug()
    if links and code:
        links[0].abort(code)
    for link in links:
        link.close()
    return code


def fair_share(link: Link, backend: str) -> int | None:
    """As many threads as each of the processes that share its processors may have; None if they share none.

    NUMBA_NUM_THREADS, if it is set, says so already.
    """
    if link.size == 1 or "NUMBA_NUM_THREADS" in os.environ:
        return None
    own = f"{platform.node()} {machine.processors()}"
    sharing = link.now(lambda: link.texts(own)).count(own)
    return max(1, device(backend).most_threads() // sharing)


def fair_threads(link: Link, backend: str) -> AbstractContextManager[object]:
    """Holds the kernels to ``fair_share`` threads."""
    share = fair_share(link, backend)
    return nullcontext() if share is None else device(backend).limit_threads(share)


def _let_another_speak(link: Link) -> None:
    if link.rank:
        time.sleep(GRACE * (1 + min(link.rank, 10) / 10))
