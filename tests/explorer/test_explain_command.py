"""python -m tinyalexnet explain: prints one element, or one line of an error."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tinyalexnet.__main__ import main
from tinyalexnet.console import Console
from tinyalexnet.explorer.options import Options
from tinyalexnet.explorer.passes import prepared, traced


def run(capsys, *words):
    code = main(["explain", *words])
    return code, *capsys.readouterr()


def refused(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        main(["explain", *words])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_an_element_of_every_kind_of_array(capsys):
    for words, begins in (
        (("conv1", "out", "0,2,2,1"), "conv1 out[0,2,2,1] = "),
        (("conv1", "dx", "[0, 2, 2, 0]"), "conv1 dx[0,2,2,0] = "),
        (("pool1", "x", "0,3,3,1"), "conv1 out[0,3,3,1] = "),
        (("fc4", "dw", "3,1"), "fc4 dw[3,1] = "),
        (("loss", "p", "0,3"), "loss p[0,3] = "),
        (("loss", "loss"), "loss = "),
        (("conv1", "w", "0,0,0,0"), "conv1 w[0,0,0,0] = "),
    ):
        code, out, err = run(capsys, *words, "--variant", "digits", "--terms", "3")
        assert (code, err) == (0, "")
        assert out.startswith(begins)
        assert "more than rounding" not in out


def test_one_term_and_the_seed(capsys):
    words = "conv1", "out", "0,2,2,1", "--variant", "digits", "--terms", "1"
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "10 terms, the 1 largest first:" in out
    assert out == run(capsys, *words, "--seed", "0")[1] != run(capsys, *words, "--seed", "1")[1]


def test_the_losses(capsys):
    gradients = {}
    for loss in ("l2", "likeliest", "class:3", "output:7", "output:0,7"):
        _, out, _ = run(capsys, "fc4", "dout", "0,3", "--variant", "digits", "--loss", loss)
        gradients[loss] = out.splitlines()[0]
    assert gradients["output:7"] == gradients["output:0,7"] == "loss dx[0,3] = 0.0"
    assert len(set(gradients.values())) >= 3
    assert (
        run(capsys, "loss", "loss", "--variant", "digits")[1]
        == run(capsys, "loss", "loss", "--variant", "digits", "--loss", "likeliest")[1]
    )
    assert "1/2 Σ y²" in run(capsys, "loss", "loss", "--variant", "tf2015")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("conv9", "out", "0"), "layer is 'conv9', but must be one of conv1, "),
        (("conv1", "y", "0"), "array is 'y', but must be one of x, w, b, out, dout, dx, dw, db of 'conv1'"),
        (("conv1", "out", "0,1"), "index is [0, 1], but must be 4 ints, each from 0 to below (1, "),
        (("conv1", "out", "0,1,2,x"), "index is '0,1,2,x', but must be ints with commas between, such as 0,2,2,1"),
        (("conv1", "out", "0,1,2,99999999999999999999"), "99999999999999999999], but must be 4 ints"),
        (("conv1", "out", "0,1,2,3", "--terms", "0"), "terms is 0, but must be an int >= 1"),
        (("conv1", "out", "0,1,2,3", "--seed", "-1"), "seed is -1, but must be an int >= 0"),
        (("conv1", "out", "0,1,2,3", "--loss", "l3"), "loss is 'l3', but must be l2, likeliest, class:K or outp"),
        (("conv1", "out", "0,1,2,3", "--loss", "klass:3"), "loss is 'klass:3', but must be l2, likeliest"),
        (("conv1", "out", "0,1,2,3", "--loss", "class:x"), "loss is 'class:x', but must be l2, likeliest"),
        (("conv1", "out", "0,1,2,3", "--loss", "class:10"), "loss is 'class:10', but must name a class from 0 to 9"),
        (("conv1", "out", "0,1,2,3", "--loss", "output:x"), "loss is 'output:x', but must be l2, likeliest"),
        (("conv1", "out", "0,1,2,3", "--loss", "output:0,10"), "loss is 'output:0,10', but must be output: and an"),
        (("conv1", "out", "0,1,2,3", "--image", "missing.png"), "'missing.png' must be an image, but cannot be read"),
        (("conv1", "out", "0,1,2,3", "--weights", "missing.pth"), "missing.pth"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(capsys, words, message):
    pytest.importorskip("PIL")
    variant = () if "--weights" in words else ("--variant", "digits")
    assert message in refused(capsys, *words, *variant)


def test_a_network_without_classes_has_no_class(capsys):
    assert "the network does not classify" in refused(capsys, "conv1", "out", "0,1,2,3", "--loss", "likeliest")


def test_a_photograph(tmp_path):
    """Its bytes are centred and scaled exactly, so that an element of x says which byte it was."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8), dtype=np.uint8)
    image.fromarray(pixels).save(tmp_path / "a.png")
    ready = prepared(Options("digits"), str(tmp_path / "a.png"), Console(None, True))
    net, x = ready.net, ready.x
    np.testing.assert_array_equal(x[0, :, :, 0] * 64 + 128, pixels)
    np.testing.assert_array_equal(ready.pixels[:, :, 0], pixels)
    assert (ready.variant, ready.classes) == ("digits", ())
    assert not net.train
    assert {layer.algorithm for _, layer in net if hasattr(layer, "algorithm")} == {"gemm"}
    assert 1e-2 < float(np.abs(traced(Options("digits"), net, x).array("fc4", "out")).max()) < 1e2


def test_without_pillow_a_photograph_is_refused_before_the_weights_are_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"reading images needs Pillow: pip install 'tinyalexnet\[images\]'"):
        prepared(Options(weights="missing"), "a.png", Console(None, True))


def test_trained_weights_bring_their_network_names_and_scale(tmp_path, monkeypatch):
    """From a checkpoint, as train writes it."""
    pytest.importorskip("safetensors")
    pytest.importorskip("sklearn")
    files = "--checkpoint", str(tmp_path / "c")
    assert main(["train", "--data", "digits", "--epochs", "1", *files, "--quiet", "--backend", "reference"]) == 0
    ready = prepared(Options(weights=str(tmp_path / "c")), None, Console(None, True))
    assert (ready.variant, ready.classes, ready.pixels) == ("digits", tuple("0123456789"), None)
    assert ready.x.shape == (1, 8, 8, 1)
    trained = traced(Options(), ready.net, ready.x)
    assert trained.loss > 0
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "a.png")
    white = prepared(Options(weights=str(tmp_path / "c")), str(tmp_path / "a.png"), Console(None, True))
    assert white.x.std() > 0
    assert (white.pixels == 255).all()


@pytest.mark.parametrize("loss", ["l2", "likeliest", "class:3", "output:7"])
def test_every_backend_computes_the_pass(run, loss):
    """Near the reference's: sums of up to 288 terms in float32, and four layers."""
    passes = {}
    for backend in ("reference", run.name):
        options = Options("digits", loss=loss, backend=backend)
        ready = prepared(options, None, Console(None, True))
        passes[backend] = traced(options, ready.net, ready.x)
    for name, array in (("fc4", "out"), ("conv1", "dx"), ("conv2", "dw")):
        expected = passes["reference"].array(name, array)
        np.testing.assert_allclose(passes[run.name].array(name, array), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(variant="vgg"), "^variant is 'vgg', but must be one of"),
        (Options(seed=-1, weights="none"), "^seed is -1, but must be an int >= 0$"),
    ],
)
def test_options_are_checked_before_anything_is_read(options, message):
    with pytest.raises(ValueError, match=message):
        prepared(options, None, Console(sys.stderr, quiet=True))
