"""The pictures of docs/pictures: drawn by today's package, valid, readable, shown by a page, and right."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import loops
import numpy as np
import pytest

from tinyalexnet import alexnet
from tinyalexnet.ops.conv2d.winograd.cpu.plan import Limits

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
# At the end, as for the ladder: no file there hides another module.
sys.path.append(str(PICTURES))
canvas, draw, machines, winograd_cpu = map(importlib.import_module, ("canvas", "draw", "machines", "winograd_cpu"))

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
SVG = "{http://www.w3.org/2000/svg}"
by_name = pytest.mark.parametrize("name", draw.PICTURES)


def drawn(name):
    return (PICTURES / f"{name}.svg").read_text(encoding="utf-8")


def arrays(name):
    """The numbers in the cells of a picture, as arrays by name."""
    found = canvas.read_arrays(drawn(name))
    as_number = lambda text: float(Fraction(text.replace("−", "-")))  # noqa: E731
    return {key: np.array([[as_number(text) for text in row] for row in rows]) for key, rows in found.items()}


# --- the files --------------------------------------------------------------------------------------------------------


def test_every_file_has_a_function_that_draws_it():
    assert {path.stem for path in PICTURES.glob("*.svg")} == set(draw.PICTURES)


@by_name
def test_a_file_is_what_the_script_draws(name):
    written = (PICTURES / f"{name}.svg").read_bytes()
    assert written == draw.PICTURES[name]().encode(), f"python docs/pictures/draw.py {name}"


def test_the_script_draws_what_it_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(draw, "FOLDER", tmp_path)
    assert draw.main(["scatter"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["scatter.svg"]
    assert (tmp_path / "scatter.svg").read_bytes() == (PICTURES / "scatter.svg").read_bytes()
    assert draw.main(["nothing"]) == 2
    assert capsys.readouterr().err.startswith("nothing is not a picture; there are scatter, ")
    assert draw.main([]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == set(draw.PICTURES)


@by_name
def test_a_file_is_valid_and_stands_alone(name):
    root = ElementTree.fromstring(drawn(name))
    assert root.tag == f"{SVG}svg"
    assert len(root.findtext(f"{SVG}title")) > 10
    assert len(root.findtext(f"{SVG}desc")) > 60
    assert re.fullmatch(r"0 0 \d+ [\d.]+", root.get("viewBox"))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "defs", "marker", "pattern", "g", "rect", "path", "line", "text"}
    text = drawn(name)
    assert text.count("http") == 1  # the name of SVG itself
    for word in ("href", "@import", "onload"):
        assert word not in text
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {"#hatch", "#plain-tip", "#forward-tip", "#gradient-tip"}


@by_name
def test_every_class_has_a_style_and_no_text_is_small(name):
    root = ElementTree.fromstring(drawn(name))
    used = {word for element in root.iter() for word in (element.get("class") or "").split()}
    assert used
    for word in used:
        assert re.search(rf"\.{word}[ ,]", canvas.STYLE), word
    prose = [element for element in root.iter(f"{SVG}text") if "mono" not in (element.get("class") or "")]
    assert min(float(element.get("font-size")) for element in prose) >= 14


def colours(style):
    """Fill and stroke of each class."""
    rules = re.findall(r"^ *([^{}@\n]+) \{ ([^}]*) \}", style, flags=re.MULTILINE)
    found = {}
    for names, body in rules:
        for one in names.split(", "):
            found.setdefault(one, {}).update(re.findall(r"(fill|stroke): (#\w{6})", body))
    return found


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


def contrast(one, other):
    """WCAG 2.2: the ratio of two luminances, from 1 to 21; text needs 4.5, borders 3."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


LIGHT, DARK = canvas.STYLE.split("@media (prefers-color-scheme: dark)")


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_borders_can_be_read(dark):
    style = colours(LIGHT)
    if dark:
        for name, changed in colours(DARK).items():
            style[name] = {**style[name], **changed}
        assert set(style) == set(colours(LIGHT))
    back = style[".back"]["fill"]
    for cell in (".plain", ".forward", ".gradient", ".weight"):
        assert contrast(style["text"]["fill"], style[cell]["fill"]) >= 7
        assert contrast(style[cell]["stroke"], back) >= 3
    for text in ("text", ".soft", "text.forward", "text.gradient"):
        assert contrast(style[text]["fill"], back) >= 4.5
    assert contrast(style[".soft"]["fill"], style[".ghost"]["fill"]) >= 4.5
    for line in (".plain-line", ".forward-line", ".gradient-line", ".frame", ".forward-frame", ".gradient-frame"):
        assert contrast(style[line]["stroke"], back) >= 3


# --- the pages --------------------------------------------------------------------------------------------------------

SHOWN = [
    (page, alt, page.parent / link)
    for page in PAGES
    for alt, link in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
]


@by_name
def test_a_page_shows_the_picture_and_says_what_it_shows(name):
    texts = [alt for _, alt, path in SHOWN if path.resolve() == PICTURES / f"{name}.svg"]
    assert texts
    for alt in texts:
        assert len(alt.split()) >= 15
        assert alt.endswith(".")


