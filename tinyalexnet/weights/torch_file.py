"""The tensors of a file that PyTorch wrote, without PyTorch and without unpickling.

Such a file is a zip archive: ``data.pkl``, a pickle, lists the tensors, and each ``data/KEY`` holds the elements of one
storage. A pickle is a program for a small stack machine. It is dangerous because it may call any function. This reader
executes only the few instructions that ``torch.save`` needs, and compares names of functions with those it knows:
it imports nothing and calls nothing. docs/pretrained.md explains one pickle.
"""

import io
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..console import printable
from .archive import Archive, short
from .kinds import SAVE_AGAIN, STATE_DICT
from .storage import BFLOAT16, STORAGES, Storage, stored, tensor_of

ZIP, LEGACY = b"PK\x03\x04", b"\x80\x02\x8a\n"
"""The first bytes of a file, since PyTorch 1.6 and before it."""

MOST_PICKLE = 1 << 22
"""Limit for the bytes of ``data.pkl``; AlexNet's has 2,000."""

MOST_INSTRUCTIONS = 1 << 18
"""Limit for the instructions of ``data.pkl``, about 30 a tensor. One of a byte can make an object of 100."""

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights")
"""Keys under which training scripts save the state dict, beside the optimizer and other values."""

UNREAD = (
    *("numpy dtype", "numpy.core.multiarray scalar", "numpy._core.multiarray scalar", "_codecs encode"),
    *("argparse Namespace", "collections defaultdict", "collections Counter"),
)
"""What else training scripts save beside it: no such function is called, and no such object made, but left out."""

DICT, TENSOR, PARAMETER = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
)

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}


@dataclass(frozen=True)
class _Global:
    """A name that the pickle would import. It has a class of its own, so that no string is taken for one."""

    name: str


@dataclass(frozen=True)
class _Unread:
    """In place of what a function of UNREAD would return."""

    name: str


class _Mark:
    """Marks the begin of a tuple, or of the items of a dict, on the stack."""


def is_torch_file(path: str | Path) -> bool:
    """If the file begins as a file of PyTorch; OSError if it cannot be read."""
    with open(path, "rb") as file:
        return file.read(4) in (ZIP, LEGACY)


def load(path: str | Path, say: Callable[[str], object] = lambda line: None) -> dict[str, np.ndarray]:
    """The tensors of a state dict, by name. If it is part of the state of a training, ``say`` is told under which key.

    Shapes
        As saved; bfloat16 becomes float32. The arrays are read-only. Tensors that shared a storage share it here too,
        so all arrays together take no more memory than the file, or twice as much if it is bfloat16.
    Errors
        OSError if the file cannot be read; ValueError, which names the file, the reason and the byte of the pickle, if
        it is damaged or holds anything else than a dict of tensors.
    Source
        ``torch.serialization`` and ``torch._utils`` of PyTorch; PEP 307 and Python's ``pickletools`` for the pickle.
    """
    with open(path, "rb") as file:
        try:
            if file.read(4) == LEGACY:
                raise ValueError(
                    "it has the format from before PyTorch 1.6, but must be saved again, by today's torch.save or as "
                    f"safetensors: {SAVE_AGAIN}"
                )
            tensors, wrapper = _tensors(file)
        except ValueError as error:
            raise ValueError(f"{path} is not a state dict that can be loaded: {error}") from None
    if wrapper:
        say(f"{printable(str(path))}: the weights are those under {wrapper!r}; what is beside them is left out")
    return tensors


def _tensors(file: io.BufferedReader) -> tuple[dict[str, np.ndarray], str]:
    """The tensors, and the keys that lead to them, joined by dots."""
    archive = Archive(file)
    pickle = archive.member("data.pkl", MOST_PICKLE)
    if archive.has("byteorder") and archive.member("byteorder", 6) != b"little":
        raise ValueError("its byteorder is not little")
    found = _Interpreter(pickle, archive).run()
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, but must hold a dict of tensors")
    keys: list[str] = []
    # A dict may hold itself, so not for ever.
    while len(keys) < len(WRAPPERS) and (key := _wrapper(found)):
        keys.append(key)
        found = found[key]
    for name, value in found.items():
        if not isinstance(value, np.ndarray):
            what = value.name if isinstance(value, _Unread) else type(value).__name__
            raise ValueError(f"{short(str(name))} is a {what}, but must be a tensor")
    return {str(name): value for name, value in found.items()}, ".".join(keys)


