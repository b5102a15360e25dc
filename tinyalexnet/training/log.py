"""The log of a training: a line of JSON for every LOG_EVERY steps and for every epoch."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..files import is_stream, naming, replacing

Append = Callable[[dict[str, Any]], object]


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a log, without a last line that was cut off; ValueError if a line is not JSON."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"log is {str(path)!r}, but must be lines of JSON: {error}") from None


def check_log(name: str, path: str, checkpoint_path: str | None, resume: bool) -> None:
    """ValueError if something is in the log that the run does not go on from: it would be lost, or be mixed up.

    ``name`` is the flag's: "log", or "timings".
    """
    if is_stream(path) or not os.path.exists(path) or not os.path.getsize(path):
        return
    exists = f"{name} is {path!r}, which exists, but"
    if not resume:
        raise ValueError(f"{exists} must be a new file: give another name, delete it, or go on from it with --resume")
    if checkpoint_path is None or not os.path.exists(checkpoint_path):
        raise ValueError(
            f"{exists} there is no checkpoint {checkpoint_path!r} to go on from: give it another name or delete it"
        )
    for record in read_log(path):
        if not isinstance(record, dict) or type(record.get("step")) is not int:
            raise ValueError(f"{name} is {path!r}, but must be the {name} of a training: a line of it has no step")


@contextmanager
def appending(path: str | None, step: int | None = None) -> Iterator[Append]:
    """A function that appends a record to the log.

    If the run goes on after ``step``, the records of later steps are removed first: those steps are taken again.
    """
    if path is None:
        yield lambda record: None
        return
    if step is not None and os.path.exists(path) and not is_stream(path):
        kept = [record for record in read_log(path) if record["step"] <= step]
        with replacing(path) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
    # Without a buffer: what a full disk has refused would be written once more when the file is closed.
    with Path(path).open("ab", buffering=0) as file:

        def append(record: dict[str, Any]) -> None:
            left = memoryview(f"{json.dumps(record)}\n".encode())
            with naming(path):
                while left:
                    left = left[file.write(left) :]

        yield append