def test_a_page_with_pictures_says_how_they_are_drawn():
    pages = {page for page, _, path in SHOWN if path.parent.resolve() == PICTURES} - {ROOT / "README.md"}
    assert len(pages) > 5
    for page in pages:
        assert page.read_text(encoding="utf-8").count("`python docs/pictures/draw.py`") == 1, page.name


# --- the numbers ------------------------------------------------------------------------------------------------------


def image(matrix):
    return matrix[None, :, :, None]


def passes(x, w, dout, stride=1, pads=((0, 0), (0, 0))):
    """out, dx and dw of one channel and one filter, by the plain loops of the tests."""
    filters = w[:, :, None, None]
    out = loops.conv2d_forward(image(x), filters, np.zeros(1), (stride, stride), pads, 1, dout.shape)
    dx, dw, _ = loops.conv2d_backward(image(x), filters, image(dout), (stride, stride), pads, 1)
    return out[0, :, :, 0], dx[0, :, :, 0], dw[:, :, 0, 0]


def test_one_window_and_its_three_equal_sums():
    a = arrays("one_window")
    out, dx, dw = passes(a["x"], a["w"], a["dout"])
    assert np.array_equal(a["out"], out)
    assert np.array_equal(a["dx"], dx)
    assert np.array_equal(a["dw"], dw)
    value = (a["out"] * a["dout"]).item()
    assert drawn("one_window").count(f"⟩ = {value:g}<") == 3


def test_the_shares_of_the_outputs_add_up_to_dx():
    a = arrays("scatter")
    shares = [a[f"share{oh}{ow}"] for oh in range(2) for ow in range(2)]
    assert np.array_equal(sum(shares), a["dx"])
    assert np.array_equal(a["dx"], passes(np.zeros((4, 4)), a["w"], a["dout"])[1])
    assert all((part[1, 1] != 0) for part in shares)


def test_the_turned_kernel_gathers_dx():
    a = arrays("turned_kernel")
    assert np.array_equal(a["turned"], np.rot90(a["w"], 2))
    dx = passes(np.zeros((5, 5)), a["w"], a["dout"])[1]
    assert f">= {(a['turned'] * a['dout']).sum():g}<" in drawn("turned_kernel")
    assert dx[2, 2] == (a["turned"] * a["dout"]).sum()
    assert all(np.array_equal(a[f"window{k}"], a["w"]) for k in range(3))


def test_zeros_between_and_the_turned_kernel_give_dx():
    a = arrays("zeros_at_stride_2")
    assert np.array_equal(a["spread"][::2, ::2], a["dout"])
    assert np.array_equal(a["padded"], np.pad(a["spread"], 2))
    assert np.array_equal(a["dx"], passes(np.zeros((5, 5)), np.rot90(a["turned"], 2), a["dout"], 2)[1])
    assert np.array_equal(a["dx"], passes(a["padded"], a["turned"], a["dx"])[0])


def test_the_spread_dout_runs_over_x_and_gives_dw():
    a = arrays("dw_at_stride_2")
    assert np.array_equal(a["dw"], passes(a["x"], np.zeros((3, 3)), a["dout"], 2)[2])
    assert np.array_equal(a["dw"], passes(a["x"], a["spread"], a["dw"])[0])


def test_windows_are_counted():
    a = arrays("padding_and_stride")
    for name, pads, outputs in [("VALID", (0, 0), (2, 2)), ("SAME", (0, 1), (3, 3))]:
        counts = passes(np.zeros((6, 6)), np.ones((3, 3)), np.ones(outputs), 2, (pads, pads))[1]
        assert np.array_equal(a[f"counts_{name}"], np.pad(counts, (pads, pads)))
    assert (a["counts_VALID"][5] == 0).all()


def test_groups_are_blocks_of_a_matrix():
    a = arrays("groups")
    w = a["w"]
    blocks = np.block([[w[:, :3], np.zeros((2, 3))], [np.zeros((2, 3)), w[:, 3:]]])
    assert np.array_equal(a["matrix"], blocks)
    assert np.array_equal(a["out"], a["x"].T @ blocks)


def test_im2col_and_col2im():
    a = arrays("im2col")
    windows = np.lib.stride_tricks.sliding_window_view(a["x"], (2, 2)).reshape(4, 4)
    assert np.array_equal(a["cols"], windows)
    assert np.array_equal(a["out"], windows @ a["w"])
    assert np.array_equal(a["dcols"], a["dout"] @ a["w_transposed"])
    assert np.array_equal(a["dx"], passes(a["x"], a["w"].reshape(2, 2), a["dout"].reshape(2, 2))[1])
    assert np.unique(a["x"]).size == 9  # so the copies of the middle pixel are known by their number


