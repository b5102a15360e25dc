"""python -m tinyalexnet classify: its lines and its picture; wrong use is one line and code 2."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from tinyalexnet import __main__ as command
from tinyalexnet.alexnet import VARIANTS, Conv, Flat, Full, Pool, Relu, Variant
from tinyalexnet.console import Console
from tinyalexnet.training import Settings, Training
from tinyalexnet.training.data import Dataset, Images
from tinyalexnet.weights import pretrained
from tinyalexnet.weights.classify import BATCH, _lines, classify, likeliest

TINY = Variant((6, 6, 3), (Conv("conv1", 4, 3), Pool("pool1", 2), Relu("relu1"), Flat(), Full("fc2")), num_classes=12)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    """A small network in place of torchvision's, and three photographs of one colour each."""
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    monkeypatch.setattr(pretrained, "NAMES", {"tiny": {"0": "conv1", "3": "fc2"}})
    monkeypatch.chdir(tmp_path)
    for name, colour in COLOURS.items():
        Image.new("RGB", (300, 260), colour).save(f"{name}.png")


@pytest.fixture
def weights():
    """Classes 0, 4 and 7 are red, green and blue: conv1's first three filters pass a colour on, fc2 takes the sums."""
    conv = np.zeros((4, 3, 3, 3), np.float32)
    conv[:3, :, 1, 1] = np.eye(3)
    dense = np.zeros((12, 4 * 3 * 3), np.float32)
    for channel, k in enumerate((0, 4, 7)):
        dense[k, 9 * channel : 9 * channel + 9] = 0.2
    biases = {"0.bias": np.zeros(4, np.float32), "3.bias": np.zeros(12, np.float32)}
    save_file({"0.weight": conv, "3.weight": dense} | biases, "weights")
    return "weights"


def run(capsys, *flags):
    assert command.main(["classify", "--backend=reference", *flags]) == 0
    return capsys.readouterr()


def test_each_image_and_its_likeliest_classes(weights, capsys):
    """After the first all are equally likely, and so in the order of their numbers."""
    names = [f"class {k}" for k in range(12)]
    Path("names").write_text("\n".join(names) + "\n", encoding="utf-8")
    out, err = run(capsys, "red.png", "blue.png", "--weights=weights", "--labels=names", "--top=4")
    assert err == ("weights (tiny) knows 12 classes: " + ", ".join(names) + " (named by names)\n")
    lines = [line.split(maxsplit=2) for line in out.splitlines()]
    assert [line[0] for line in lines if len(line) == 1] == ["red.png", "blue.png"]
    assert [line[1:] for line in lines[1:5]] == [[str(k), f"class {k}"] for k in (0, 1, 2, 3)]
    assert [line[1:] for line in lines[6:]] == [[str(k), f"class {k}"] for k in (7, 0, 1, 2)]
    # Of a colour x = (1 - mean) / std there are 3 x 3 at weight 0.2; the ReLU cuts off the other channels.
    strong = np.exp(0.2 * 9 * (1 - 0.485) / 0.229)
    assert [line[0] for line in lines[1:3]] == [f"{strong / (strong + 11):.2%}", f"{1 / (strong + 11):.2%}"]


def test_without_names_there_are_numbers(weights, capsys):
    out, err = run(capsys, "green.png", "--weights", weights, "--top=99")
    assert err == "weights (tiny) knows 12 classes by their numbers: --labels FILE gives them names\n"
    assert out.splitlines()[0] == "green.png"
    assert [line.split()[1:] for line in out.splitlines()[1:]] == [[str(k)] for k in (4, 0, 1, 2, 3, *range(5, 12))]


def test_what_was_done_to_names_is_said_once_and_not_if_quiet(weights, capsys):
    save_file({f"module.{name}": value for name, value in load_file(weights).items()}, "parallel")
    out, err = run(capsys, "red.png", "--weights", weights, "--top=3")
    assert len(err.splitlines()) == 1
    assert run(capsys, "red.png", "--weights=parallel", "--top=3") == (
        out,
        "parallel: 'module.0.bias' is read as '0.bias', and likewise 3 more names\n"
        + err.replace("weights", "parallel", 1),
    )
    assert run(capsys, "red.png", "--weights=parallel", "--top=3", "--quiet") == (out, "")


