"""Machine code on disk: what its file's name depends on, and files and folders that are not as they should be."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from tinyalexnet.devices.cuda import cubins
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d.winograd.choice import choose_tile

ROOT = Path(__file__).parents[2]
GPU = SimpleNamespace(version="13.0", capability=(9, 0))
FLOATS, DOUBLES = (numba.types.Array(kind, 1, "C") for kind in (numba.float32, numba.float64))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYALEXNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def place(function, bounds=None, types=(FLOATS,), gpu=GPU):
    return cubins.place(function, bounds, types, gpu)


def made(constant, called=None, table=()):
    """A kernel of a factory: the same lines each time."""

    def kernel(x):
        x[0] = called(x[0] + constant) + table[0]

    return kernel


def doubled(value):
    return 2 * value


def twice(value):
    return 3 * value


# --- the name ---------------------------------------------------------------------------------------------------------


def test_the_same_kernel_has_the_same_file(cache):
    """Also if it is made anew, as in another process."""
    found = {place(made(4, doubled, (1, 2))) for _ in range(3)}
    assert len(found) == 1
    (path,) = found
    assert path.parent == cache
    assert path.name.startswith("kernel-")
    assert path.suffix == ".cubin"


def as_device_function(function):
    """As Numba wraps it."""
    return SimpleNamespace(py_func=function)


def of_text(text):
    names = {"np": np}
    exec(text, names)
    return names["f"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (made(4), made(5)),
        (made(4), made(4.0)),
        (made(4, doubled), made(4, twice)),
        (made(4, as_device_function(doubled)), made(4, as_device_function(twice))),
        (made(4, made(1)), made(4, made(2))),
        (made(4, made(1, doubled)), made(4, made(1, twice))),
        (made(4, table=(1, 2)), made(4, table=(1, 3))),
        (made(4, table=(1, 2)), made(4, table=[1, 2])),
        (made(4, table=((1, 2), 3)), made(4, table=(1, (2, 3)))),
        (made(4, table=np.arange(3)), made(4, table=np.arange(3) + 1)),
        (made(4, table=np.arange(4)), made(4, table=np.arange(4).reshape(2, 2))),
        (made(4, table=np.float32([0, 1])), made(4, table=np.float64([0, 1]))),
        (made(4, table=np.arange(5000)), made(4, table=np.arange(5000) + (np.arange(5000) == 2500))),
        (of_text("def f(x): x[0] = 1"), of_text("def f(x): x[0] = 2")),
        (of_text("def f(x): x[0] = np.sin(x[0])"), of_text("def f(x): x[0] = np.cos(x[0])")),
        (of_text("c = 1\ndef f(x): x[0] = c"), of_text("c = 2\ndef f(x): x[0] = c")),
        (of_text("def g(y): return 1\ndef f(x): x[0] = g(x)"), of_text("def g(y): return 2\ndef f(x): x[0] = g(x)")),
        (of_text("def f(x): x[0] = (lambda: 1)()"), of_text("def f(x): x[0] = (lambda: 2)()")),
    ],
)
def test_what_a_kernel_refers_to_changes_its_file(one, other):
    assert place(one) == place(one)
    assert place(one) != place(other)


def test_functions_that_call_each_other():
    function = of_text("def g(n): return f(n)\ndef f(n): return g(n)")
    assert place(function) == place(function)


def test_types_bounds_driver_and_architecture_change_the_file():
    kernel = made(4)
    places = [
        place(kernel),
        place(kernel, types=(DOUBLES,)),
        place(kernel, types=(FLOATS, FLOATS)),
        place(kernel, types=(numba.types.Array(numba.float32, 2, "C"),)),
        place(kernel, bounds=(128, 2)),
        place(kernel, bounds=(128, 1)),
        place(kernel, gpu=SimpleNamespace(version="12.4", capability=(9, 0))),
        place(kernel, gpu=SimpleNamespace(version="13.0", capability=(8, 0))),
    ]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("package", ["numba", "numba-cuda", "llvmlite"])
def test_versions_change_the_file(monkeypatch, package):
    kernel = made(4)
    before = place(kernel)
    known = cubins._version
    monkeypatch.setattr(cubins, "_version", lambda name: "99" if name == package else known(name))
    cubins._circumstances.cache_clear()
    after = place(kernel)
    monkeypatch.undo()
    cubins._circumstances.cache_clear()
    assert after.name != before.name
    assert place(kernel).name == before.name


def test_a_package_that_is_missing_has_no_version():
    assert cubins._version("numpy") == np.__version__
    assert cubins._version("no-such-package") is None


def all_made(*factories):
    """The kernels of factories, each given as a module of the package, its function, and lists of arguments."""
    for module, factory, *given in factories:
        make = getattr(importlib.import_module(f"tinyalexnet.{module}"), factory)
        for arguments in given:
            kernels = make(*arguments)
            yield from kernels if isinstance(kernels, tuple) else [kernels]


def test_kernels_of_one_factory_have_different_files():
    """Each factory of the package, with several constants, and every Winograd tile of the network."""
    float32 = np.dtype("float32")
    windows = [Window(size, 1, "SAME") for size in (3, 5)]
    tiles = tuple(choose_tile("winograd", "cuda", (2, 13, 13, 4), 4, window, 1, float32) for window in windows)
    kinds = [(True, False, False), (True, False, True), (False, False, False), (True, True, False)]
    sizes = [((3, 3), (2, 2), False), ((3, 3), (2, 2), True), ((2, 2), (2, 2), False), ((2, 3), (2, 2), False)]
    kernels = list(
        all_made(
            ("ops.conv2d.cuda", "_gather", (1,), (4,)),
            ("ops.avgpool.cuda", "_kernels", (1,), (4,)),
            ("ops.lrn.cuda", "_forward_by_four", (1,), (2,)),
            ("ops.maxpool.cuda", "_unrolled_forward", *sizes),
            ("ops.maxpool.cuda", "_unrolled_backward", ((3, 3), (2, 2)), ((3, 3), (3, 3)), ((2, 2), (2, 2))),
            ("devices.cuda.reduction", "_column_sums", (True,), (False,)),
            ("devices.cuda.tensor_gemm", "product", *kinds, (*kinds[0], "tf32"), (*kinds[0], "float32", False)),
            (
                "ops.conv2d.winograd.cuda.transforms",
                "_transform_kernel",
                *(
                    (name, some, float32)
                    for name in ("bt", "g", "at", "a", "gt")
                    for some in (tiles, tiles[:1], tiles[1:])
                ),
            ),
        )
    )
    assert len(kernels) == 2 + 4 + 2 + 4 + 3 + 2 + 6 + 15
    assert len({place(kernel.py_func, kernel.bounds) for kernel in kernels}) == len(kernels)


# --- the folder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TINYALEXNET_CACHE": "/here"}, "/here"),
        ({"TINYALEXNET_CACHE": "/here", "XDG_CACHE_HOME": "/there"}, "/here"),
        ({"XDG_CACHE_HOME": "/there"}, "/there/tinyalexnet"),
        ({"LOCALAPPDATA": "/local"}, "/local/tinyalexnet"),
        ({"TINYALEXNET_CACHE": ""}, "/home/.cache/tinyalexnet"),
    ],
)
def test_the_folder(monkeypatch, variables, expected):
    monkeypatch.setattr(Path, "home", lambda: Path("/home"))
    for name in ("TINYALEXNET_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cubins.folder() == Path(expected)


# --- the content ------------------------------------------------------------------------------------------------------

CODE = bytes(range(256)) * 3


def test_what_was_written_is_read(cache):
    path = place(made(4))
    assert cubins.read(path) is None
    cubins.write(path, "entry", CODE)
    assert cubins.read(path) == ("entry", CODE)
    cubins.write(path, "other", CODE[::-1])
    assert cubins.read(path) == ("other", CODE[::-1])
    assert os.listdir(cache) == [path.name]


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 33, 40, -1])
def test_half_a_file_is_none(cut):
    path = place(made(4))
    cubins.write(path, "entry", CODE)
    path.write_bytes(path.read_bytes()[:cut])
    assert cubins.read(path) is None


@pytest.mark.parametrize("at", [0, 31, 32, 40, -1])
def test_a_damaged_file_is_none_and_is_replaced(at):
    path = place(made(4))
    cubins.write(path, "entry", CODE)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert cubins.read(path) is None
    cubins.write(path, "entry", CODE)
    assert cubins.read(path) == ("entry", CODE)


def test_a_folder_that_cannot_be_written_to_keeps_nothing(cache):
    """Here because it is a file; to the administrator every folder is open."""
    cache.write_text("a file")
    path = place(made(4))
    cubins.write(path, "entry", CODE)
    assert cubins.read(path) is None
    assert cache.read_text() == "a file"


def test_a_file_that_cannot_be_replaced_is_left(cache):
    path = place(made(4))
    path.mkdir(parents=True)
    cubins.write(path, "entry", CODE)
    assert cubins.read(path) is None
    assert os.listdir(cache) == [path.name]


# --- processes --------------------------------------------------------------------------------------------------------

SCRIPT = """
import numpy as np
from tinyalexnet import to_device, to_host
from tinyalexnet.devices import device
from tinyalexnet.ops.relu import relu_forward

with device("cuda").report_compilation(lambda name: None, lambda seconds: None) as names:
    out = to_host(relu_forward(to_device(np.float32([-1, 2, 3, -4])), backend="cuda"))
print(*names, out.tolist())
"""


@pytest.mark.cuda
def test_a_second_process_compiles_nothing(cache, request, tmp_path):
    """If the file is damaged it compiles, and if there can be none it compiles each time."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    emulator = [str(ROOT / "tests" / "gpu" / "emulator.py")] if request.config.getoption("--emulated-gpu") else []

    def output():
        command = [sys.executable, *emulator, str(script)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    right = "[0.0, 2.0, 3.0, 0.0]"
    assert output() == f"relu.forward {right}"
    assert output() == right
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert output() == f"relu.forward {right}"
    (file,) = cache.iterdir()
    file.unlink()
    cache.rmdir()
    cache.write_text("a file, so no folder")
    assert output() == f"relu.forward {right}"
