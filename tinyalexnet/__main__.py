"""python -m tinyalexnet: trains one of the networks on labelled images, or says what it sees on photographs."""

from __future__ import annotations

import sys
from typing import Any

from .command import INTERRUPTED, Parser, exit_code

MADE_FOR = {"fashion-mnist": "mnist", "mnist": "mnist", "cifar10": "cifar", "digits": "digits"}
"""Which network images are trained on where none is named."""


def _parser() -> Parser:
    from .alexnet import VARIANTS
    from .kernels import BACKENDS
    from .training import Settings
    from .training.data import NAMES

    default = Settings()
    parser = Parser(prog="python -m tinyalexnet", description="AlexNet from scratch.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a network on labelled images", allow_abbrev=False)
    classifying = [name for name, table in VARIANTS.items() if table.num_classes is not None]

    flag = train.flag
    flag("data", "which images (%(default)s); docs/data.md", choices=NAMES, default="fashion-mnist")
    flag("folder", "where their files are, if not in a usual place", metavar="FOLDER")
    flag("download", "fetch their files where they are missing", action="store_true")
    flag("size", "of the images of a --data folder, scaled and cropped", type=int, nargs=2, metavar=("H", "W"))
    flag("variant", "which network (the one that is made for the images)", choices=classifying)
    flag("epochs", "times that every image is seen (%(default)s)", type=int, default=default.epochs, metavar="N")
    flag("batch_size", "images a step (%(default)s)", type=int, default=default.batch_size, metavar="N")
    flag("learning_rate", "of w (%(default)s)", type=float, default=default.learning_rate, metavar="X")
    flag(
        "bias_rate_factor",
        "times that is the learning rate of b (%(default)s)",
        type=float,
        default=default.bias_rate_factor,
        metavar="X",
    )
    flag(
        "schedule", "constant, step:EVERY:FACTOR or exponential:EVERY:FACTOR", default=default.schedule, metavar="TEXT"
    )
    flag("momentum", "(%(default)s)", type=float, default=default.momentum, metavar="X")
    flag("weight_decay", "of w (%(default)s)", type=float, default=default.weight_decay, metavar="X")
    flag("pad", "pixels of padding before the random crop (%(default)s)", type=int, default=default.pad, metavar="N")
    flag("mirror", "mirror half of the images", action="store_true")
    flag("colour_noise", "standard deviation; the paper's is 0.1 (%(default)s)", type=float, default=0.0, metavar="X")
    flag("views", "1 or 10 crops of each test image (%(default)s)", type=int, default=default.views, metavar="N")
    flag("seed", "of weights, order, crops and dropout (%(default)s)", type=int, default=default.seed, metavar="N")
    flag("backend", "whose kernels (%(default)s)", choices=BACKENDS, default=default.backend)
    flag(
        "checkpoint",
        "where to write what a run needs to go on; without --resume it replaces one that is there",
        metavar="FILE",
    )
    flag(
        "checkpoint_every",
        "steps between two checkpoints; there is one after each epoch too (%(default)s)",
        type=int,
        default=default.checkpoint_every,
        metavar="N",
    )
    flag("resume", "go on from the checkpoint, if it is there", action="store_true")
    flag("log", "lines of JSON: loss, accuracy, and how far each parameter moves", metavar="FILE")
    flag("plot", "the log's curves, conv1's filters and some test images, PNG or SVG; needs --log", metavar="FILE")
    flag("quiet", "nothing on standard error but errors", action="store_true")

    classify = commands.add_parser("classify", help="say what is on images", allow_abbrev=False)
    classify.add_argument("images", nargs="+", metavar="IMAGE", help="a JPEG, a PNG, or what else Pillow reads")
    flag = classify.flag
    flag(
        "weights",
        "of torchvision's AlexNet, .pth or .safetensors, or train's checkpoint",
        required=True,
        metavar="FILE",
    )
    flag("variant", "for which network they are taken (the one that they are of)", choices=classifying)
    flag("labels", "names of the classes, one a line", metavar="FILE")
    flag("top", "likeliest classes to print, at most (%(default)s)", type=int, default=5, metavar="N")
    flag("force", "take the weights for another network where the shapes are the same", action="store_true")
    flag("backend", "whose kernels (%(default)s)", choices=BACKENDS, default=default.backend)
    flag("plot", "the first images beside bars of their likeliest classes, PNG or SVG", metavar="FILE")
    flag("quiet", "nothing on standard error but errors", action="store_true")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Parses ``arguments``, runs the command and returns the exit code."""
    # What is imported takes a while and so is imported in functions, where Ctrl-C is already caught.
    parser = _parser()
    flags = vars(parser.parse_args(arguments))
    return {"train": _train, "classify": _classify}[flags.pop("command")](parser, flags)


def _classify(parser: Parser, flags: dict[str, Any]) -> int:
    from .console import Console
    from .weights.classify import classify

    console = Console(sys.stderr, flags.pop("quiet"))
    images, weights = flags.pop("images"), flags.pop("weights")
    return exit_code(parser, lambda: classify(images, weights, sys.stdout, console, **flags))


def _train(parser: Parser, flags: dict[str, Any]) -> int:
    from .console import Console
    from .training import Settings, train
    from .training.data import load

    name, folder, size, download, quiet = (flags.pop(key) for key in ("data", "folder", "size", "download", "quiet"))
    files = {key: flags.pop(key) for key in ("checkpoint", "resume", "log", "plot")}
    for needed, by in (("checkpoint", "resume"), ("log", "plot")):
        if files[by] and files[needed] is None:
            parser.error(f"--{by} needs --{needed} FILE")
    flags["variant"] = flags["variant"] or MADE_FOR.get(name)
    if flags["variant"] is None:
        parser.error(f"data is {name!r}, which no network is made for: --variant is needed")

    def run() -> int:
        console = Console(sys.stderr, quiet)
        dataset = load(name, folder, tuple(size) if size else None, download, console.shows_bars)
        paths = files["checkpoint"], files["resume"], files["log"], files["plot"]
        return train(Settings(**flags), dataset, sys.stdout, console, *paths)

    return exit_code(parser, run)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
