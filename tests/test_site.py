"""The site of the pages: each has its place, its links lead to pages or to code, and docstrings lose nothing."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

SITE = Path(__file__).parents[1] / "docs" / "site"
ROOT = SITE.parents[1]


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"site_{name}", SITE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = loaded("pages")
NAMES = pages.page_names()


def test_every_page_has_one_name_and_one_place_in_the_contents():
    files = {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")}
    assert set(NAMES) == files
    assert len({*NAMES.values()}) == len(NAMES)
    placed = [name for group in pages.GROUPS.values() for name in group]
    assert len(placed) == len({*placed})
    assert {*placed} == {*NAMES.values(), *(f"api/{page}" for page in ("operations", *pages.API))} - {"index"}


@pytest.mark.parametrize(
    ("page", "link", "staged"),
    [
        ("docs/relu.md", "dropout.md#backward", "/dropout.md#backward"),
        ("docs/relu.md", "../README.md#the-map", "/index.md#the-map"),
        ("docs/ladder/README.md", "../conv2d.md", "/conv2d.md"),
        ("docs/map.md", "ladder/README.md", "/ladder.md"),
        ("README.md", "docs/pictures/one_window.svg", "/docs/pictures/one_window.svg"),
        ("docs/ladder/README.md", "plain.py", "source:docs/ladder/plain.py"),
        ("docs/relu.md", "../tinyalexnet/ops/relu/cpu.py", "source:tinyalexnet/ops/relu/cpu.py"),
        ("docs/map.md", "../tests", "source:tests"),
        ("README.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("docs/relu.md", "#backward", "#backward"),
        ("docs/relu.md", "nothing.md", "nothing.md"),
        ("docs/relu.md", "../../elsewhere.md", "../../elsewhere.md"),
    ],
)
def test_a_link_leads_to_a_page_or_to_code_and_a_broken_one_stays(tmp_path, monkeypatch, page, link, staged):
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: f"# T\n\nsee [`a`]({link}), x[i](y)")
    assert pages.staged(ROOT / page, NAMES) == f"# T\n\nsee [`a`]({staged}), x[i](y)"


def test_a_page_without_a_title_gets_its_name():
    assert pages.staged(ROOT / "docs" / "gpu_h100.md", NAMES).startswith("# gpu_h100\n\nNVIDIA")


def test_the_page_of_the_explorer_has_one_before_its_first_section():
    text = pages.with_explorer(pages.staged(ROOT / "docs" / "explorer.md", NAMES))
    assert text.startswith("# The explorer\n")
    assert [*re.findall(r"^## .*$", text, re.MULTILINE)][:2] == ["## A small one to try", "## What it shows"]
    assert 'src="explorer_page.html"' in text.partition("## What it shows")[0]


def test_all_linked_files_are_shown_and_what_is_in_linked_folders():
    found = {path.relative_to(ROOT).as_posix() for path in pages.sources(NAMES)}
    assert {"docs/ladder/plain.py", "tinyalexnet/ops/maxpool", "tinyalexnet/ops/maxpool/terms.py", "tests"} < found
    linked = {match for path in NAMES for match in re.findall(r"\(source:([^)#]+)", pages.staged(path, NAMES))}
    assert len(linked) > 100
    assert linked <= found
    assert not [name for name in found if "__pycache__" in name or name.endswith((".md", ".png"))]


def test_a_docstring_has_its_sections_as_fields_and_its_formulas_as_written():
    doc = """The sum of x_, see ``a_b`` and docs/own_layer.md.

        More *words*.

    Math
        out[n] = Σ_k x[n,k] * w_k
                 for all n

        over the x_ inside; a = b.
    Errors
        ValueError if | is in it.
    """
    assert pages.restructured(doc) == (
        "The sum of x\\_, see ``a_b`` and :doc:`/own_layer`.\n\n::\n\n        More *words*.\n\n"
        ":Math:\n    ::\n\n        out[n] = Σ_k x[n,k] * w_k\n                 for all n\n\n"
        "    over the x\\_ inside; a = b.\n\n"
        ":Errors:\n    ValueError if \\| is in it."
    )


def test_types_are_those_of_the_source():
    from tinyalexnet import Conv2d
    from tinyalexnet.ops.maxpool import argmax_dtype

    assert pages.signature(argmax_dtype) == ("(window: Window)", "np.dtype")
    parameters, returned = pages.signature(Conv2d)
    assert parameters.startswith(
        "(in_channels: int, out_channels: int, kernel_size: int | Pair, stride: int | Pair=1, "
    )
    assert returned is None
    assert pages.signature(len) is pages.signature(3) is None


def test_the_reference_has_every_operation_with_its_functions():
    texts = pages.api_pages()
    for operation in pages.OPERATIONS:
        assert f"/api/{operation}\n" in texts["api/operations"]
        assert f".. autofunction:: tinyalexnet.ops.{operation}." in texts[f"api/{operation}"]
    assert ".. autoclass:: tinyalexnet.layers.Conv2d\n" in texts["api/network"]
    assert ".. autofunction:: tinyalexnet.gradcheck.diagnose\n" in texts["api/checking"]


def test_without_sphinx_one_line_says_what_is_missing(tmp_path):
    script = f"import sys, runpy\nsys.modules['sphinx'] = None\nsys.argv = ['build.py', {str(tmp_path / 'out')!r}]\n"
    script += f"runpy.run_path({str(SITE / 'build.py')!r}, run_name='__main__')\n"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "build.py: the site needs the extra docs: pip install -e '.[docs]'\n"
    assert not (tmp_path / "out").exists()
