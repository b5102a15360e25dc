"""python -m tinyalexnet: times, trains and explains networks, classifies photographs, checks gradients, exercises."""

import sys
from contextlib import nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from . import __version__
from .command import Parser, exit_code, start
from .completion import SHELLS, PrintCompletion
from .console import Console

MADE_FOR = {"fashion-mnist": "mnist", "mnist": "mnist", "cifar10": "cifar", "digits": "digits"}
"""The network that is trained on each data set if none is named."""


def _parser() -> Parser:
    from .alexnet import VARIANTS
    from .benchmark import command as benchmark
    from .dojo import command as dojo
    from .explorer.command import add_flags as explore_flags
    from .explorer.terminal import add_flags as explain_flags
    from .gradcheck.command import add_flags as gradcheck_flags
    from .warm import add_flags as warm_flags

    is_script = Path(sys.argv[0]).stem == "tinyalexnet"
    parser = Parser(prog="tinyalexnet" if is_script else "python -m tinyalexnet", description="AlexNet from scratch.")
    parser.add_argument("--version", action="version", version=f"tinyalexnet {__version__}")
    parser.add_argument(
        "--print-completion", choices=SHELLS, action=PrintCompletion, help="print what completes these words in a shell"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    classifying = [name for name, table in VARIANTS.items() if table.num_classes is not None]
    benchmark.add(commands.add_parser("bench", help="time the forward and forward-backward passes"))
    _add_train(commands.add_parser("train", help="train a network on labelled images"), classifying)
    _add_classify(commands.add_parser("classify", help="name the objects on images"), classifying)
    checking = commands.add_parser("gradcheck", help="check all gradients of a network at its size")
    gradcheck_flags(checking, list(VARIANTS))
    explain_flags(commands.add_parser("explain", help="where one number of a forward or backward comes from"))
    explore_flags(commands.add_parser("explore", help="a page on which any number shows where it comes from"))
    dojo.add(commands.add_parser("dojo", help="exercises: write your own backward"))
    warm_flags(commands.add_parser("warm", help="compile the kernels ahead, for the first start of the others"))
    return parser


def _add_train(parser: Parser, variants: list[str]) -> None:
    from .parallel.mpi import PATIENCE
    from .training import Settings
    from .training.data import NAMES

    flag = parser.flag
    flag("data", "which images (%(default)s); docs/data.md", choices=NAMES, default="fashion-mnist")
    flag("folder", "where their files are, if not in a usual place", metavar="FOLDER")
    flag("download", "fetch their files if they are missing", action="store_true")
    flag("size", "of the images of a --data folder, scaled and cropped", type=int, nargs=2, metavar=("H", "W"))
    parser.flags(Settings, variant={"default": None, "choices": variants})
    flag(
        "checkpoint", "where to write the state of a run; without --resume it replaces an existing file", metavar="FILE"
    )
    flag("resume", "go on from the checkpoint, if it is there", action="store_true")
    flag(
        "log",
        "lines of JSON: loss, accuracy, how far each parameter moves; a new file, or with --resume the run's",
        metavar="FILE",
    )
    flag("timings", "lines of JSON: images a second; of each process the seconds and the bytes sent", metavar="FILE")
    flag("plot", "curves of loss and accuracy, conv1's filters and some test images, PNG or SVG", metavar="FILE")
    flag("parallel", "on all processes of mpiexec -n N python -m ...; docs/parallel.md", choices=("mpi",))
    flag(
        "patience",
        "with --parallel, seconds that a process waits for the others (%(default)s)",
        type=float,
        default=PATIENCE,
        metavar="X",
    )
    flag("quiet", "nothing on standard error but errors", action="store_true")


def _add_classify(parser: Parser, variants: list[str]) -> None:
    from .devices import BACKENDS

    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a JPEG, PNG, WebP or GIF")
    flag = parser.flag
    flag(
        "weights",
        "weights of torchvision's AlexNet, .pth or .safetensors, or a checkpoint of train",
        required=True,
        metavar="FILE",
    )
    flag("variant", "the network to load them into (the one that they were made for)", choices=variants)
    flag("labels", "names of the classes, one a line", metavar="FILE")
    flag("top", "likeliest classes to print, at most (%(default)s)", type=int, default=5, metavar="N")
    flag("force", "take the weights for another network if the shapes are the same", action="store_true")
    flag("backend", "the implementation that computes (%(default)s)", choices=BACKENDS, default="cpu")
    flag("plot", "the first images beside bars of their likeliest classes, PNG or SVG", metavar="FILE")
    flag("quiet", "nothing on standard error but errors", action="store_true")


def main(arguments: list[str] | None = None) -> int:
    """Parses ``arguments``, runs the command and returns the exit code."""
    # Imports take a while, so they are in the functions of the commands that need them.
    parser = _parser()
    flags = vars(parser.parse_args(arguments))
    del flags["print_completion"]
    if flags["command"] is None:  # not by argparse, which would say this first of a command line with a mistake
        parser.error("the following arguments are required: COMMAND")
    runs = {
        "bench": _bench,
        "train": _train,
        "classify": _classify,
        "gradcheck": _gradcheck,
        "explain": _explain,
        "explore": _explore,
        "dojo": _dojo,
        "warm": _warm,
    }
    return runs[flags.pop("command")](parser, flags)


def _bench(parser: Parser, flags: dict[str, Any]) -> int:
    from .benchmark.command import run

    return run(parser, flags)


def _classify(parser: Parser, flags: dict[str, Any]) -> int:
    from .weights.classify import classify

    images, weights, quiet = flags.pop("images"), flags.pop("weights"), flags.pop("quiet")
    return exit_code(parser, lambda console: classify(images, weights, sys.stdout, console, **flags), quiet)


def _gradcheck(parser: Parser, flags: dict[str, Any]) -> int:
    from .gradcheck.command import run

    quiet = flags.pop("quiet")
    return exit_code(parser, lambda console: run(flags, sys.stdout, console), quiet)


def _explain(parser: Parser, flags: dict[str, Any]) -> int:
    from .explorer.terminal import run

    quiet = flags.pop("quiet")
    return exit_code(parser, lambda console: run(flags, sys.stdout, console), quiet)


def _explore(parser: Parser, flags: dict[str, Any]) -> int:
    from .explorer.command import run

    quiet = flags.pop("quiet")
    return exit_code(parser, lambda console: run(flags, sys.stdout, console), quiet)


def _train(parser: Parser, flags: dict[str, Any]) -> int:
    from .parallel import Alone, Link, after_first, first
    from .parallel.command import fair_threads, together
    from .parallel.mpi import PATIENCE, check_alone
    from .training import Settings, train
    from .training.data import load
    from .training.folder import unread
    from .training.run import Files

    name, folder, size, download, quiet = (flags.pop(key) for key in ("data", "folder", "size", "download", "quiet"))
    files = Files(**{field.name: flags.pop(field.name) for field in fields(Files)})
    parallel, patience = flags.pop("parallel"), flags.pop("patience")
    if patience != PATIENCE and parallel is None:
        parser.error("--patience needs --parallel mpi")
    if files.resume and files.checkpoint is None:
        parser.error("--resume needs --checkpoint FILE")
    flags["variant"] = flags["variant"] or MADE_FOR.get(name)
    if flags["variant"] is None:
        parser.error(f"data is {name!r}, which no network is made for: --variant is needed")

    def run(console: Console, link: Link) -> int:
        first(link, files.check)  # before images are read, or fetched
        read = partial(load, name, folder, tuple(size) if size else None, download, console.shows_bars)
        # pooch has a bar of its own on a terminal.
        with nullcontext() if download and console.shows_bars else console.waiting(f"reading {name}"):
            dataset = after_first(link, read) if download else read()
            if name == "folder" and (text := unread(Path(folder))):
                console.line(text)
        settings = Settings(**flags)
        with fair_threads(link, settings.backend):
            return train(settings, dataset, sys.stdout, console, files, link)

    def run_alone(console: Console) -> int:
        check_alone()
        return run(console, Alone())

    if parallel is None:
        return exit_code(parser, run_alone, quiet)
    return together(parser, run, patience, quiet)


def _dojo(parser: Parser, flags: dict[str, Any]) -> int:
    from .dojo import command

    return command.run(parser, flags["words"])


def _warm(parser: Parser, flags: dict[str, Any]) -> int:
    from .warm import warm

    quiet = flags.pop("quiet")
    return exit_code(parser, lambda console: warm(flags["variants"], console), quiet)


def script() -> NoReturn:
    """The program ``tinyalexnet``."""
    start(main)


if __name__ == "__main__":
    start(main)
