"""The rules of the house: every operation alike, imports one way, and nothing too long to read."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import tinyalexnet
from tinyalexnet.devices import BACKENDS

PACKAGE = Path(tinyalexnet.__file__).parent
ROOT = PACKAGE.parent
OPS = sorted(path.parent.name for path in (PACKAGE / "ops").glob("*/__init__.py"))

ORDER = (
    *(
        "interrupts",
        "geometry",
        "files",
        "console",
        "command",
        "completion",
        "strategies",
        "devices",
        "ops",
        "images",
        "layers",
        "losses",
        "recorded",
        "captured",
    ),
    *(
        "network",
        "tracing",
        "alexnet",
        "bestiary",
        "gradcheck",
        "__init__",
        "plots",
        "parallel",
        "training",
        "weights",
        "benchmark",
        "dojo",
        "explorer",
        "warm",
        "__main__",
    ),
)
"""A file imports of the package only what stands before it here."""


def relative(path):
    """A file of the package, as the parts of its name without the suffix."""
    return path.relative_to(PACKAGE).with_suffix("").parts


FILES = sorted(PACKAGE.rglob("*.py"))
PEERS = [path for path in FILES if "peers" in relative(path)]
"""Programs for processes of their own, with the names of the devices of other frameworks."""

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(relative(path)))


@cache
def tree(path):
    return ast.parse(path.read_text())


# --- the operations ---------------------------------------------------------------------------------------------------


def own_functions(module):
    """The public functions that a module defines."""
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }


def public_functions(operation):
    """Those that choose a backend: the documented ones. The others are rules, of shapes or of options."""
    functions = own_functions(import_module(f"tinyalexnet.ops.{operation}"))
    return {name: f for name, f in functions.items() if "backend" in inspect.signature(f).parameters}


def parameters_of(function):
    return list(inspect.signature(function).parameters)


def positional_parameters_of(function):
    """Without what came later, which is given by name alone."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]


PUBLIC = [(operation, name) for operation in OPS for name in public_functions(operation)]


def test_every_operation_has_public_functions():
    assert {operation for operation, _ in PUBLIC} == set(OPS)
    assert len(OPS) > 5


OF_ONE = {"momentum_step"}
"""Public functions that are another one for a single parameter, and have no code of their own."""


@pytest.mark.parametrize("operation", OPS)
def test_backends_have_the_functions_of_the_operation(operation):
    """Under the same names and with the same parameters, but for those that the checks use up."""
    public = public_functions(operation)
    found = {}
    for backend in BACKENDS:
        module = import_module(f"tinyalexnet.ops.{operation}.{backend}")
        assert set(own_functions(module)) == set(public) - OF_ONE
        found[backend] = {name: parameters_of(function) for name, function in own_functions(module).items()}
    assert found["reference"] == found["cpu"] == found["cuda"]
    for name, function in public.items():
        assert positional_parameters_of(function)[-1] == "backend"
        if name in OF_ONE:
            continue
        assert inspect.signature(function).parameters["backend"].default == "cpu"
        known = {"threshold": "dropout_mask", "numbers": "dropout_mask"}
        unknown = set(found["cpu"][name]) - set(parameters_of(function))
        assert all(known.get(parameter) == name for parameter in unknown), unknown


def test_winograd_has_the_functions_of_the_convolution():
    for backend in BACKENDS:
        functions = own_functions(import_module(f"tinyalexnet.ops.conv2d.winograd.{backend}"))
        direct = own_functions(import_module(f"tinyalexnet.ops.conv2d.{backend}"))
        assert set(functions) == set(direct)
        for name, function in functions.items():
            # ``limits``, which have a default, are for tests.
            expected = [*parameters_of(direct[name]), "tile"]
            assert [p for p in parameters_of(function) if p != "limits"] == expected


@pytest.mark.parametrize(("operation", "name"), PUBLIC)
def test_public_functions_document_math_shapes_errors_cost_and_source(operation, name):
    doc = inspect.getdoc(public_functions(operation)[name])
    assert re.findall(r"^(\w+)$", doc, flags=re.MULTILINE) == ["Math", "Shapes", "Errors", "Cost", "Source"]
    pages = re.findall(r"docs/\w+\.md", doc)
    assert pages
    assert all((ROOT / page).exists() for page in pages)


@pytest.mark.parametrize("operation", OPS)
def test_an_operation_names_its_page_and_its_tests(operation):
    doc = import_module(f"tinyalexnet.ops.{operation}").__doc__
    assert f"docs/{operation}.md" in doc
    assert f"tests/ops/test_{operation}.py" in doc
    for file in re.findall(r"(?:docs|tests)/[\w/]+\.\w+", doc):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("folder", [*OPS, "conv2d.winograd"])
@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_compiled_code_documents_its_schedule(folder, backend):
    for function in own_functions(import_module(f"tinyalexnet.ops.{folder}.{backend}")).values():
        assert "Schedule" in inspect.getdoc(function)


# --- imports ----------------------------------------------------------------------------------------------------------


