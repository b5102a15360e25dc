"""A command that all processes of ``mpiexec`` run: process 0 speaks for all, and what ends one ends all."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from ..command import BUG, INTERRUPTED, WRONG_USE, exit_code, reported_bug
from ..console import Console
from ..devices import choose_gpu, device, machine
from .link import Link
from .mpi import MPILink

GRACE = 1.0
"""Seconds for which a process keeps an error to itself: if all have one, process 0 says it, and each ends by itself."""


def together(
    parser: argparse.ArgumentParser, run: Callable[[Console, Link], int], patience: float, quiet: bool = False
) -> int:
    """As ``command.exit_code``, on all processes of the launcher.

    If one ends with an error, its line names it, and it ends the others. If all end with one, process 0 alone says its
    own.
    """
    links: list[MPILink] = []
    program = parser.prog

    def run_linked(console: Console) -> int:
        link = MPILink(patience)
        links.append(link)
        if link.rank:
            console.quiet = True
            parser.prog = f"{program}: process {link.rank} of {link.size}"
        try:
            own_gpu(link)
            code = run(console, link)
        except BaseException as error:
            if _another_speaks(link):
                raise SystemExit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else WRONG_USE) from None
            if isinstance(error, (TimeoutError, ConnectionError)):  # of the link, which says its number
                parser.prog = program
            raise
        if code and _another_speaks(link):
            raise SystemExit(code)
        return code

    try:
        code = exit_code(parser, run_linked, quiet)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else BUG
    except Exception:
        if not links:
            raise
        code = reported_bug()
    for link in links:
        if not code:
            link.close()
        elif not link.all_end(0 if link.rank else GRACE):  # the others have waited already
            link.abort(code)
    return code


def own_gpu(link: Link) -> None:
    """Each of the processes of a machine takes the next one of its GPUs; before their first use, as ``choose_gpu``."""
    node = platform.node()
    choose_gpu(link.now(lambda: link.texts(node))[: link.rank].count(node))


def fair_share(link: Link, backend: str) -> int | None:
    """As many threads as each of the processes that share its processors may have; None if they share none.

    NUMBA_NUM_THREADS, if it is set, says so already.
    """
    own = f"{platform.node()} {machine.processors()}"
    sharing = link.now(lambda: link.texts(own)).count(own)  # by all: some may have the variable, and others not
    if link.size == 1 or "NUMBA_NUM_THREADS" in os.environ:
        return None
    return max(1, device(backend).most_threads() // sharing)


def fair_threads(link: Link, backend: str) -> AbstractContextManager[object]:
    """Holds the kernels to ``fair_share`` threads."""
    share = fair_share(link, backend)
    return nullcontext() if share is None else device(backend).limit_threads(share)


def _another_speaks(link: MPILink) -> bool:
    """If another process says why: process 0 where all have failed, else the first one. Several may lose patience."""
    if link.rank and link.all_end(GRACE * (1 + min(link.rank, 10) / 10)):
        return True
    if link.is_first_to_speak():
        return False
    link.all_end(GRACE)  # until its line is there, which would end with its process
    return True
