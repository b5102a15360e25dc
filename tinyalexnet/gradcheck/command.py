"""python -m tinyalexnet gradcheck: checks all gradients of a network at its real size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO

from ..command import Parser
from ..console import Console
from ..devices import device
from ..files import check_outputs, replacing
from .report import RIGHT, Report
from .whole import Options, findings

WRONG = 1
"""Exit code if a gradient is wrong, or could not be checked."""


def add_flags(parser: Parser, variants: list[str]) -> None:
    """The flags of the command."""
    parser.flags(Options, variant={"choices": variants})
    parser.flag("json", "the report as JSON, too; it replaces an existing file", metavar="FILE")
    parser.flag("junit", "the report as JUnit's XML, too; it replaces an existing file", metavar="FILE")
    parser.flag("quiet", "nothing on standard error but errors", action="store_true")


def run(flags: dict[str, Any], out: TextIO, console: Console) -> int:
    """Prints a line for each argument as it is checked, and then the result."""
    files = {name: flags.pop(name) for name in ("json", "junit")}
    check_outputs(files)
    options = Options(**flags)
    console.line(f"{options.variant}, batch size {options.batch_size}, float64: a forward and a backward ...")
    found = []
    steps = findings(options)
    with console.compiling(device(options.backend)):
        total, first = next(steps)
    with console.bar("checking", total) as (advance, write):
        for one in (first, *(finding for _, finding in steps)):
            found.append(one)
            write("\n".join(one.lines()), out)
            advance(one.argument)
    report = Report(f"{options.variant}, batch size {options.batch_size}, backend {options.backend}", found)
    print(report.summary(), file=out, flush=True)
    for path, text in ((files["json"], report.to_json), (files["junit"], report.to_junit)):
        if path is not None:
            with replacing(Path(path)) as temporary:
                temporary.write_text(f"{text()}\n", encoding="utf-8")
            console.wrote(path)
    return 0 if all(finding.verdict == RIGHT for finding in found) else WRONG
