"""Checkpoints: arrays and what belongs to them in one file, which is whole and unchanged or refused.

The file is in the safetensors format, which other tools read too: the arrays are its tensors, and its metadata has one
text, "tinyalexnet", which is JSON: {"format": 1, "sha256": over everything else, "meta": what belongs to the arrays}.
Equal arrays and the same meta make equal files. Nothing is pickled, so loading runs no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing

FORMAT = 1

_INTEGERS = (f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
DTYPES = ("bool", "float16", "float32", "float64", *_INTEGERS)
"""What an array of a checkpoint may hold."""


def check() -> None:
    """ImportError where there is no safetensors."""
    try:
        import safetensors.numpy  # noqa: F401
    except ImportError:
        raise ImportError("checkpoints need safetensors: pip install 'tinyalexnet[train]'") from None


def save(path: str | Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Writes a checkpoint that replaces the one at ``path`` at once, when all of it is on the disk.

    A writer that is killed leaves the old file, and beside it perhaps a hidden one, which may be deleted.

    Shapes
        ``arrays`` of any shapes, by name; ``meta`` is a dict of JSON values, which ``load`` returns equal.
    Errors
        ImportError without safetensors; TypeError where an array is none, or of a dtype not in ``DTYPES``; ValueError
        where ``meta`` is not JSON, or a name is reserved; OSError where the file cannot be written.
    """
    check()
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # The library writes the memory as it lies, also where an array is strided.
    tensors = {name: np.asarray(_checked(name, array), order="C") for name, array in arrays.items()}
    # One text and not three, because the library writes several in a random order.
    record = json.dumps({"format": FORMAT, "sha256": _checksum(tensors, _as_json(meta)), "meta": meta})
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(tensors, temporary, {"tinyalexnet": record})
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written: {error}") from None
        # The library makes files that only their owner can read.
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the meta of a checkpoint, exactly as they were saved.

    Shapes
        The arrays are in the order of their names, writable, and not connected with the file.
    Errors
        ImportError without safetensors; OSError where there is no file that can be opened; ValueError, which names the
        file and the reason, where it is damaged, cut off or something else.
    """
    tensors, metadata = read(path)
    return tensors, verified(path, tensors, metadata)


def verified(path: str | Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> dict[str, Any]:
    """The meta of a checkpoint of which ``read`` has returned the rest; ValueError where it is not what was saved."""
    try:
        checksum, meta, text = _unpacked(metadata.get("tinyalexnet", "{}"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"its metadata is wrong: {error}") from None
    if checksum != _checksum(tensors, text):
        raise _refused(path, "its content is not what was saved: the checksum differs")
    return meta


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Where a generator stands, as JSON values. Its integers have 128 bits, which Python's JSON keeps.

    Errors
        ValueError where ``rng`` is not a generator on PCG64, as ``np.random.default_rng`` makes them.
    """
    if not isinstance(rng, np.random.Generator) or type(rng.bit_generator) is not np.random.PCG64:
        kind = type(getattr(rng, "bit_generator", rng)).__name__
        raise ValueError(f"rng is a {kind}, but must be a NumPy Generator on PCG64")
    return dict(rng.bit_generator.state)


def restore_generator(state: dict[str, Any]) -> np.random.Generator:
    """A new generator that goes on where ``generator_state`` was called. Only its ``spawn`` is not that of the old.

    Errors
        ValueError where ``state`` is not what ``generator_state`` returns.
    """
    if not _is_generator_state(state):
        raise ValueError(f"state is {reprlib.repr(state)}, but must be what generator_state returns for PCG64")
    bits: Any = np.random.PCG64(0)
    bits.state = state
    return np.random.Generator(bits)


def _is_generator_state(state: Any) -> bool:
    match state:
        case {"bit_generator": "PCG64", "state": {"state": at, "inc": increment}, "has_uint32": has, "uinteger": half}:
            limits = ((at, 128), (increment, 128), (has, 1), (half, 32))
            in_range = all(type(value) is int and 0 <= value < 1 << bits for value, bits in limits)
            # PCG64 makes every increment odd: with an even one its low bits would hardly change.
            return in_range and increment % 2 == 1 and len(state) == 4 and len(state["state"]) == 2
    return False


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    if not isinstance(name, str) or name == "__metadata__":
        raise ValueError(f"arrays has the name {name!r}, but names must be strings, and '__metadata__' is reserved")
    if not isinstance(array, np.ndarray):
        raise TypeError(f"arrays[{name!r}] is a {type(array).__name__}, but must be a NumPy array")
    if array.dtype.name not in DTYPES or not array.dtype.isnative:
        raise TypeError(f"arrays[{name!r}] has dtype {array.dtype}, but must have one of {', '.join(DTYPES)}")
    return array


def _as_json(meta: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"meta is not JSON: {error}") from None
    if not isinstance(meta, dict) or json.loads(text) != meta:
        raise ValueError("meta would not come back equal from JSON, but must be a dict of strings to JSON values")
    return text


def _unpacked(record: str) -> tuple[str, dict[str, Any], str]:
    """The checksum in a record, its meta, and that again as the text that the checksum is over."""
    match parts := json.loads(record):
        case {"format": format_, "sha256": str(checksum), "meta": dict(meta)} if format_ == FORMAT and len(parts) == 3:
            return checksum, meta, _as_json(meta)
    raise ValueError(f"{reprlib.repr(parts)} is not format {FORMAT}, a sha256 and a meta")


def _checksum(tensors: Mapping[str, np.ndarray], meta: str) -> str:
    """SHA-256 over the format, meta and every name, dtype and shape as one line of JSON, then the arrays' bytes."""
    names = sorted(tensors)
    described = [[name, tensors[name].dtype.name, list(tensors[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([FORMAT, meta, described]).encode() + b"\n")
    for name in names:
        digest.update(tensors[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of any safetensors file; errors as ``load``."""
    check()
    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):  # The library's OSError does not name the file.
        pass
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError, AttributeError, KeyError, TypeError) as error:
        # The last three where a tensor's dtype is one that NumPy does not have.
        raise _refused(path, str(error)) from None


def _refused(path: str | Path, reason: str) -> ValueError:
    return ValueError(f"{path} is not a checkpoint that can be loaded: {reason}")
