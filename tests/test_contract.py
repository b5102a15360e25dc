"""Every backend offers the same functions, refuses the same input, and stands below the layers."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tinyalexnet.kernels import BACKENDS, load
from tinyalexnet.kernels.contract import Kernels

import tinyalexnet
from tinyalexnet.geometry import Window

PACKAGE = Path(tinyalexnet.__file__).parent
FUNCTIONS = [name for name, value in vars(Kernels).items() if inspect.isfunction(value) and not name.startswith("_")]


def f32(*shape):
    return np.ones(shape, np.float32)


def test_the_contract_names_the_functions_of_the_reference():
    assert set(FUNCTIONS) == set(load("reference").__all__)
    assert len(FUNCTIONS) == 19


@pytest.mark.parametrize("name", FUNCTIONS)
def test_backends_have_the_same_names_signatures_files_and_first_lines(name):
    modules = {backend: import_module(f"tinyalexnet.kernels.{backend}") for backend in BACKENDS}
    functions = {backend: getattr(module, name) for backend, module in modules.items()}
    contract = list(inspect.signature(getattr(Kernels, name)).parameters.values())[1:]
    for backend, function in functions.items():
        parameters = list(inspect.signature(function).parameters.values())
        assert [(p.name, p.default) for p in parameters] == [(p.name, p.default) for p in contract]
        assert inspect.getdoc(function)
        assert function.__module__.split(".")[-2:] == [backend, functions["reference"].__module__.split(".")[-1]]
        if backend != "reference":
            assert "see reference" in inspect.getdoc(function).split("\n\n")[0]
            assert "Schedule" in inspect.getdoc(function)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_reference_documents_math_shapes_errors_cost_and_source(name):
    doc = inspect.getdoc(getattr(load("reference"), name))
    sections = re.findall(r"^(\w+)$", doc, flags=re.MULTILINE)
    assert sections == ["Math", "Shapes", "Errors", "Cost", "Source"]
    page = re.search(r"docs/\w+\.md", doc).group()
    assert (PACKAGE.parent / page).exists()


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend is 'tpu', but must be one of 'reference', 'cpu', 'cuda'"):
        load("tpu")


X, W, B, DOUT = f32(2, 5, 5, 4), f32(3, 3, 4, 6), f32(6), f32(2, 3, 3, 6)
WINDOW, POOL = Window(3), Window(3, 2)
ARGMAX = np.zeros((2, 2, 2, 4), np.uint8)
KEPT = np.ones(4, bool)
READ_ONLY = f32(4)
READ_ONLY.setflags(write=False)

REFUSED = [
    ("conv2d_forward", ([1, 2], W, B, WINDOW), TypeError, "x is a list, but must be a NumPy array"),
    ("conv2d_forward", (X.astype(int), W, B, WINDOW), TypeError, "x has dtype int64, but must have dtype float32"),
    ("conv2d_forward", (X.astype(">f4"), W, B, WINDOW), TypeError, "x has dtype >f4, but must have dtype"),
    ("conv2d_forward", (X[0], W, B, WINDOW), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    ("conv2d_forward", (X[:0], W, B, WINDOW), ValueError, r"x has shape \(0, 5, 5, 4\), but .* no dimension of size 0"),
    ("conv2d_forward", (X[..., :3], W, B, WINDOW), ValueError, r"w has shape \(3, 3, 4, 6\), but must have shape"),
    ("conv2d_forward", (X, W[0], B, WINDOW), ValueError, r"w has shape \(3, 4, 6\), but must have shape"),
    ("conv2d_forward", (X, W[..., :0], B, WINDOW), ValueError, r"w has shape \(3, 3, 4, 0\), but must"),
    ("conv2d_forward", (X, W.astype(float), B, WINDOW), TypeError, "w has dtype float64, but must have the dtype of x"),
    ("conv2d_forward", (X, None, B, WINDOW), TypeError, "w is a NoneType, but must be a NumPy array"),
    ("conv2d_forward", (X, W, B[:2], WINDOW), ValueError, r"b has shape \(2,\), but must have one number per filter"),
    ("conv2d_forward", (X, W, B.astype(float), WINDOW), TypeError, "b has dtype float64, but must have the dtype of x"),
    ("conv2d_forward", (X, W, 0.0, WINDOW), TypeError, "b is a float, but must be a NumPy array"),
    ("conv2d_forward", (X, W, B, WINDOW, 3), ValueError, "groups is 3, but must divide the 4 channels of x"),
    ("conv2d_forward", (X, W, B, WINDOW, 0), ValueError, "groups is 0, but must divide"),
    ("conv2d_forward", (X, f32(3, 3, 2, 5), f32(5), WINDOW, 2), ValueError, r"w has shape \(3, 3, 2, 5\), but"),
    ("conv2d_forward", (X[:, :2], W, B, WINDOW), ValueError, r"x has 2 x 5 pixels, .* fits nowhere"),
    ("conv2d_backward_input", (DOUT[:1], W, X.shape, WINDOW), ValueError, r"dout has shape \(1, 3, 3, 6\), but must"),
    ("conv2d_backward_input", (DOUT.astype(float), W, X.shape, WINDOW), TypeError, "dout has dtype float64, but must"),
    ("conv2d_backward_input", (DOUT, W, X.shape[1:], WINDOW), ValueError, r"x has shape \(5, 5, 4\), but must"),
    ("conv2d_backward_params", (DOUT[:, :2], X, WINDOW), ValueError, r"dout has shape \(2, 2, 3, 6\), but must"),
    ("conv2d_backward_params", (DOUT[0], X, WINDOW), ValueError, r"dout has shape \(3, 3, 6\), but must"),
    ("conv2d_backward_params", (DOUT.astype(float), X, WINDOW), TypeError, "dout has dtype float64, but must"),
    ("conv2d_backward_params", (DOUT, X, WINDOW, 4), ValueError, r"dout has shape \(2, 3, 3, 6\), but must"),
    ("maxpool_forward", (X[0], POOL), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    ("maxpool_forward", (X > 0, POOL), TypeError, "x has dtype bool, but must have dtype"),
    ("maxpool_forward", (X, Window(2, 1, 2)), ValueError, "padding is .*, but a pool's must be smaller"),
    ("maxpool_forward", (X, Window(6, 1)), ValueError, "fits nowhere"),
    ("maxpool_backward", (f32(2, 2, 2, 3), ARGMAX, X.shape, POOL), ValueError, r"dout has shape \(2, 2, 2, 3\), but"),
    ("maxpool_backward", (f32(2, 2, 2, 4), ARGMAX.astype(int), X.shape, POOL), TypeError, "argmax is int64, but must"),
    ("maxpool_backward", (f32(2, 2, 2, 4), [0], X.shape, POOL), TypeError, "argmax is list, but must be the forward's"),
    ("maxpool_backward", (f32(2, 2, 2, 4), ARGMAX[:1], X.shape, POOL), ValueError, r"argmax has shape \(1, 2, 2, 4\)"),
    ("relu_forward", ("x",), TypeError, "x is a str, but must be a NumPy array"),
    ("relu_forward", (f32(4), f32(3)), ValueError, r"out has shape \(3,\), but must have the shape of x, \(4,\)"),
    ("relu_forward", (f32(4), np.ones(4)), TypeError, "out has dtype float64, but must have the dtype of x, float32"),
    ("relu_forward", (f32(4), f32(8)[::2]), ValueError, "out is strided or read-only, but must be C-contiguous"),
    ("relu_forward", (f32(4), READ_ONLY), ValueError, "out is strided or read-only, but must be C-contiguous"),
    ("relu_backward", (f32(4), f32(3)), ValueError, r"dout has shape \(4,\), but must have the output's shape, \(3,\)"),
    ("relu_backward", (np.ones(4), f32(4)), TypeError, "dout has dtype float64, but must have the dtype of y"),
    ("avgpool_forward", (X[0], POOL), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    ("avgpool_forward", (X, Window(2, 1, 2)), ValueError, "padding is .*, but a pool's must be smaller"),
    ("avgpool_forward", (X > 0, POOL), TypeError, "x has dtype bool, but must have dtype"),
    (
        "avgpool_backward",
        (f32(2, 2, 2, 3), X.shape, POOL),
        ValueError,
        r"dout has shape \(2, 2, 2, 3\), but must have the o",
    ),
    ("avgpool_backward", ([1], X.shape, POOL), TypeError, "dout is a list, but must be"),
    ("lrn_forward", (X[0], 2, 1.0, 1.0, 0.5), ValueError, r"x has shape \(5, 5, 4\), but must have the four"),
    ("lrn_forward", (X, -1, 1.0, 1.0, 0.5), ValueError, "radius is -1, but must be an int >= 0"),
    ("lrn_forward", (X, 2, 0.0, 1.0, 0.5), ValueError, "bias is 0.0, but must be a number above 0"),
    ("lrn_forward", (X, 2, 1.0, -1.0, 0.5), ValueError, "alpha is -1.0, but must be a number from 0 up"),
    ("lrn_forward", (X, 2, 1.0, 1.0, float("nan")), ValueError, "beta is nan, but must be a number from 0 up"),
    (
        "lrn_backward",
        (X[:1], X, X, 2, 1.0, 0.5),
        ValueError,
        r"dout has shape \(1, 5, 5, 4\), but must have the shape of x",
    ),
    (
        "lrn_backward",
        (X, X, X.astype(float), 2, 1.0, 0.5),
        TypeError,
        "scale has dtype float64, but must have the dtype",
    ),
    ("dense_forward", (X, f32(4, 3), f32(3)), ValueError, r"x has shape \(2, 5, 5, 4\), but must have the two"),
    ("dense_forward", (f32(2, 0), f32(0, 3), f32(3)), ValueError, r"x has shape \(2, 0\), but must have no dimension"),
    (
        "dense_forward",
        (f32(2, 4), f32(5, 3), f32(3)),
        ValueError,
        r"w has shape \(5, 3\), but must have shape \(C, F\)",
    ),
    ("dense_forward", (f32(2, 4), f32(4), f32(3)), ValueError, r"w has shape \(4,\), but must have shape \(C, F\)"),
    (
        "dense_forward",
        (f32(2, 4), f32(4, 3), f32(2)),
        ValueError,
        r"b has shape \(2,\), but must have one number per out",
    ),
    (
        "dense_forward",
        (f32(2, 4), np.ones((4, 3)), f32(3)),
        TypeError,
        "w has dtype float64, but must have the dtype of",
    ),
    (
        "dense_backward_input",
        (f32(2, 4), f32(4, 3)),
        ValueError,
        r"dout has shape \(2, 4\), but must have the output's",
    ),
    ("dense_backward_input", (f32(2), f32(4, 3)), ValueError, r"dout has shape \(2,\), but must have the two"),
    (
        "dense_backward_params",
        (f32(2, 3), f32(3, 4)),
        ValueError,
        r"dout has shape \(2, 3\), but must have the output's",
    ),
    (
        "dense_backward_params",
        (np.ones((2, 3)), f32(2, 4)),
        TypeError,
        "dout has dtype float64, but must have the dtype",
    ),
    ("dropout", (f32(4), f32(4), 0.5), TypeError, "kept is float32, but must be a NumPy array of bool"),
    ("dropout", (f32(4), [True] * 4, 0.5), TypeError, "kept is list, but must be a NumPy array of bool"),
    ("dropout", (f32(3), KEPT, 0.5), ValueError, r"kept has shape \(4,\), but must have the shape of x, \(3,\)"),
    ("dropout", (f32(4), KEPT, 1.0), ValueError, "rate is 1.0, but must be at least 0 and below 1"),
    ("dropout_mask", ((3, -1), 0.5, 0), ValueError, "shape is -1, but must be an int >= 0"),
    ("dropout_mask", ((3,), 1.5, 0), ValueError, r"rate is 1\.5, but must be at least 0 and below 1"),
    ("dropout_mask", ((3,), 0.5, -1), ValueError, "seed is -1, but must be an int >= 0"),
    ("dropout_mask", ((3,), 0.5, 1 << 63), ValueError, r"seed is 9223372036854775808, but must be below 2\^63"),
    ("momentum_step", ([1], f32(3), f32(3), 1, 0, 0), TypeError, "w is a list, but must be a NumPy array"),
    (
        "momentum_step",
        (f32(3), np.ones(3), f32(3), 1, 0, 0),
        TypeError,
        "v has dtype float64, but must have the dtype of",
    ),
    (
        "momentum_step",
        (f32(3), f32(3), f32(2), 1, 0, 0),
        ValueError,
        r"dw has shape \(2,\), but must have the shape of w",
    ),
    (
        "momentum_step",
        (f32(3), f32(6)[::2], f32(3), 1, 0, 0),
        ValueError,
        "v is strided or read-only, but must be C-con",
    ),
    ("momentum_step", (READ_ONLY, f32(4), f32(4), 1, 0, 0), ValueError, "w is strided or read-only, but must be C-con"),
    ("softmax_cross_entropy", (f32(4), np.array([0])), ValueError, r"logits has shape \(4,\), but must have the two"),
    (
        "softmax_cross_entropy",
        (f32(2, 3), np.array([0, 3])),
        ValueError,
        "labels has 3, but must have numbers from 0 to 2",
    ),
    (
        "softmax_cross_entropy",
        (f32(2, 3), np.array([-1, 0])),
        ValueError,
        "labels has -1, but must have numbers from 0",
    ),
    (
        "softmax_cross_entropy",
        (f32(2, 3), np.array([0])),
        ValueError,
        r"labels has shape \(1,\), but must have one number",
    ),
    (
        "softmax_cross_entropy",
        (f32(2, 3), np.array([0.0, 1])),
        TypeError,
        "labels is float64, but must be a NumPy array",
    ),
    ("softmax_cross_entropy", (f32(2, 3), [0, 1]), TypeError, "labels is list, but must be a NumPy array of integers"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "message"), REFUSED)
def test_bad_input_is_refused_in_one_sentence(backend, name, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        getattr(load(backend), name)(*arguments)
    assert "\n" not in str(caught.value)


def imports_of(path):
    """The package's modules that the file imports, as dotted names relative to the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level]
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join((*base, module)) for module in modules)


