"""PyTorch's files written by hand, instruction by instruction, so that no test of the reader needs PyTorch."""

from __future__ import annotations

import struct
import zipfile

import numpy as np


def text(value):
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def integer(value):
    return b"J" + struct.pack("<i", value) if abs(value) < 1 << 31 else b"\x8a\x0a" + value.to_bytes(10, "little")


def integers(*values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def name(module, function):
    return f"c{module}\n{function}\n".encode()


ORDERED = name("collections", "OrderedDict") + b")R"


def storage(key="0", count=6, kind="FloatStorage"):
    return b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + integer(count) + b"tQ"


def tensor(of=None, offset=0, size=(2, 3), stride=(3, 1)):
    of = storage() if of is None else of
    arguments = of + integer(offset) + integers(*size) + integers(*stride) + b"\x89" + ORDERED
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def parameter(of):
    return name("torch._utils", "_rebuild_parameter") + of + b"\x88" + ORDERED + b"\x87R"


def state_dict(**values):
    return b"\x80\x02" + ORDERED + b"(" + b"".join(text(key) + value for key, value in values.items()) + b"u."


NUMBERS = np.arange(6, dtype="<f4")


def archived(path, pickled, members=None, byteorder=b"little", folder="weights/", compression=zipfile.ZIP_STORED):
    """A zip as torch.save makes it; a file from before PyTorch 2.1 has no byteorder."""
    members = {"data/0": NUMBERS.tobytes()} if members is None else members
    members = {"data.pkl": pickled, **({} if byteorder is None else {"byteorder": byteorder}), **members}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, content in members.items():
            archive.writestr(folder + member, content)
    return path
