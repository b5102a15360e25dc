"""python -m tinyalexnet explore: the page of a photograph's pass, as a file or from a server on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO

from ..command import Parser
from ..console import Console, printable
from ..devices import device
from ..files import check_outputs, write
from .explorer import about
from .options import Options
from .pages import content, page


def add_flags(parser: Parser) -> None:
    """The arguments of the command."""
    parser.add_argument("image", metavar="PHOTO", help="a JPEG, PNG, WebP or GIF")
    parser.add_argument("-o", "--output", metavar="FILE", help="the page; it replaces an existing file")
    parser.add_argument(
        "--serve", action="store_true", help="show it from a server on this machine instead, until Ctrl-C"
    )
    parser.flags(Options)
    parser.flag("quiet", "nothing on standard error but errors", action="store_true")


def run(flags: dict[str, Any], out: TextIO, console: Console) -> int:
    """Writes the page, or serves it. Returns 0."""
    image, output, served = (flags.pop(name) for name in ("image", "output", "serve"))
    if (output is None) == (not served):
        given = "neither --output FILE nor --serve is" if output is None else "both --output FILE and --serve are"
        raise ValueError(f"{given} given, but exactly one of them is needed")
    options = Options(**flags)
    check_outputs({"output": output}, [("image", image), ("weights", options.weights)])
    from .passes import prepared, traced

    with console.compiling(device(options.backend)), console.waiting("a forward and a backward"):
        ready = prepared(options, image, console)
        found = traced(options, ready.net, ready.x)
    title = f"{ready.variant}: {printable(Path(image).name)}"
    shown = content(found, title, about(found, ready.classes), ready.pixels)
    if served:
        from .server import serve

        return serve(shown, out, console)
    with console.waiting("writing the page"):
        text = page(shown).encode()
        write(output, text)
    console.wrote(f"{printable(output)}, {len(text) / 1e6:.1f} MB: open it in a browser")
    return 0
