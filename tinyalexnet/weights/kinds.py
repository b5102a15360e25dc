"""What a file is that holds no weights that can be read, by its first bytes, and how to convert it."""

import re
from collections.abc import Iterable
from pathlib import Path

STATE_DICT = (
    "where PyTorch is, and the code of the network, save its state dict: "
    "torch.save(torch.load(FILE, map_location='cpu', weights_only=False).state_dict(), NEW)"
)
"""How to convert a model that was saved whole."""

SAVE_AGAIN = "where PyTorch is, save it again: torch.save(torch.load(FILE, map_location='cpu'), NEW)"

_FETCH_AGAIN = "fetch the file itself"

_NAMED = "save its arrays under the names of docs/pretrained.md: safetensors.numpy.save_file({NAME: ARRAY, ...}, NEW)"

KINDS = {
    rb"version https://git-lfs": "a Git LFS pointer: fetch what it stands for, with git lfs pull",
    rb"\s*(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml|!--)": f"a web page: {_FETCH_AGAIN}",
    rb"\x80[\x02-\x05]": f"a pickle, which could run any program: if it is PyTorch's, {SAVE_AGAIN}",
    rb"\x89HDF\r\n\x1a\n": f"HDF5, as Keras writes: {_NAMED}",
    rb"\x93NUMPY": f"an array of NumPy: {_NAMED}",
    rb"\x08[\x01-\x1f][\x12:]": f"ONNX or another protobuf: {_NAMED}",
    rb".{4}TFL3": f"TensorFlow Lite's: {_NAMED}",
    rb"GGUF": f"GGUF: {_NAMED}",
    rb"\x1f\x8b|BZh|\xfd7zXZ\0|7z\xbc\xaf|Rar!|.{257}ustar": "packed: unpack it",
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP": "an image",
}
"""What the first bytes of a file match, and what it then is."""


def kind(path: str | Path) -> str:
    """What the file is, and what to do, for an error; "" if it may hold weights. OSError if it cannot be read."""
    with open(path, "rb") as file:
        begin = file.read(512)
    if not begin:
        return f"empty: {_FETCH_AGAIN}"
    if begin[3:9] == b"\0\0\0\0\0{":  # safetensors: the length of the header, and the header
        return ""
    return next((what for pattern, what in KINDS.items() if re.match(pattern, begin, re.DOTALL | re.IGNORECASE)), "")


def archive_kind(names: Iterable[str]) -> str:
    """As ``kind``, for a zip archive with members of these names."""
    names = list(names)
    if any(name.endswith("/constants.pkl") for name in names):
        return (
            "a TorchScript archive: where PyTorch is, save its state dict: "
            "torch.save(torch.jit.load(FILE, map_location='cpu').state_dict(), NEW)"
        )
    if names and all(name.endswith(".npy") for name in names):
        return f"NumPy's .npz: {_NAMED}"
    if any(name.endswith(".h5") for name in names):
        return f"a model of Keras: {_NAMED}"
    return ""
