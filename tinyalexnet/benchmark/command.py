"""The command line of the benchmark: ``python bench.py`` in a clone, ``tinyalexnet bench`` anywhere."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any, TypeVar

from ..alexnet import VARIANTS
from ..alexnet.comparison import comparison
from ..command import Parser, exit_code
from ..parallel.command import together
from .options import PASSES, Matrix, Options, Sharing
from .versus import PACKAGES, WAYS, Choice

T = TypeVar("T")

DESCRIPTION = (
    "AlexNet's forward and forward-backward passes, timed: TensorFlow's benchmark of 2015 on a network from scratch."
)


class _Versus(argparse.Action):
    """Collects frameworks."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: object = None) -> None:
        namespace.versus = (*namespace.versus, Choice(values))


class _OfVersus(argparse.Action):
    """A flag with, or without, a value for the framework before it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: object = None
    ) -> None:
        if not namespace.versus:
            parser.error(
                f"{' '.join([f'--{self.dest}', *([values] if values else [])])} must follow the --versus that it is for"
            )
        *before, last = namespace.versus
        namespace.versus = (*before, dataclasses.replace(last, **{self.dest: True if values == [] else values}))


def add(parser: Parser) -> None:
    """The flags of the command."""
    parser.description = DESCRIPTION
    parser.epilog = (
        "Every flag may be written with hyphens too. The lines on standard output are those of the original."
    )
    flag = parser.flag
    parser.flags(Options, variant={"choices": tuple(VARIANTS)})
    parser.flags(Sharing)
    parser.flags(Matrix, variants={"choices": tuple(VARIANTS)})
    flag("compare_variants", "print the differences between the variants, and time nothing", action="store_true")
    flag("forward_only", "skip the forward-backward run", action="store_true")
    flag("forward_backward_only", "skip the forward run", action="store_true")
    flag(
        "versus",
        "then time another framework in turn with this one, on the same network, weights and images; repeatable",
        choices=tuple(PACKAGES),
        action=_Versus,
        default=(),
    )
    flag("python", "interpreter of the --versus before it (this one)", metavar="PATH", action=_OfVersus)
    flag("tf32", "lets the --versus before it compute products in TensorFloat-32, on a GPU", nargs=0, action=_OfVersus)
    flag("compile", "runs the --versus before it as its own compiler makes it", nargs=0, action=_OfVersus)
    flag("graph", "runs the --versus before it by its own CUDA graphs, on a GPU", nargs=0, action=_OfVersus)


def run(parser: Parser, flags: dict[str, Any]) -> int:
    """Runs the benchmark and returns the exit code."""
    from . import run as benchmark
    from .matrix import run as all_cells
    from .team import run as on_all_processes

    for name in ("python", *WAYS):
        del flags[name]
    forward_only, forward_backward_only = flags.pop("forward_only"), flags.pop("forward_backward_only")
    if forward_only and forward_backward_only:
        parser.error("--forward_only and --forward_backward_only exclude each other")
    passes = PASSES[:1] if forward_only else PASSES[1:] if forward_backward_only else PASSES
    if flags.pop("compare_variants"):
        return exit_code(parser, lambda _: print("\n".join(comparison()), flush=True) or 0)
    sharing, matrix = _taken(Sharing, flags), _taken(Matrix, flags)
    options = Options(**flags, passes=passes)
    if not matrix.matrix and (given := [name for name, value in vars(matrix).items() if value]):
        parser.error(f"--{given[0]} needs --matrix")
    if matrix.matrix and sharing.parallel is not None:
        parser.error("--matrix and --parallel exclude each other")
    if sharing.parallel is not None:
        return together(
            parser,
            lambda console, link: on_all_processes(options, sharing, sys.stdout, console, link),
            sharing.patience,
            options.quiet,
        )
    if given := [name for name, value in vars(sharing).items() if value != getattr(Sharing, name)]:
        parser.error(f"--{given[0]} needs --parallel mpi")
    if matrix.matrix:
        return exit_code(parser, lambda console: all_cells(options, matrix, sys.stdout, console), options.quiet)
    return exit_code(parser, lambda _: benchmark(options, sys.stdout, sys.stderr), options.quiet)


def _taken(kind: type[T], flags: dict[str, Any]) -> T:
    """The flags that are fields of the dataclass ``kind``, taken out of ``flags``."""
    return kind(**{field.name: flags.pop(field.name) for field in dataclasses.fields(kind)})  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> int:
    """``python bench.py``: parses ``arguments``, runs the benchmark and returns the exit code."""
    parser = Parser(prog="bench.py")
    add(parser)
    return run(parser, vars(parser.parse_args(arguments)))
