"""What tests/fuzz.py reads: for each target the valid files, the changes of their structure, and the reader."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save as safetensors

from tests.weights import torch_pickles as pickles
from tinyalexnet import __main__ as command
from tinyalexnet.alexnet import VARIANTS, Conv, Drop, Flat, Full, Relu, Variant
from tinyalexnet.benchmark.cells import Cell, summary
from tinyalexnet.benchmark.options import PASSES, Options
from tinyalexnet.benchmark.record import Record
from tinyalexnet.benchmark.versus import Choice, Comparison
from tinyalexnet.images import read_image
from tinyalexnet.training import Settings, Training, checkpoint, cifar10
from tinyalexnet.training.data import Dataset, Images
from tinyalexnet.training.idx import read_idx
from tinyalexnet.weights import pretrained, torch_file
from tinyalexnet.weights.labels import read_labels

Read = Callable[[Random], object]

EXTREMES = (0, 1, 2, 3, 127, 128, 255, 256, 1000, 32767, 65535, 65536, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)

TINY = Variant((6, 6, 3), (Conv("conv1", 4, 3), Relu("relu1"), Flat(), Drop("drop2", 0.25), Full("fc2")), num_classes=3)
PIXELS = (np.arange(9 * 7 * 8 * 3) % 251).astype(np.uint8).reshape(9, 7, 8, 3)
DATA = Dataset("fuzz", *[Images(PIXELS, np.arange(9) % 3, ("one", "two", "three"))] * 2)


def damaged(rng: Random, content: bytes, other: bytes) -> bytes:
    """``content`` with one or a few changes: bits, bytes, numbers, its order or length, or a part of ``other``."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 64))
        match rng.randrange(9):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
            case 2:
                data[at:at] = rng.randbytes(length)
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
            case 5:
                kind = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
                value = struct.pack(kind, rng.choice(EXTREMES) % (1 << 8 * struct.calcsize(kind)))
                data[at : at + len(value)] = value
            case 6:
                begin = rng.randrange(len(other) + 1)
                data[at : at + length] = other[begin : begin + length]
            case 7 if rng.random() < 0.2:
                del data[at:]
            case _:
                data[at : at + length] = bytes(length)
    return bytes(data)


def of_files(seeds: list[bytes], built: Callable[[Random], bytes], read: Callable[[Path], object], name: str) -> Read:
    """Damages one of the ``seeds``, or builds a file with a change of its structure, which mostly stays undamaged."""

    def run(rng: Random) -> object:
        is_built = rng.random() < 0.6
        content = built(rng) if is_built else rng.choice(seeds)
        if not is_built or rng.random() < 0.2:
            content = damaged(rng, content, rng.choice(seeds))
        Path(name).write_bytes(content)
        return read(Path(name))

    return run


# --- files of PyTorch -------------------------------------------------------------------------------------------------


def zipped(members: dict[str, bytes], rng: Random | None = None) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            how = zipfile.ZIP_DEFLATED if rng and rng.random() < 0.02 else zipfile.ZIP_STORED
            # With a date of its own a file would be another one each time.
            archive.writestr(zipfile.ZipInfo(name), member, how)
    return content.getvalue()


def torch_archive(pickled: bytes, rng: Random | None = None) -> bytes:
    members = {
        "a/data.pkl": pickled,
        "a/byteorder": b"little",
        "a/data/0": pickles.NUMBERS.tobytes(),
        "a/version": b"3",
    }
    return zipped(members, rng)


FRAGMENTS = [
    *(b"(", b")", b"}", b"]", b"t", b"u", b"s", b"a", b"e", b"R", b"b", b"Q", b"N", b"\x88", b"\x89", b"\x85", b"\x86"),
    *(
        b"\x87",
        b"\x81",
        b"0",
        b".",
        b"q\0",
        b"h\0",
        b"r\0\0\0\0",
        b"K\x01",
        b"M\xff\xff",
        b"J\xff\xff\xff\xff",
        b"\x8a\0",
    ),
    *(pickles.integer(1 << 40), pickles.text("a"), pickles.text("state_dict"), pickles.ORDERED, pickles.storage()),
    *(
        pickles.tensor(),
        pickles.parameter(pickles.tensor()),
        pickles.name("os", "system"),
        pickles.name("argparse", "Namespace"),
        pickles.integers(2, 3),
    ),
    *(pickles.storage(kind="BFloat16Storage", count=12), pickles.storage("1"), pickles.tensor(size=(), stride=())),
]


