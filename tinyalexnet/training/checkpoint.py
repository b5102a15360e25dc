"""Checkpoints: arrays and JSON values in one file, which is refused unless it is whole and unchanged.

The format is safetensors, which other tools read too. The arrays are its tensors. Its metadata has one text,
"tinyalexnet", which is JSON: {"format": 1, "sha256": over everything else, "meta": the JSON values}.
Equal arrays and equal meta give equal files. Nothing is pickled, so loading runs no code.
"""

import hashlib
import json
import os
import reprlib
import textwrap
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from ..files import is_stream, replacing

FORMAT = 1

_INTEGERS = (f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
DTYPES = ("bool", "float16", "float32", "float64", *_INTEGERS)
"""The dtypes that an array of a checkpoint may have."""

MOST_HEADER = 1 << 22
"""Limit for the bytes of a header; a checkpoint's has 10,000. As Python objects JSON takes up to thirty times more."""


def check() -> None:
    """ImportError if safetensors is not installed."""
    try:
        import safetensors.numpy  # noqa: F401
    except ImportError:
        raise ImportError("checkpoints need safetensors: pip install 'tinyalexnet[train]'") from None


def save(path: str | Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Writes a checkpoint beside the file at ``path``, and replaces that file when all bytes are on the disk.

    If the writer is killed, the old file remains, perhaps with a hidden file beside it, which may be deleted.

    Shapes
        ``arrays`` of any shapes, by name; ``meta`` is a dict of JSON values, which ``load`` returns equal.
    Errors
        ImportError without safetensors; TypeError if an array is not an array or has a dtype not in ``DTYPES``;
        ValueError if ``meta`` is not JSON or a name is reserved; OSError if the file cannot be written.
    """
    check()
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # The library writes an array's memory as it is, even if the array is strided; so make it contiguous.
    tensors = {name: np.asarray(_checked(name, array), order="C") for name, array in arrays.items()}
    # One text and not three: the library would write three in a random order.
    record = json.dumps({"format": FORMAT, "sha256": _checksum(tensors, _as_json(meta)), "meta": meta})
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(tensors, temporary, {"tinyalexnet": record})
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written: {error}") from None
        # The library makes files that only their owner can read; give the file the usual mode.
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the meta of a checkpoint, exactly as they were saved.

    Shapes
        The arrays are in the order of their names, writeable, and copies of the file's content.
    Errors
        ImportError without safetensors; OSError if the file cannot be opened; ValueError, which names the file and the
        reason, if it is damaged, cut off or not a checkpoint.
    """
    tensors, metadata = read(path)
    return tensors, verified(path, tensors, metadata)


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of any safetensors file; errors as ``load``."""
    check()
    from safetensors import SafetensorError, safe_open

    check_regular(path)
    with open(path, "rb") as opened:  # The library's OSError does not name the file.
        header = int.from_bytes(opened.read(8), "little")
        if MOST_HEADER < header < os.fstat(opened.fileno()).st_size:
            raise _refused(path, f"its header has {header} bytes, but at most {MOST_HEADER} are read")
        try:
            with safe_open(os.fspath(path), framework="numpy") as file:
                kinds = {name: file.get_slice(name).get_dtype() for name in sorted(file.keys())}
                halves = _bfloat16(opened, header) if "BF16" in kinds.values() else {}
                tensors = {name: halves[name] if name in halves else file.get_tensor(name) for name in kinds}
                return tensors, file.metadata() or {}
        except (AttributeError, KeyError, TypeError) as error:
            raise _refused(path, f"NumPy lacks the dtype of a tensor ({error}): save it as float32") from None
        except (SafetensorError, OSError, ValueError) as error:
            # The library's message may hold a text of the file, of any length.
            raise _refused(path, textwrap.shorten(str(error), 300)) from None


def _bfloat16(file: BufferedReader, header: int) -> dict[str, np.ndarray]:
    """The tensors of bfloat16, as float32: NumPy lacks that dtype, so the library does not return them."""
    found = {}
    for name, entry in json.loads(file.read(header)).items():
        if entry.get("dtype") == "BF16":
            begin, end = entry["data_offsets"]
            file.seek(8 + header + begin)
            found[name] = widened(np.frombuffer(file.read(end - begin), "<u2")).reshape(entry["shape"])
    return found


def widened(halves: np.ndarray) -> np.ndarray:
    """bfloat16, given as uint16, as float32, of which it is the upper half."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def check_regular(path: str | Path) -> None:
    """ValueError if there is a FIFO, which would be waited for, or a device, which may have no end."""
    if is_stream(path) and not os.path.isdir(path):
        raise _refused(path, "it is no regular file")


def verified(path: str | Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> dict[str, Any]:
    """The meta of a checkpoint that ``read`` has read; ValueError if the checksum or the metadata is wrong."""
    try:
        checksum, meta, text = _unpacked(metadata.get("tinyalexnet", "{}"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"its metadata is wrong: {error}") from None
    if checksum != _checksum(tensors, text):
        raise _refused(path, "its content is not what was saved: the checksum differs")
    return meta


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """A generator's state as JSON values. Its integers have 128 bits, which Python's JSON keeps.

    Errors
        ValueError if ``rng`` is not a generator on PCG64, as ``np.random.default_rng`` makes them.
    """
    if not isinstance(rng, np.random.Generator) or type(rng.bit_generator) is not np.random.PCG64:
        kind = type(getattr(rng, "bit_generator", rng)).__name__
        raise ValueError(f"rng is a {kind}, but must be a NumPy Generator on PCG64")
    return dict(rng.bit_generator.state)


def restore_generator(state: dict[str, Any]) -> np.random.Generator:
    """A new generator that continues from ``state``. Only its ``spawn`` differs from that of the old one.

    Errors
        ValueError if ``state`` is not a value that ``generator_state`` returns.
    """
    if not _is_generator_state(state):
        raise ValueError(f"state is {reprlib.repr(state)}, but must be a value of generator_state, for PCG64")
    bits: Any = np.random.PCG64(0)
    bits.state = state
    return np.random.Generator(bits)


def _is_generator_state(state: Any) -> bool:
    match state:
        case {"bit_generator": "PCG64", "state": {"state": at, "inc": increment}, "has_uint32": has, "uinteger": half}:
            limits = ((at, 128), (increment, 128), (has, 1), (half, 32))
            in_range = all(type(value) is int and 0 <= value < 1 << bits for value, bits in limits)
            # PCG64's increments are odd: with an even one the low bits would hardly change.
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
    """The checksum in a record, its meta, and the meta as the text that the checksum covers."""
    match parts := json.loads(record):
        case {"format": format_, "sha256": str(checksum), "meta": dict(meta)} if format_ == FORMAT and len(parts) == 3:
            return checksum, meta, _as_json(meta)
        case {"format": int(newer)} if newer > FORMAT:
            shown = reprlib.repr(newer)
            raise ValueError(f"it is of format {shown}, but this version reads {FORMAT}: use the version that wrote it")
    raise ValueError(f"{reprlib.repr(parts)} is not format {FORMAT}, a sha256 and a meta")


def _checksum(tensors: Mapping[str, np.ndarray], meta: str) -> str:
    """SHA-256 over the format, meta and every name, dtype and shape as one line of JSON, then the arrays' bytes."""
    names = sorted(tensors)
    described = [[name, tensors[name].dtype.name, list(tensors[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([FORMAT, meta, described]).encode() + b"\n")
    for name in names:
        digest.update(tensors[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _refused(path: str | Path, reason: str) -> ValueError:
    return ValueError(f"{path} is not a checkpoint that can be loaded: {reason}")
