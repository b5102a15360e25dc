"""The ladder, timed: each rung's forward, dx and dw on the convolutions of AlexNet and on one odd geometry."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

INTERRUPTED, PIPE_CLOSED, WRONG_USE = 130, 141, 2


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(WRONG_USE, f"{self.prog}: {message}\n")


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def main(arguments=None):
    # Imported here, where Ctrl-C is already caught: it takes most of a second.
    from measure import LAYERS, RUNGS, report
    from mine import Mine, MineError

    parser = _Parser(prog="run.py", description=__doc__, allow_abbrev=False)

    def flag(name, help, **how):
        parser.add_argument(*dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")), help=help, **how)

    flag("batch_size", "images in a batch, fewer for a slow rung (%(default)s)", type=_count, default=128, metavar="N")
    flag("rounds", "timed calls of each function (%(default)s)", type=_count, default=5, metavar="N")
    for name, choices in (("layers", LAYERS), ("rungs", RUNGS)):
        flag(name, f"which (all): {', '.join(choices)}", nargs="+", choices=choices, default=[*choices], metavar="NAME")
    flag("mine", "a rung of your own, a Python file: compared with rung 1, then timed", type=Path, metavar="FILE.py")
    flags = parser.parse_args(arguments)
    try:
        mine = Mine(flags.mine) if flags.mine else None
        warning = report(flags.batch_size, flags.rounds, flags.layers, flags.rungs, mine)
        if warning:
            print(f"{parser.prog}: {warning}", file=sys.stderr)
        return 0
    except MineError as error:
        parser.error(str(error))
    except BrokenPipeError:
        # The reader of the output has closed it. Python would flush the closed pipe once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except MemoryError as error:
        parser.error(f"{error or 'out of memory'}; a smaller --batch_size needs less")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