GOOD = pickles.state_dict(a=pickles.tensor(), b=pickles.parameter(pickles.tensor(offset=1, size=(5,), stride=(1,))))
WRAPPED = pickles.state_dict(epoch=b"K\x03", state_dict=GOOD[2:-1], groups=b"](K\x01K\x02e")


def torch_built(rng: Random) -> bytes:
    kind = rng.randrange(3)
    if kind == 0:
        return torch_archive(damaged(rng, rng.choice((GOOD, WRAPPED)), rng.choice((GOOD, WRAPPED))), rng)
    if kind == 1:
        body = b"".join(rng.choices(FRAGMENTS, k=rng.randrange(1, 40)))
        body *= rng.choice((1, 1, 1, 300, 20_000))
        return torch_archive(rng.choice((b"\x80\x02", b"\x80\x02}", b"\x80\x02}q\0(")) + body[: 1 << 22] + b".", rng)
    size = tuple(rng.choice((*EXTREMES, 2, 3)) for _ in range(rng.randrange(5)))
    stride = tuple(rng.choice((*EXTREMES, -1, 1, 3)) for _ in range(rng.choice((len(size), len(size), 2))))
    offset = rng.choice((0, 0, 1, 6, -1, 1 << 62))
    of = pickles.storage(rng.choice("01"), rng.choice((6, 12, 5, -1, 1 << 62)), rng.choice(("FloatStorage", "Other")))
    one = pickles.tensor(rng.choice((None, None, of)), offset, size, stride)
    values = {rng.choice(("a", "state_dict", "module.features.0.weight")): one, "features.0.weight": pickles.tensor()}
    return torch_archive(pickles.state_dict(**values), rng)


def read_torch(path: Path) -> None:
    with contextlib.suppress(ValueError):
        pretrained.load(path)
    for array in torch_file.load(path).values():
        array.sum()


# --- IDX and CIFAR-10 -------------------------------------------------------------------------------------------------


def idx(*shape: int, code: int = 8, content: bytes | None = None) -> bytes:
    data = bytes(min(int(np.prod(shape)), 4000)) if content is None else content
    return bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + data


@functools.cache
def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@functools.cache
def zeros(count: int) -> bytes:
    return zlib.compress(bytes(count))


def idx_built(rng: Random) -> bytes:
    shape = [rng.choice((1, 2, 3, 28, *EXTREMES)) for _ in range(rng.choice((1, 2, 3, 3, 3, 64, 65)))]
    content = idx(*shape, code=rng.choice((8, 8, 8, 9, 13, 14)), content=bytes(rng.choice((0, 1, 784, 5000, 1 << 20))))
    return packed(content) if rng.random() < 0.5 else content


def read_idx_file(path: Path) -> None:
    read_idx(path)
    read_idx(path, (None, 28, 28))


def read_cifar(path: Path) -> None:
    with contextlib.suppress(ValueError):
        cifar10.read_batch(path)
    path.rename("batches.meta.txt")
    cifar10.class_names(Path())


def cifar_built(rng: Random) -> bytes:
    names = [
        rng.choice((*cifar10.CLASSES, "", " ", "\x00", "犬" * 50)) for _ in range(rng.choice((9, 10, 10, 11, 2000)))
    ]
    text = rng.choice(("\n", "\r\n", "\r")).join(names).encode(rng.choice(("utf-8", "utf-16")))
    return rng.choice((text, packed(text), bytes(cifar10.RECORD_BYTES * rng.choice((2, 3, 4))), packed(bytes(1 << 24))))


# --- images -----------------------------------------------------------------------------------------------------------


