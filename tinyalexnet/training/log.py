"""The log of a training: a line of JSON for every LOG_EVERY steps and for every epoch."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..files import replacing

Append = Callable[[dict[str, Any]], object]


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a log, without a last line that was cut off; ValueError if a line is not JSON."""
    lines = Path(path).read_text().split("\n")[:-1]
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise ValueError(f"log is {str(path)!r}, but must be lines of JSON: {error}") from None


@contextmanager
def appending(path: str | None, step: int) -> Iterator[Append]:
    """A function that appends a record to the log, after the records of later steps than ``step`` were removed."""
    if path is None:
        yield lambda record: None
        return
    kept = [record for record in read_log(path) if record["step"] <= step] if step and Path(path).exists() else []
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
    with Path(path).open("a") as file:

        def append(record: dict[str, Any]) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()

        yield append