def test_data_flows_one_way():
    """Nothing below imports from above, the command lines last; and every module has its place in the order."""
    order = ["geometry", "files", "console", "command", "machine", "kernels", "layers", "losses", "network", "alexnet"]
    order += ["gradcheck", "images", "breakdown", "peers", "versus", "plots", "training", "weights", "benchmark"]
    order += ["__init__", "__main__"]
    assert {path.stem for path in PACKAGE.iterdir() if path.stem not in ("py", "__pycache__")} == set(order)
    checked = 0
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).with_suffix("").parts[0]
        for imported in imports_of(path):
            top = imported.split(".")[0]
            if top == "__version__":
                continue
            checked += 1
            assert order.index(top) <= order.index(own), f"{path} imports {imported}"
            if own == "gradcheck":
                pytest.fail(f"gradcheck stands alone, but imports {imported}")
    assert checked > 20


def test_importing_the_package_compiles_nothing_and_knows_no_gpu():
    script = (
        "import sys, tinyalexnet.benchmark\n"
        "assert 'numba' not in sys.modules, 'numba was imported'\n"
        "from tinyalexnet.kernels import cpu\n"
        "from numba.core.dispatcher import Dispatcher\n"
        "found = [value for module in list(sys.modules.values()) if module.__name__.startswith('tinyalexnet')\n"
        "         for value in vars(module).values() if isinstance(value, Dispatcher)]\n"
        "assert found and not any(value.overloads for value in found), 'something was compiled'\n"
        "assert 'numba.cuda' not in sys.modules, 'numba.cuda was imported'\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_DISABLE_JIT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_one_set_of_fastmath_flags_and_no_licence_to_drop_nan():
    from tinyalexnet.kernels.cpu.runtime import FASTMATH

    assert not FASTMATH & {"fast", "nnan", "ninf"}
    for path in (PACKAGE / "kernels").rglob("*.py"):
        if path.name != "runtime.py":
            assert "fastmath" not in path.read_text()