def test_many_images_in_batches_and_a_bar(weights):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    paths = [f"{name}.png" for name in COLOURS] * BATCH
    out, err = io.StringIO(), Terminal()
    assert classify(paths, weights, out, Console(err, quiet=False), top=1, backend="reference") == 0
    lines = out.getvalue().splitlines()
    assert lines[::2] == paths
    assert [line.split()[1] for line in lines[1::2]] == ["0", "4", "7"] * BATCH
    assert "classifying" in err.getvalue()


def test_the_first_images_are_shown_at_once(weights):
    """Though the output is no terminal, and the others are not classified yet."""

    class Out(io.StringIO):
        shown = ""

        def flush(self):
            self.shown = self.getvalue()

    out = Out()
    classify(["red.png"], weights, out, Console(io.StringIO(), quiet=True), top=1, backend="reference")
    assert out.shown.startswith("red.png\n")


def test_the_bar_has_a_step_for_each_image(weights, monkeypatch):
    bars = []

    @contextmanager
    def bar(self, name, total, done=0):
        steps = [None] * done
        yield lambda: steps.append(None), lambda line, file: print(line, file=file)
        bars.append((name, total, len(steps)))

    monkeypatch.setattr(Console, "bar", bar)
    for count in (BATCH - 1, BATCH + 1):
        paths = ["red.png"] * count
        classify(paths, weights, io.StringIO(), Console(io.StringIO(), quiet=True), top=1, backend="reference")
        assert bars[-1] == ("classifying", count, count)


def test_a_checkpoint_brings_its_names(capsys):
    colours = np.repeat(np.array(list(COLOURS.values()), np.uint8), 9, axis=0)
    pixels = np.tile(colours[:, None, None], (1, 7, 8, 1))
    images = Images(pixels, np.repeat(np.arange(3), 9), tuple(COLOURS))
    settings = Settings("tiny", batch_size=9, backend="reference", learning_rate=0.05)
    training = Training(settings, Dataset("colours", images, images))
    for _ in range(30):
        training.advance()
    training.save("run")
    out, _ = run(capsys, *(f"{name}.png" for name in COLOURS), "--weights=run", "--top=1")
    assert [line.split()[-1] for line in out.splitlines()[1::2]] == list(COLOURS)
    assert [line.split()[1] for line in out.splitlines()[1::2]] == ["0", "1", "2"]
    Path("names").write_text("rot\ngrün\nblau", encoding="utf-8")
    out, _ = run(capsys, "green.png", "--weights=run", "--top=1", "--labels=names")
    assert out.splitlines()[1].split()[-1] == "grün"


def test_a_network_of_grey_images_says_that_it_reads_colours_as_grey(monkeypatch, capsys):
    monkeypatch.setitem(VARIANTS, "grey", Variant((6, 6, 1), (Flat(), Full("fc1")), num_classes=2))
    images = Images(
        np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1).repeat(3, 1).repeat(3, 2), np.arange(2), ("a", "b")
    )
    Training(Settings("grey", batch_size=1, backend="reference"), Dataset("grey", images, images)).save("run")
    out, err = run(capsys, "red.png", "--weights=run")
    assert len(out.splitlines()) == 3
    assert err.splitlines()[1:] == ["the network of run takes grey images: colours are read as grey"]
    assert run(capsys, "red.png", "--weights=run", "--quiet") == (out, "")


def test_a_class_that_is_named_by_its_number_is_printed_once(weights, capsys):
    Path("names").write_text("".join(f"{k}\n" for k in range(12)), encoding="utf-8")
    out, _ = run(capsys, "green.png", "--weights", weights, "--labels=names", "--top=2")
    assert [line.split()[1:] for line in out.splitlines()[1:]] == [["4"], ["0"]]


