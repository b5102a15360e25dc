"""Files that people take for weights: refused in one sentence with what they are, and how to convert them."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save
from torch_pickles import archived, state_dict, tensor

from tinyalexnet.weights.kinds import kind
from tinyalexnet.weights.pretrained import load


def zipped(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


def numpys(write):
    content = io.BytesIO()
    write(content)
    return content.getvalue()


def image(format_):
    return numpys(lambda file: Image.new("RGB", (9, 9)).save(file, format_))


ARRAYS = "save its arrays under the names of docs/pretrained.md"
PAGE = "a web page: fetch the file itself"

CASES = [
    (b"", "empty: fetch the file itself"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12345\n", "a Git LFS pointer: fetch what it"),
    (b"<!DOCTYPE html><html><head><title>404</title>", PAGE),
    (b"\xef\xbb\xbf\r\n<HTML lang=en>", PAGE),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', PAGE),
    (pickle.dumps({"conv1.w": np.ones(3)}, 2), "a pickle, which could run any program: if it is PyTorch's, where"),
    (pickle.dumps({"conv1.w": np.ones(3)}, 5), "a pickle, which could run any program"),
    (b"\x89HDF\r\n\x1a\n\0\0\0\0", f"HDF5, as Keras writes: {ARRAYS}"),
    (numpys(lambda file: np.save(file, np.ones(3))), f"an array of NumPy: {ARRAYS}"),
    (b"\x08\x0e\x12\x07pytorch:3\n\x0c", f"ONNX or another protobuf: {ARRAYS}"),
    (b'\x08\x08:3\n\x0c\n\x01x\x12\x01y"\x04Relu', f"ONNX or another protobuf: {ARRAYS}"),
    (b"\x1c\0\0\0TFL3", f"TensorFlow Lite's: {ARRAYS}"),
    (b"GGUF\3\0\0\0", f"GGUF: {ARRAYS}"),
    (gzip.compress(b"x", mtime=0), "packed: unpack it"),
    (b"a/alexnet.pth".ljust(257, b"\0") + b"ustar\x0000", "packed: unpack it"),
    (image("JPEG"), "an image"),
    (image("PNG"), "an image"),
    (image("WEBP"), "an image"),
    (numpys(lambda file: np.savez(file, a=np.ones(3), b=np.ones(2))), f"NumPy's .npz: {ARRAYS}"),
    (zipped(**{"config.json": "{}", "model.weights.h5": "x"}), f"a model of Keras: {ARRAYS}"),
    (
        zipped(**{"net/data.pkl": "x", "net/code/a.py": "x", "net/constants.pkl": "x"}),
        "a TorchScript archive: where PyTorch is, save its state dict: torch.save(torch.jit.load(FILE, ",
    ),
]


@pytest.mark.parametrize(("content", "expected"), CASES)
def test_what_a_file_is_and_how_to_convert_it(tmp_path, content, expected):
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"^{path} is not a (checkpoint|state dict) that can be loaded: it is "
    ) as caught:
        load(path)
    message = str(caught.value)
    assert message.split(": it is ", 1)[1].startswith(expected)
    assert "\n" not in message
    assert len(message) < 450


def test_what_may_hold_weights_is_none_of_these(tmp_path):
    """Headers of every length, of which some begin as the first bytes of other formats do."""
    path = tmp_path / "weights"
    for size in range(0, 70_000, 7):
        path.write_bytes(struct.pack("<Q", size) + b'{"a":')
        assert kind(path) == ""
    path.write_bytes(save({"a": np.ones(3)}))
    assert kind(path) == ""
    archived(path, state_dict(t=tensor()))
    assert kind(path) == ""


def test_a_zip_of_something_else(tmp_path):
    archived(tmp_path / "weights", b"", folder="")
    with pytest.raises(ValueError, match=r"it has 0 members FOLDER/data\.pkl, but must have one"):
        load(tmp_path / "weights")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("how", ["whole", "script", "old"])
def test_what_torch_writes(tmp_path, how):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    path = tmp_path / "a.pt"
    if how == "script":
        torch.jit.trace(net, torch.ones(1, 2)).save(path)
    else:
        torch.save(net, path, _use_new_zipfile_serialization=how == "whole")
    expected = {
        "whole": r"no state dict but whole: .* torch.save\(torch.load\(FILE, .*\).state_dict\(\), NEW\)",
        "script": r"a TorchScript archive: .* torch.save\(torch.jit.load\(FILE, .*\).state_dict\(\), NEW\)",
        "old": r"the format from before PyTorch 1.6, .* torch.save\(torch.load\(FILE, map_location='cpu'\), NEW\)",
    }
    with pytest.raises(ValueError, match=expected[how]):
        load(path)


def test_safetensors_are_known_by_their_length_before_anything_else(tmp_path):
    # Of a header of 1,180,936 bytes, whose length begins as ONNX files do.
    (tmp_path / "a").write_bytes(b"\x08\x05\x12\0\0\0\0\0{")
    assert kind(tmp_path / "a") == ""
    (tmp_path / "a").write_bytes(b"\x08\x05\x12\0\0\0\0\0[")
    assert kind(tmp_path / "a").startswith("ONNX")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a")
    # Open at both ends, so that who would read it waits for bytes and not for a writer: a test can end that.
    both = os.open(tmp_path / "a", os.O_RDWR | os.O_NONBLOCK)
    os.write(both, b"\0" * 600)
    try:
        with pytest.raises(ValueError, match="it is no regular file"):
            load(tmp_path / "a")
    finally:
        os.close(both)