def pictures() -> list[bytes]:
    coloured = Image.fromarray(np.tile(PIXELS[0], (4, 4, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (coloured, "PNG", {"exif": exif}),
        (coloured.convert("RGBA"), "PNG", {}),
        (coloured.convert("P"), "PNG", {"transparency": 1}),
        (coloured.convert("1"), "PNG", {}),
        (coloured, "JPEG", {"exif": exif}),
        (coloured, "JPEG", {"progressive": True}),
        (coloured.convert("CMYK"), "JPEG", {}),
        (coloured.convert("P"), "GIF", {"transparency": 0}),
        (coloured, "GIF", {"save_all": True, "append_images": [coloured.rotate(90)]}),
        (coloured, "WEBP", {}),
        (coloured.convert("RGBA"), "WEBP", {"lossless": True}),
        (coloured, "MPO", {"save_all": True, "append_images": [coloured]}),
        (coloured, "BMP", {}),
        (coloured, "TIFF", {}),
        (coloured, "EPS", {}),
    ]
    found = []
    for image, kind, options in kinds:
        content = io.BytesIO()
        image.save(content, kind, **options)
        found.append(content.getvalue())
    return found


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_built(rng: Random) -> bytes:
    """Chunks with right checksums, in any order, and any size in the header."""
    width, height = (rng.choice((1, 2, 9, 100, 5000, 7071, 7072, *EXTREMES)) for _ in range(2))
    depth, colour = rng.choice(((8, 2), (8, 6), (1, 0), (16, 0), (16, 2), (8, 3), (4, 3), (8, 4), (3, 9)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.choice((0, 1))))
    some = [
        chunk(b"IDAT", zeros(rng.choice((0, 10, 1 << 16, 1 << 22)))),
        chunk(b"PLTE", rng.randbytes(rng.choice((3, 768, 4)))),
        chunk(b"tRNS", rng.randbytes(rng.choice((1, 2, 6, 256)))),
        chunk(b"eXIf", rng.randbytes(rng.choice((0, 8, 300)))),
        chunk(b"zTXt", b"a\0\0" + zeros(rng.choice((9, 1 << 22)))),
        chunk(b"iCCP", b"a\0\0" + zeros(rng.choice((9, 1 << 22)))),
        chunk(b"acTL", struct.pack(">II", rng.choice(EXTREMES), 0)),
    ]
    rng.shuffle(some)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(some[: rng.randrange(8)]) + some[0] + chunk(b"IEND", b"")


def read_picture(path: Path) -> None:
    wrong = None
    for size, shorter, channels in ((None, None, 1), ((9, 7), None, 3), ((8, 8), 12, 3)):
        try:
            read_image(path, size, shorter, channels)
        except ValueError as error:
            wrong = error
    if wrong:
        raise wrong


# --- checkpoints, with a right checksum -------------------------------------------------------------------------------


def training() -> Training:
    return Training(Settings("fuzz", batch_size=3, backend="reference"), DATA)


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**63, 10**300, 0.0, 0.5, 1e308, "", "a", "\x1b[2J", "\ud800", [], [[]], {}),
    *([0] * 1000, {"a": {"b": {}}}, ["a", "b", "c"], "x" * 10_000, "constant", "tf2015", "torchvision"),
)


def changed(rng: Random, value: Any) -> Any:
    """JSON with another value, name or length somewhere inside."""
    if not isinstance(value, (dict, list)) or not value or rng.random() < 0.1:
        return rng.choice(VALUES)
    copy = value.copy()
    where = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    match rng.randrange(5):
        case 0:
            del copy[where]
        case 1 if isinstance(copy, dict):
            copy[rng.choice(("a", "", "\n", "scale", "mean"))] = rng.choice(VALUES)
        case _:
            copy[where] = changed(rng, copy[where])
    return copy


def array(rng: Random, old: np.ndarray) -> np.ndarray:
    dtype = rng.choice((*checkpoint.DTYPES, *["float32"] * 9))
    shape = rng.choice(
        (old.shape, old.shape, old.shape[::-1], (), (0,), (1,), (1, *old.shape), (rng.randrange(50),) * 3)
    )
    new = np.full(shape, rng.choice((0.0, 1.0)), dtype)
    if new.size and new.dtype.kind == "f" and rng.random() < 0.3:
        new.reshape(-1)[rng.randrange(new.size)] = rng.choice(
            (np.nan, np.inf, -np.inf, 1e30 if dtype != "float16" else 9)
        )
    return new


