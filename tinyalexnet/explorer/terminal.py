"""python -m tinyalexnet explain: the terms of one element, as text."""

from __future__ import annotations

import re
from typing import Any, TextIO

from ..command import Parser
from ..console import Console
from ..devices import device
from ..geometry import as_integer
from ..tracing import explain
from ..tracing.text import MOST, lines
from .options import Options


def add_flags(parser: Parser) -> None:
    """The arguments of the command."""
    parser.add_argument("layer", metavar="LAYER", help='such as conv1; "loss" for the loss')
    parser.add_argument("array", metavar="ARRAY", help="out, x, dout, dx; a parameter, as w, or its gradient, as dw")
    parser.add_argument("index", metavar="INDEX", nargs="?", default="", help="of the element, such as 0,2,2,1")
    parser.flag("image", "the photograph (else random numbers)", metavar="PHOTO")
    parser.flags(Options)
    parser.flag("terms", "the most terms to print (%(default)s)", type=int, default=MOST, metavar="N")
    parser.flag("quiet", "nothing on standard error but errors", action="store_true")


def run(flags: dict[str, Any], out: TextIO, console: Console) -> int:
    """Computes a forward and a backward, and prints where the element comes from. Returns 0."""
    layer, array, index, image, most = (flags.pop(name) for name in ("layer", "array", "index", "image", "terms"))
    as_integer("terms", most, 1)
    if not re.fullmatch(r"\[?(\d+(, *\d+)*)?\]?", index):
        raise ValueError(f"index is {index!r}, but must be ints with commas between, such as 0,2,2,1")
    options = Options(**flags)
    from .passes import prepared, traced

    with console.compiling(device(options.backend)), console.waiting("a forward and a backward"):
        ready = prepared(options, image, console)
        found = traced(options, ready.net, ready.x)
        explanation = explain(found, layer, array, [int(i) for i in re.findall(r"\d+", index)])
    print("\n".join(lines(explanation, most)), file=out)
    return 0