def test_winners():
    a = arrays("pool_winners")
    out, argmax, dx = loops.maxpool(image(a["x"]), image(a["dout"]), (3, 3), (2, 2), ((0, 0), (0, 0)))
    for name, expected in [("out", out), ("argmax", argmax), ("dx", dx)]:
        assert np.array_equal(a[name], expected[0, :, :, 0]), name
    assert np.count_nonzero(a["dx"]) == 3  # four outputs: one pixel won twice


def test_the_four_shares_of_lrn():
    a = arrays("lrn_two_ways")
    x, out, dout, scale = (
        np.array([a[f"{name}{k}"].item() for k in range(5)]) for name in ("x", "out", "dout", "scale")
    )
    as_pixel = lambda values: values.reshape(1, 1, 1, 5)  # noqa: E731
    expected = loops.lrn(as_pixel(x), as_pixel(dout), 1, 3.0, 1.0, 1.0)
    shares = np.array([a[f"share{k}"].item() for k in range(5)])
    # The cells show four digits of numbers that have no more.
    np.testing.assert_allclose(out, expected[0].ravel(), rtol=1e-12)
    np.testing.assert_allclose(scale, expected[1].ravel(), rtol=1e-12)
    np.testing.assert_allclose(shares[4], expected[2].ravel()[2], rtol=1e-12)
    np.testing.assert_allclose(shares[:4].sum(), shares[4], rtol=1e-12)


def test_the_winograd_tile():
    a = arrays("winograd_tile")
    bt, g, at = a["Bᵀ"], a["G"], a["Aᵀ"]
    assert np.array_equal(a["v"], bt @ a["x"] @ bt.T)
    assert np.array_equal(a["u"], g @ a["w"] @ g.T)
    assert np.array_equal(a["m"], a["v"] * a["u"])
    assert np.array_equal(a["out"], at @ a["m"] @ at.T)
    assert np.array_equal(a["out"], passes(a["x"], a["w"], np.zeros((2, 2)))[0])


def test_the_network_has_its_shapes():
    text = drawn("network")
    shapes = alexnet("tf2015", backend="reference").output_shapes((1, 227, 227, 3))
    for name, shape in {"images": (1, 227, 227, 3), **shapes}.items():
        assert (f">{name}<" in text) != name.startswith("relu")
        assert ">" + " x ".join(map(str, shape[1:])) + "<" in text


def test_gradients_have_the_shapes_of_their_arrays():
    shapes = dict(re.findall(r">(\w+) (\([\d, ]+\))<", drawn("chain_rule")))
    assert len(shapes) == 12
    assert all(shapes[f"d{name}"] == shapes[name] for name in ("x", "a", "y", "out", "w", "b"))


def test_tasks_cover_each_output_row_once():
    sizes = machines.cpu_sizes((4, 13, 13, 384))
    assert (sizes["blocks"] - 1) * sizes["block"] < 4 * 13 <= sizes["blocks"] * sizes["block"]
    assert arrays("cpu_tasks")["blocks"].sum() == sizes["blocks"]
    assert arrays("cpu_tasks")["blocks"].size == sizes["slices"]
    names = re.findall(r">task (\d+)<", drawn("cpu_tasks"))
    assert set(map(int, names)) == set(range(sizes["blocks"]))


def test_strips_and_tasks_cover_the_batch():
    tile, plan, chunk_bytes = winograd_cpu.conv3_plan()
    sizes = winograd_cpu.tile_sizes(tile, plan.grid)
    assert sum(sizes) == 13
    assert sum(size + tile.r[0] - 1 for size in sizes) ** 2 == tile.points_of((13, 13))
    assert f"{13} = {' + '.join(map(str, sizes))} outputs" in drawn("winograd_tasks")
    assert chunk_bytes <= Limits().most_bytes
    tasks = re.findall(r"<text [^>]*mono halo[^>]*>(\d+)<", drawn("winograd_tasks"))
    assert len(tasks) * plan.grid.chunk_strips >= 128 * len(sizes)
    assert (len(tasks) - 1) * plan.grid.chunk_strips < 128 * len(sizes)


def test_the_threads_of_a_block_cover_its_tile():
    """With the rows and columns of a thread as ``plus_product`` of simt_tiles.py has them."""
    sizes, a = machines.gpu_sizes(), arrays("gpu_tile")
    rows, cols, threads = sizes["ROWS"], sizes["COLS"], sizes["THREADS"]
    assert threads * 64 == rows * cols
    program = machines.SIMT_TILES.read_text(encoding="utf-8")
    assert "row, col = thread // (COLS // 8) * 4, thread % (COLS // 8) * 4" in program
    covered = np.zeros((rows, cols), int)
    for thread in range(threads):
        own = machines.own_rows_and_columns(thread, rows, cols)
        covered[np.ix_(*own)] += 1
        if thread == machines.SHOWN_THREAD:
            assert a["rows"].ravel().tolist() == own[0]
            assert a["columns"].ravel().tolist() == own[1]
    assert (covered == 1).all()


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.py")), ids=lambda path: path.stem)
def test_a_script_is_short_enough_to_read(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