def checkpoint_built(rng: Random, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> bytes:
    arrays, meta = arrays.copy(), meta.copy()
    for _ in range(rng.choice((0, 1, 1, 2))):
        name = rng.choice(list(arrays))
        match rng.randrange(4):
            case 0:
                del arrays[name]
            case 1:
                arrays[rng.choice(("w:a", "", "\n", "x" * 5000, "mean", "v:conv1.w"))] = array(rng, arrays[name])
            case _:
                arrays[name] = array(rng, arrays[name])
    for _ in range(rng.choice((0, 1, 1, 3))):
        meta = changed(rng, meta)
        meta = meta if isinstance(meta, dict) else {}
    checkpoint.save("built", arrays, meta)
    return Path("built").read_bytes()


def header_built(rng: Random, content: bytes) -> bytes:
    """A safetensors file with another header, of the right length."""
    size = int.from_bytes(content[:8], "little")
    header = changed(rng, json.loads(content[8 : 8 + size]))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def of_checkpoints() -> Read:
    first = training()
    first.advance()
    first.save("good")
    arrays, meta = checkpoint.load("good")
    halves = {"features.0.weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}
    text = json.dumps(halves).encode()
    seeds = [
        Path("good").read_bytes(),
        safetensors({"features.0.weight": np.ones(3)}),
        len(text).to_bytes(8, "little") + text + bytes(12),
    ]
    run = training()

    def built(rng: Random) -> bytes:
        return checkpoint_built(rng, arrays, meta) if rng.random() < 0.6 else header_built(rng, rng.choice(seeds))

    def read(path: Path) -> None:
        wrong = None
        try:
            run.restore(path)
        except ValueError as error:
            wrong = error
        weights = pretrained.load(path)
        weights.probabilities(weights.network("reference"), np.zeros((1, *weights.size, 3), np.uint8), "reference")
        if wrong:
            raise wrong

    return of_files(seeds, built, read, "checkpoint")


# --- the file of a matrix ---------------------------------------------------------------------------------------------


def of_matrices() -> Read:
    options = Options(json="matrix", rounds=2, versus=(Choice("torch"), Choice("onnxruntime")))
    record = Record(options, 1, resume=False)
    pairs = [(1.0, 2.0), (1.5, 2.5)]
    record.add(
        Cell(
            "fuzz",
            8,
            "2026-01-01T00:00:00",
            {name: [1.0, 1.5] for name in PASSES},
            {
                "torch": Comparison("torch", "torch 2", dict.fromkeys(PASSES, pairs), 1e-6, {"conv1.w": 1e-5}),
                "onnxruntime": Comparison("onnxruntime", "onnxruntime 1", {"Forward": pairs}, 1e-6),
            },
        )
    )
    seed = Path("matrix").read_bytes()

    def built(rng: Random) -> bytes:
        stored = json.loads(seed)
        for _ in range(rng.choice((1, 1, 2))):
            if rng.random() < 0.6 and isinstance(stored, dict) and "cells" in stored:
                stored["cells"] = changed(rng, stored["cells"])
            else:
                stored = changed(rng, stored)
        return json.dumps(stored).encode()

    def read(path: Path) -> None:
        for cell in Record(options, 1, resume=True).cells.values():
            cell.lines()
            summary([cell])

    return of_files([seed], built, read, "matrix")


# --- labels and command lines -----------------------------------------------------------------------------------------


def labels_built(rng: Random) -> bytes:
    lines = [
        rng.choice(("a", "", "犬", "\0", "\x85", "\u2028", "x" * 3000)) for _ in range(rng.choice((2, 3, 3, 4, 999)))
    ]
    text = rng.choice(("\n", "\r\n", "\r")).join(lines)
    return text.encode(rng.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32")))


NUMBERS = (
    "0",
    "1",
    "-1",
    "2",
    "9" * 30,
    "1e400",
    "nan",
    "inf",
    "-inf",
    "1.5",
    "",
    " 1",
    "١",
    "0x1",
    "1_0",
    "1e-4",
    "½",
)
NAMES = (
    "good",
    "none",
    "",
    "/dev/null",
    ".",
    "a\nb",
    "\udcff",
    "x" * 300,
    "photo.png",
    "a.svg",
    "no/such",
    "--",
    "good/",
)
WORDS = (
    "train",
    "classify",
    "gradcheck",
    "explain",
    "explore",
    "--help",
    "--quiet",
    "-h",
    "--",
    "digits",
    "folder",
    "tiny",
    "cpu",
)
LAYERS, ARRAYS = ("conv1", "pool1", "fc", "fc4", "loss", "x", ""), ("out", "dx", "w", "dw", "b", "p", "loss", "", "@")
INDICES = ("0,0,0,0", "0,1,2,0", "0,3", "[0, 1]", "1", "", "0,99999999999999999999", "0,-1", "0,,1", "٣", "a\nb", "1e3")
FLAGS = (
    *(
        "--data=digits",
        "--data=folder",
        "--variant=fuzz",
        "--backend=reference",
        "--backend=cuda",
        "--resume",
        "--mirror",
    ),
    *(
        "--folder=@",
        "--weights=@",
        "--weights=good",
        "--labels=@",
        "--plot=@",
        "--checkpoint=@",
        "--log=@",
        "--size 3 #",
    ),
    *("--top=#", "--epochs=#", "--batch_size=#", "--batch-size #", "--learning_rate=#", "--momentum=#", "--pad=#"),
    *("--seed=#", "--views=#", "--colour_noise=#", "--schedule=@", "--schedule=step:#:#", "--checkpoint_every=#"),
    *("--reference_batch=#", "--warmup=#", "--momentum_correction"),
    *(
        "--loss=@",
        "--loss=class:#",
        "--loss=output:#,#",
        "--loss=l2",
        "--terms=#",
        "--image=@",
        "--output=@",
        "-o",
        "@",
    ),
    *("--force", "--no_graph", "--precision=tf32", "--download", "--unknown=@", "--top"),
)


def of_commands() -> Read:
    """Whole command lines: ``train`` up to the first step; ``classify``, ``explain`` and ``explore``."""
    from tinyalexnet import console
    from tinyalexnet import training as package
    from tinyalexnet.gradcheck import command as gradcheck
    from tinyalexnet.training import data

    Image.fromarray(PIXELS[0]).save("photo.png")
    training().save("weights")
    content = Path("weights").read_bytes()

    def trained(settings: Settings, dataset: Dataset, _out: object, _console: object, *_files: object) -> int:
        Training(settings, DATA if settings.variant == "fuzz" else dataset)
        return 0

    package.train = trained
    gradcheck.run = lambda *_: 0
    console.SILENCE = 1000.0  # a slow machine says what it waits for
    data.fetch = lambda *_: None

    def run(rng: Random) -> None:
        Path("good").write_bytes(content)
        line = [rng.choice(("train", "train", "classify", "explain", "explore", rng.choice(WORDS)))]
        line += ["photo.png", "--weights=good"] if line[0] in ("classify", "explore") and rng.random() < 0.7 else []
        line += ["-o", "page"] if line[0] == "explore" and rng.random() < 0.7 else []
        line += [rng.choice(LAYERS), rng.choice(ARRAYS), rng.choice(INDICES)] if line == ["explain"] else []
        line += ["--weights=good"] if line[0] == "explain" and rng.random() < 0.8 else []
        line += ["--data=digits"] if line == ["train"] and rng.random() < 0.7 else []
        for _ in range(rng.randrange(6)):
            flag = rng.choice((*FLAGS, rng.choice(WORDS), rng.choice(NAMES)))
            while "#" in flag:
                flag = flag.replace("#", rng.choice(NUMBERS), 1)
            line += (
                flag.replace("@", rng.choice(NAMES)).split(" ")
                if flag.startswith("--size")
                else [flag.replace("@", rng.choice(NAMES))]
            )
        run_line(line)

    return run


def run_line(line: list[str]) -> None:
    """A command ends with 0, or with 2 and one line on standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command.main(line)
        except SystemExit as end:
            code = end.code
    said = err.getvalue()
    assert code in (0, 2), f"{line} ends with {code}"
    if code == 2:
        assert said.count("\n") == 1 < len(said) - 20, f"{line} says {said!r}"
        raise ValueError(said.strip())


def targets() -> dict[str, Read]:
    """The readers by their names, in the present folder."""
    VARIANTS["fuzz"] = TINY
    cifar10.RECORDS = 3
    images = idx(2, 28, 28)
    names = "\n".join(cifar10.CLASSES).encode()
    batches = [bytes(3 * cifar10.RECORD_BYTES), packed(bytes(3 * cifar10.RECORD_BYTES)), names, packed(names)]
    labels = [b"a\nb\nc\n", "ä\r\nö\r\nü".encode("utf-16"), b"\xef\xbb\xbfa\nb\nc"]
    return {
        "torch": of_files([torch_archive(GOOD), torch_archive(WRAPPED)], torch_built, read_torch, "a.pth"),
        "idx": of_files([images, packed(images), idx(5), packed(idx(5))], idx_built, read_idx_file, "idx"),
        "cifar": of_files(batches, cifar_built, read_cifar, "cifar"),
        "images": of_files(pictures(), png_built, read_picture, "image.jpg"),
        "checkpoints": of_checkpoints(),
        "labels": of_files(labels, labels_built, lambda path: read_labels(path, 3), "labels"),
        "matrices": of_matrices(),
        "commands": of_commands(),
    }