def imports_of(path, everywhere=True):
    """The package's modules that a file imports, as names with dots; those inside functions only if ``everywhere``."""
    parts = relative(path)
    nodes = ast.walk(tree(path)) if everywhere else tree(path).body
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level]
            module = ".".join((*base, *(node.module or "").split("."))).strip(".")
            found = [inner for alias in node.names if (inner := module_file(f"{module}.{alias.name}".strip(".")))]
            yield from found or [module_file(module)]


def module_file(name):
    """The file of a module of the package; None if there is none."""
    path = PACKAGE.joinpath(*name.split("."))
    files = [path.with_suffix(".py"), path / "__init__.py"] if name else [PACKAGE / "__init__.py"]
    return next((file for file in files if file.exists()), None)


def test_every_module_has_its_place():
    found = {path.stem for path in PACKAGE.iterdir() if path.stem not in ("py", "__pycache__")}
    assert found == set(ORDER)


@by_file
def test_imports_go_one_way(path):
    own = ORDER.index(relative(path)[0])
    for imported in imports_of(path):
        assert ORDER.index(relative(imported)[0]) <= own, f"imports {imported}"
    if relative(path)[0] in ("interrupts", "geometry", "files"):
        assert not list(imports_of(path)), "stands alone"


def test_no_module_imports_itself_by_way_of_others():
    done, path = set(), []

    def visit(file):
        assert file not in path, " -> ".join("/".join(relative(one)) for one in [*path, file])
        if file not in done:
            path.append(file)
            for imported in imports_of(file, everywhere=False):
                if imported != file:
                    visit(imported)
            path.pop()
            done.add(file)

    for file in FILES:
        visit(file)
    assert len(done) > 50


@by_file
def test_one_folder_knows_numbas_cuda(path):
    imported = [node for node in ast.walk(tree(path)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [
        f"{node.module or ''}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        for node in imported
        if not getattr(node, "level", 0)
        for alias in node.names
    ]
    knows = [name for name in names if name.startswith("numba.cuda")]
    assert not knows or relative(path)[:2] == ("devices", "cuda"), knows


def test_importing_compiles_nothing_and_knows_no_gpu():
    modules = [".".join(relative(path)).removesuffix(".__init__") for path in FILES if path not in PEERS]
    light = [name for name in modules if "cpu" not in name and "cuda" not in name and name != "__main__"]
    cpu = [name for name in modules if "cpu" in name]
    script = (
        "import sys\n"
        "from importlib import import_module\n"
        f"for name in {light}: import_module('tinyalexnet.' + name if name != '__init__' else 'tinyalexnet')\n"
        "assert 'numba' not in sys.modules, 'numba was imported'\n"
        f"for name in {cpu}: import_module('tinyalexnet.' + name)\n"
        "from numba.core.dispatcher import Dispatcher\n"
        "found = [value for module in list(sys.modules.values()) if module.__name__.startswith('tinyalexnet')\n"
        "         for value in vars(module).values() if isinstance(value, Dispatcher)]\n"
        "assert len(found) > 20 and not any(value.overloads for value in found), 'something was compiled'\n"
        "assert 'numba.cuda' not in sys.modules, 'numba.cuda was imported'\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_DISABLE_JIT": "0", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


# --- one place for each decision --------------------------------------------------------------------------------------


def test_one_place_with_fastmath_flags():
    """Which sets none: products are fused with additions where the source calls for it (``vectors.Vector``)."""
    with_flags = [path for path in FILES if "fastmath" in path.read_text()]
    assert with_flags == [PACKAGE / "devices" / "cpu" / "compiler.py"]


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if relative(path)[0] != "devices" and path not in PEERS],
    ids=lambda path: "/".join(relative(path)),
)
def test_only_devices_tell_backends_apart(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare):
            compared = [ast.unparse(side) for side in (node.left, *node.comparators)]
            assert not set(compared) & set(map(repr, BACKENDS)), ast.unparse(node)


@by_file
def test_layers_are_asked_and_not_told_apart(path):
    assert "isinstance(layer" not in path.read_text().replace("isinstance(layer, Layer)", "")


# --- sizes ------------------------------------------------------------------------------------------------------------


@by_file
def test_a_file_is_short_enough_to_read(path):
    assert len(path.read_text().splitlines()) <= 350


@by_file
def test_a_function_is_short_enough_to_read(path):
    """60 lines, and ten arguments; constructors of layers have an argument for each option."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
            arguments = node.args
            count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
            is_layer = relative(path)[0] == "layers" and node.name == "__init__"
            assert count <= 10 or is_layer, node.name


def test_the_modules_of_tests_and_of_the_ladder_have_names_of_their_own():
    """pytest imports them all by their last name, so that a second one of a name stops the whole run."""
    paths = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "docs" / "ladder").glob("*.py"), *(ROOT / "docs").glob("*.py")]
    names = [
        path.name for path in paths if "solutions" not in path.parts and path.name not in ("__init__.py", "conftest.py")
    ]
    assert len(names) > 100
    assert {name for name in names if names.count(name) > 1} == set()
