"""Class folders and images with any name: trained with, drawn, saved, read again, and printed on one line."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyalexnet import __main__ as command
from tinyalexnet.alexnet import VARIANTS, Conv, Flat, Full, Relu, Variant
from tinyalexnet.console import printable
from tinyalexnet.weights import load

TINY = Variant((6, 6, 3), (Conv("conv1", 4, 3), Relu("relu1"), Flat(), Full("fc2")), num_classes=3)

CLASSES = (
    "no\xa0break",
    os.fsdecode(b"caf\xe9"),  # Latin-1
    "two\nlines",
    "\x1b[2J",
    "犬 \N{GRINNING FACE}",
    "$\\frac{$",
    "\u202eright to left",
    " spaces ",
    "'\"",
)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in CLASSES:
            path = Path("data", split, name)
            path.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).save(path / f"{name}.png")


def train(*more):
    flags = ["--data=folder", "--folder=data", "--variant=tiny", "--backend=reference", "--batch_size=3", "--epochs=1"]
    return command.main(["train", *flags, "--checkpoint=run", "--log=log", *more])


def test_every_name_is_trained_with_drawn_read_and_printed(capsys):
    assert train("--plot=training.png") == 0
    assert set(load("run").classes) == set(CLASSES)
    assert train("--plot=training.svg", "--resume") == 0
    capsys.readouterr()
    images = [str(Path("data", "test", name, f"{name}.png")) for name in CLASSES]
    flags = ["--weights=run", "--backend=reference", "--top=9", "--plot=seen.svg"]
    assert command.main(["classify", *images, *flags]) == 0
    out, err = capsys.readouterr()
    assert [line.partition(" ")[0] for line in err.splitlines()] == ["run", "wrote"]
    lines = out.splitlines()
    assert len(lines) == 10 * len(CLASSES)
    assert lines[::10] == [printable(path) for path in images]
    for at in range(0, len(lines), 10):
        found = {line.split(maxsplit=2)[2].rstrip() for line in lines[at + 1 : at + 10]}
        assert found == {printable(name).strip() for name in CLASSES}
    assert Path("seen.svg").stat().st_size > 10_000


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_what_the_output_cannot_encode_is_escaped(monkeypatch, encoding):
    assert train() == 0
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding))
    name = CLASSES[4]
    image = str(Path("data", "test", name, f"{name}.png"))
    assert command.main(["classify", image, image, "--weights=run", "--backend=reference", "--top=9"]) == 0
    sys.stdout.flush()
    written = content.getvalue().decode(encoding)
    assert len(written.splitlines()) == 20
    expected = image.encode(encoding, "backslashreplace").decode(encoding)
    assert written.splitlines()[::10] == [expected, expected]


def test_an_error_is_one_line_whatever_the_name_of_the_file(capsys):
    for name in CLASSES:
        with pytest.raises(SystemExit):
            command.main(["classify", "none.png", "--weights", f"no {name}"])
        err = capsys.readouterr().err
        assert err.endswith("\n")
        assert err[:-1].isprintable() or "\xa0" in name
