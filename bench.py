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
        from tinyalexnet.versus import Choice

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


def _parser(
    backends: tuple[str, ...], algorithms: tuple[str, ...], frameworks: tuple[str, ...], variants: tuple[str, ...]
) -> argparse.ArgumentParser:
    from tinyalexnet.command import Parser

    parser = Parser(
        prog="bench.py",
        description=__doc__,
        epilog="Every flag may be written with hyphens too. The lines on standard output are those of the original.",
        allow_abbrev=False,
    )
    flag = parser.flag
    flag("batch_size", "images in a batch (%(default)s)", type=int, default=128, metavar="N")
    flag("num_batches", "timed steps in each run (%(default)s)", type=int, default=100, metavar="N")
    flag("variant", "which AlexNet (%(default)s)", choices=variants, default="tf2015")
    flag("compare_variants", "print what tells the variants from each other, and time nothing", action="store_true")
    flag("backend", "whose kernels (%(default)s)", choices=backends, default="cpu")
    flag("algorithm", "of the convolutions (%(default)s)", choices=algorithms, default="auto")
    flag("threads", "threads to use (all processors)", type=int, metavar="N")
    flag("seed", "of the weights and the noise (%(default)s)", type=int, default=0, metavar="N")
    flag("forward_only", "skip the forward-backward run", action="store_true")
    flag("forward_backward_only", "skip the forward run", action="store_true")
    flag("legacy_stats", "mean and spread as the script of 2015 computed them", action="store_true")
    flag("images", "photographs (JPEG, PNG) in place of noise", metavar="FOLDER")
    flag("json", "write configuration, versions, every duration and the statistics", metavar="FILE")
    flag("layers", "then a table of every layer's time, and of the memory", action="store_true")
    flag("plot", "the same as a picture, PNG or SVG", metavar="FILE")
    flag(
        "versus",
        "then time another framework in turn with this one, on the same network, weights and images; repeatable",
        choices=frameworks,
        action=_Versus,
        default=(),
    )
    flag("python", "interpreter of the --versus before it (this one)", metavar="PATH", action=_OfVersus)
    flag("tf32", "lets the --versus before it compute products in TensorFloat-32, on a GPU", nargs=0, action=_OfVersus)
    flag("rounds", "of --layers and --versus (%(default)s)", type=int, default=10, metavar="N")
    flag("quiet", "nothing on standard error but errors", action="store_true")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Parses ``arguments``, runs the benchmark and returns the exit code."""
    # Imported here, where Ctrl-C is already caught: it takes most of a second.
    from tinyalexnet.alexnet import VARIANTS, comparison
    from tinyalexnet.benchmark import PASSES, Options, run
    from tinyalexnet.command import exit_code
    from tinyalexnet.kernels import BACKENDS
    from tinyalexnet.kernels.algorithm import ALGORITHMS
    from tinyalexnet.versus import PACKAGES

    parser = _parser(BACKENDS, ALGORITHMS, tuple(PACKAGES), tuple(VARIANTS))
    flags = vars(parser.parse_args(arguments))
    del flags["python"], flags["tf32"]
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
