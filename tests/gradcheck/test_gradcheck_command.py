"""python -m tinyalexnet gradcheck: the lines, the files, the exit codes."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext
from dataclasses import fields
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from tinyalexnet import ReLU
from tinyalexnet.__main__ import main
from tinyalexnet.alexnet import VARIANTS, Variant, alexnet
from tinyalexnet.alexnet.variants import Conv, Drop, Flat, Full, Pool, Relu
from tinyalexnet.console import Console
from tinyalexnet.gradcheck import frozen, whole
from tinyalexnet.gradcheck.command import run
from tinyalexnet.gradcheck.whole import Options, findings

TINY = Variant(
    (9, 8, 3),
    (Conv("conv1", 4, 3, 2), Pool("pool1", 2), Relu("relu1"), Flat(), Drop("drop2"), Full("fc2")),
    num_classes=5,
    weight_std=0.1,
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny", TINY)


def test_every_parameter_and_the_images_are_checked(capsys, tmp_path):
    files = tmp_path / "report.json", tmp_path / "report.xml"
    arguments = ["--variant", "tiny", "--batch_size", "2", "--backend", "reference", "--directions", "2"]
    assert main(["gradcheck", *arguments, "--json", str(files[0]), "--junit", str(files[1])]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == ["x", "conv1.w", "conv1.b", "fc2.w", "fc2.b"]
    assert all(": right. Relative error " in line and "(2 directions" in line for line in lines[:-1])
    assert lines[-1] == "tiny, batch size 2, backend reference: 5 of 5 right"
    wrote = "".join(f"wrote {file}\n" for file in files)
    assert err == f"tiny, batch size 2, float64: a forward and a backward ...\n{wrote}"
    assert json.loads(files[0].read_text())["passed"] is True
    assert ElementTree.fromstring(files[1].read_text()).get("tests") == "5"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.xml"]


def test_the_biases_are_drawn_and_the_weights_are_those_of_the_variant(monkeypatch):
    """Biases of 0 would hide a forward that leaves them out."""
    nets = []

    def noted(net):
        nets.append({name: value.copy() for name, value in net.params.items()})
        return frozen(net)

    monkeypatch.setattr(whole, "frozen", noted)
    next(findings(Options("tiny", backend="reference", seed=3)))
    fresh = alexnet("tiny", "reference", 3, np.float64).params
    for name, value in nets[0].items():
        if value.ndim == 1:
            assert 0 < np.abs(value).min() < np.abs(value).max() < 6 * whole.BIAS_STD
        else:
            np.testing.assert_array_equal(value, fresh[name])


def test_a_wrong_backward_is_found_and_the_exit_code_says_so(monkeypatch):
    """The ReLU of a network that is asked for by name: only what lies before it is wrong."""
    right = ReLU.backward
    monkeypatch.setattr(ReLU, "backward", lambda self, dout: right(self, dout) * 1.01)
    out, err = io.StringIO(), io.StringIO()
    flags = {field.name: field.default for field in fields(Options)} | {"variant": "tiny", "backend": "reference"}
    assert run({**flags, "json": None, "junit": None}, out, Console(err, quiet=True)) == 1
    verdicts = dict(line.split(".  ")[0].split(": ", 1) for line in out.getvalue().splitlines()[:-1])
    assert {name: text.split(".")[0] for name, text in verdicts.items()} == {
        "x": "wrong",
        "conv1.w": "wrong",
        "conv1.b": "wrong",
        "fc2.w": "right",
        "fc2.b": "right",
    }
    assert err.getvalue() == ""


def test_the_same_seed_gives_the_same_lines():
    options = Options("tiny", backend="reference", seed=3)
    assert list(findings(options)) == list(findings(options))
    assert list(findings(options)) != list(findings(Options("tiny", backend="reference", seed=4)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size", "0"], "batch_size is 0, but must be an int >= 1"),
        (["--directions", "0"], "directions is 0, but must be an int >= 1"),
        (
            ["--batch_size", str(10**12)],
            "batch_size is 1000000000000, but its images alone need 1728000.0 GB of memory",
        ),
        (["--batch_size", str(10**30)], "must be an int from 1 to 9223372036854775807"),
        (["--seed", "-1"], "seed is -1, but must be an int >= 0"),
        (["--backend", "tpu"], "backend is 'tpu', but must be one of "),
        (["--variant", "vgg"], "argument --variant: invalid choice: 'vgg'"),
        (["--json", "a.out", "--junit", "./a.out"], "junit is './a.out', but must be another file than json, 'a.out'"),
        (["--json", ""], "json is '', but must be a file in a folder that can be written to: it is empty"),
        (["--json", "/nowhere/report.json"], "json is '/nowhere/report.json', but must be a file in a folder that"),
    ],
)
def test_wrong_use_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["gradcheck", "--variant=tiny", *arguments])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_a_backend_with_arrays_of_its_own_is_refused(monkeypatch):
    monkeypatch.setattr(whole, "device", lambda name: SimpleNamespace(on_host=False))
    with pytest.raises(ValueError, match="backend is 'cuda', but must compute on arrays of the host: reference or cpu"):
        Options(backend="cuda")


def test_a_variant_that_is_not_known_is_refused_by_the_options_too():
    with pytest.raises(ValueError, match="'vgg'"):
        Options("vgg")


@pytest.mark.compiled
def test_tf2015_at_its_real_size():
    found = [finding for _, finding in findings(Options())]
    assert {finding.verdict for finding in found} == {"right"}
    assert len(found) == 11
    assert np.max([finding.error for finding in found]) < 1e-5


@pytest.mark.parametrize(("free", "fits"), [(None, True), (1728, True), (1727, False)])
def test_images_may_take_all_the_memory_there_is(free, fits, monkeypatch):
    """8 bytes for each of 9 * 8 * 3 elements; a system that does not say how much there is has enough."""
    monkeypatch.setattr(whole, "device", lambda name: SimpleNamespace(on_host=True, free_memory=lambda: free))
    if fits:
        assert Options("tiny").batch_size == 1
        return
    with pytest.raises(ValueError, match="batch_size is 1, but its images alone need"):
        Options("tiny")


def test_the_bar_moves_with_each_argument(monkeypatch):
    moved, console = [], Console(io.StringIO(), quiet=True)
    monkeypatch.setattr(console, "bar", lambda what, total: nullcontext((moved.append, lambda text, out: None)))
    flags = {field.name: field.default for field in fields(Options)} | {"variant": "tiny", "backend": "reference"}
    assert run({**flags, "json": None, "junit": None}, io.StringIO(), console) == 0
    assert moved == ["x", "conv1.w", "conv1.b", "fc2.w", "fc2.b"]