def test_of_many_classes_some_are_named(weights, capsys, monkeypatch):
    monkeypatch.setattr("tinyalexnet.weights.classify.NAMED", 2)
    Path("names").write_text("".join(f"class {k}\n" for k in range(12)), encoding="utf-8")
    _, err = run(capsys, "green.png", "--weights", weights, "--labels=names", "--plot=seen.svg")
    assert err == "weights (tiny) knows 12 classes: class 0, class 1, ... (named by names)\nwrote seen.svg\n"
    assert run(capsys, "green.png", "--weights", weights, "--quiet").err == ""


def test_the_picture(weights, capsys):
    Path("names").write_text(
        "\n".join(f"$a class_of${k} " + "with a long name " * 9 for k in range(12)), encoding="utf-8"
    )
    for path in ("plot.svg", "plot.png"):
        run(capsys, "red.png", "blue.png", "--weights=weights", "--labels=names", "--plot", path)
    assert Path("plot.svg").read_text().startswith("<?xml")
    with Image.open("plot.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert {COLOURS["red"], COLOURS["blue"]} < colours
    assert COLOURS["green"] not in colours
    run(capsys, "red.png", "--weights=weights", "--plot=numbers.svg")


def test_of_equal_ones_the_lower_number_comes_first():
    found = likeliest(np.array([[0.2, 0.3, 0.2, 0.3], [0.25] * 4]), 3)
    np.testing.assert_array_equal(found, [[1, 3, 0], [0, 1, 2]])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "the following arguments are required: IMAGE, --weights"),
        (["red.png"], "the following arguments are required: --weights"),
        (["red.png", "--weights=/dev/zero"], "/dev/zero is not a checkpoint that can be loaded: it is no regular file"),
        (
            ["red.png", "--weights=none"],
            "weights is 'none', but there is no such file: use a checkpoint of train, or fetch torchvision's from http",
        ),
        (["red.png", "--weights=red.png"], "red.png is not a checkpoint that can be loaded: "),
        (["red.png", "none.png", "--weights=weights"], "'none.png' must be an image, but cannot be read as one"),
        (["weights", "--weights=weights"], "'weights' must be an image, but cannot be read as one"),
        (["red.png", "--weights=weights", "--top=0"], "top is 0, but must be an int >= 1"),
        (
            ["red.png", "--weights=weights", "--labels=none"],
            "labels is 'none', but there is no such file: ImageNet's are",
        ),
        (["red.png", "--weights=weights", "--labels=red.png"], "labels is 'red.png', but must be text in UTF-8"),
        (["red.png", "--weights=weights", "--plot=a.txt"], "plot is 'a.txt', but must end in .png or .svg"),
        (["red.png", "--weights=weights", "--plot=no/a.png"], "plot is 'no/a.png', but must be a file in a folder"),
        (["red.png", "--weights=weights", "--plot=./red.png"], "must be another file than image, 'red.png', which it"),
        (["red.png", "--weights=a.svg", "--plot=a.svg"], "must be another file than weights, 'a.svg', which it"),
        (["red.png", "--weights=weights", "--variant=owt"], "variant is 'owt', but must be 'tiny' for the weights in"),
        (["red.png", "--weights=weights", "--variant=vgg"], "argument --variant: invalid choice: 'vgg'"),
        (["red.png", "--weights=weights", "--variant=mnist", "--force"], "weights does not fit 'mnist': it lacks "),
    ],
)
def test_wrong_use_is_one_line_and_code_2(weights, capsys, monkeypatch, flags, message):
    """Told before a network is made."""
    monkeypatch.setattr(pretrained.Weights, "network", lambda *_: pytest.fail("it began"))
    with pytest.raises(SystemExit) as caught:
        command.main(["classify", *flags])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


def test_without_pillow_the_extra_is_named(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"reading images needs Pillow: pip install 'tinyalexnet\[classify\]'"):
        classify(["red.png"], weights, io.StringIO(), Console(io.StringIO(), True))


@pytest.mark.parametrize(("classes", "line"), [(10, "   10.00%  0  none"), (11, "    9.09%   0  none")])
def test_numbers_of_classes_are_as_wide_as_the_last(classes, line):
    assert _lines(np.full(classes, 1 / classes), np.array([0]), ["none"] * classes) == [line]