def _wrapper(found: dict[Any, Any]) -> str:
    """The key of the state dict in the state of a training; "" if there is none, or more than one may be it."""
    if known := [key for key in WRAPPERS if isinstance(found.get(key), dict)]:
        return known[0]
    full = [key for key, value in found.items() if isinstance(value, dict) and value]
    of_tensors = [key for key in full if all(isinstance(tensor, np.ndarray) for tensor in found[key].values())]
    return str(of_tensors[0]) if len(of_tensors) == 1 else ""


class _Interpreter:
    """Executes a pickle. Its values are strings, numbers, tuples, lists, dicts, ``_Global``, ``Storage``, arrays."""

    # Not pickle.Unpickler with its own find_class: it executes all instructions, and no foreign file is unpickled.

    def __init__(self, pickle: bytes, archive: Archive) -> None:
        self._stream = io.BytesIO(pickle)
        self._archive = archive
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._storages: dict[str, tuple[str, Storage]] = {}
        # The effect of each instruction, given its argument. Others are refused before their argument is read.
        self._instructions: dict[str, Callable[[Any], object]] = {
            "PROTO": self._proto,
            "GLOBAL": lambda _: self._stack.append(_Global(f"{self._line()} {self._line()}")),
            "MARK": lambda _: self._stack.append(_Mark()),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "TUPLE": lambda _: self._stack.append(tuple(self._pop_to_mark())),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "APPEND": lambda _: self._append(self._pop(1)),
            "APPENDS": lambda _: self._append(self._pop_to_mark()),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "SETITEM": lambda _: self._set_items(self._pop(2)),
            "SETITEMS": lambda _: self._set_items(self._pop_to_mark()),
            "NONE": lambda _: self._stack.append(None),
            "NEWTRUE": lambda _: self._stack.append(True),
            "NEWFALSE": lambda _: self._stack.append(False),
            "REDUCE": lambda _: self._reduce(*self._pop(2)),
            "NEWOBJ": lambda _: self._new(*self._pop(2)),
            "BUILD": lambda _: self._build(*self._pop(1)),
            "BINPERSID": lambda _: self._stack.append(self._storage(*self._pop(1))),
        }
        for name in ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"):
            self._instructions[name] = self._stack.append
        for name in ("BINPUT", "LONG_BINPUT"):
            self._instructions[name] = self._put
        for name in ("BINGET", "LONG_BINGET"):
            self._instructions[name] = self._get

    def run(self) -> object:
        """The value of the pickle; ValueError, which names the byte and the instruction, if it is refused."""
        count = 0
        while True:
            count += 1
            at = self._stream.tell()
            code = self._stream.read(1).decode("latin-1")
            opcode = _OPCODES.get(code)
            name = opcode.name if opcode else ascii(code) if code else "the end"
            try:
                if name == "STOP":
                    return self._result()
                if count > MOST_INSTRUCTIONS:
                    raise ValueError(f"it goes on after {MOST_INSTRUCTIONS} instructions, the most that are executed")
                if opcode is None or name not in self._instructions:
                    raise ValueError("torch.save writes nothing of the kind into a state dict")
                self._instructions[name](self._argument(opcode))
            except ValueError as error:
                raise ValueError(f"{error} (byte {at} of data.pkl, {name})") from None

    def _argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        # The lines of a GLOBAL are read unchanged by _line: pickletools would decode escapes, and warn of wrong ones.
        return None if opcode.arg is None or opcode.name == "GLOBAL" else opcode.arg.reader(self._stream)

    def _line(self) -> str:
        return self._stream.readline().decode("latin-1").removesuffix("\n")

    def _result(self) -> object:
        (result,) = self._pop(1)
        if self._stack or self._stream.read(1):
            raise ValueError("there is more after the end")
        return result

    def _proto(self, version: int) -> None:
        if version != 2:
            raise ValueError(f"its protocol is {version}, but must be 2")

    def _pop(self, count: int) -> list[Any]:
        popped = self._stack[-count:]
        if len(popped) < count or any(isinstance(value, _Mark) for value in popped):
            raise ValueError("the stack is empty")
        del self._stack[-count:]
        return popped

    def _pop_to_mark(self) -> list[Any]:
        begin = next((at for at in reversed(range(len(self._stack))) if isinstance(self._stack[at], _Mark)), None)
        if begin is None:
            raise ValueError("the stack has no mark")
        popped = self._stack[begin + 1 :]
        del self._stack[begin:]
        return popped

    def _put(self, index: int) -> None:
        (value,) = self._pop(1)
        self._stack.append(value)
        self._memo[index] = value

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise ValueError(f"nothing was put at {index}")
        self._stack.append(self._memo[index])

    def _tuple(self, count: int) -> None:
        self._stack.append(tuple(self._pop(count)))

    def _append(self, items: list[Any]) -> None:
        (target,) = self._pop(1)
        if not isinstance(target, list):
            raise ValueError("items must be for a list")
        target += items
        self._stack.append(target)

    def _set_items(self, items: list[Any]) -> None:
        (target,) = self._pop(1)
        # The state of an optimizer has the numbers of the parameters for keys.
        are_pairs = len(items) % 2 == 0 and all(type(key) in (str, int) for key in items[::2])
        if not isinstance(target, (dict, _Unread)) or not are_pairs:
            raise ValueError("items must be strings and values, for a dict")
        if isinstance(target, dict):
            target.update(zip(items[::2], items[1::2], strict=True))
        self._stack.append(target)

    def _reduce(self, function: Any, arguments: Any) -> None:
        match function, arguments:
            case _Global(name), () if name == DICT:
                self._stack.append(OrderedDict())
            case _Global(name), (Storage() as storage, offset, size, stride, bool(), dict()) if name == TENSOR:
                self._stack.append(tensor_of(storage, offset, size, stride))
            case _Global(name), (np.ndarray() as tensor, bool(), dict()) if name == PARAMETER:
                self._stack.append(tensor)
            case _Global(name), _ if name in UNREAD:
                self._stack.append(_Unread(name))
            case _Global(name), _:
                raise ValueError(
                    f"it would call {short(name)}, but may call only {DICT!r}, {TENSOR!r} and {PARAMETER!r}, each "
                    "with the arguments that torch.save gives it"
                )
            case _:
                raise ValueError(f"it would call a {type(function).__name__}")

    def _new(self, kind: Any, _arguments: Any) -> None:
        if isinstance(kind, _Global) and kind.name in UNREAD:
            self._stack.append(_Unread(kind.name))
        elif isinstance(kind, _Global):
            raise ValueError(f"it would make a {short(kind.name)}, so it is no state dict but whole: {STATE_DICT}")
        else:
            raise ValueError("it would make an object of no type")

    def _build(self, state: Any) -> None:
        """Ignores the versions of the modules, the only attribute of a state dict."""
        (target,) = self._pop(1)
        is_version = isinstance(target, OrderedDict) and isinstance(state, dict) and list(state) == ["_metadata"]
        if not is_version and not isinstance(target, _Unread):
            raise ValueError("only an OrderedDict's _metadata may be set")
        self._stack.append(target)

    def _storage(self, identity: Any) -> Storage:
        match identity:
            case ("storage", _Global(name), str(key), str(), int(count)) if name in STORAGES or name == BFLOAT16:
                pass
            case ("storage", _Global(name), *_):
                raise ValueError(f"{short(name)} is no storage that NumPy has a dtype for")
            case _:
                raise ValueError("a storage must be named by its type, its key, its device and its size")
        if key not in self._storages:
            self._storages[key] = name, stored(self._archive, name, key, count)
        known, storage = self._storages[key]
        if known != name or storage.count != count:
            raise ValueError(f"the storage {short(key)} has two types or sizes")
        return storage
