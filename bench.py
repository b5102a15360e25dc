"""AlexNet's forward and forward-backward passes, timed: TensorFlow's benchmark of 2015 on a network from scratch."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any

INTERRUPTED = 130


class _Versus(argparse.Action):
    """Collects frameworks."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: object = None) -> None:
        from tinyalexnet.benchmark.versus import Choice

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
        namespace.versus = (*before, dataclasses.replace(last, **{self.dest: values or True}))


def _parser() -> Any:
    from tinyalexnet.alexnet import VARIANTS
    from tinyalexnet.benchmark.options import Options
    from tinyalexnet.benchmark.versus import PACKAGES
    from tinyalexnet.command import Parser

    parser = Parser(
        prog="bench.py",
        description=__doc__,
        epilog="Every flag may be written with hyphens too. The lines on standard output are those of the original.",
        allow_abbrev=False,
    )
    flag = parser.flag
    parser.flags(Options, variant={"choices": tuple(VARIANTS)})
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
    flag("graph", "runs the --versus before it by its own CUDA graphs, on a GPU", nargs=0, action=_OfVersus)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Parses ``arguments``, runs the benchmark and returns the exit code."""
    # Imported here, because it takes most of a second and Ctrl-C is caught here already.
    from tinyalexnet.alexnet.comparison import comparison
    from tinyalexnet.benchmark import PASSES, Options, run
    from tinyalexnet.command import exit_code

    parser = _parser()
    flags = vars(parser.parse_args(arguments))
    del flags["python"], flags["tf32"], flags["graph"]
    forward_only, forward_backward_only = flags.pop("forward_only"), flags.pop("forward_backward_only")
    if forward_only and forward_backward_only:
        parser.error("--forward_only and --forward_backward_only exclude each other")
    passes = PASSES[:1] if forward_only else PASSES[1:] if forward_backward_only else PASSES
    if flags.pop("compare_variants"):
        return exit_code(parser, lambda: print("\n".join(comparison()), flush=True) or 0)
    return exit_code(parser, lambda: run(Options(**flags, passes=passes), sys.stdout, sys.stderr))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
