"""The explorer's page in a browser: every number it shows is the library's, and its terms are the library's terms.

    pytest -m browser

needs the extra ``browser``, a chromium of the system, and for the last test axe-core (AXE names its axe.min.js).
"""

from __future__ import annotations

import math
import os
import re
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import every_kind, image

from tinyalexnet import Conv2d, CrossEntropyLoss, OneOutput, alexnet, explain, l2_loss
from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.explorer import Explorer
from tinyalexnet.explorer.pages import content
from tinyalexnet.explorer.server import Server

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROUNDED = ("norm", "norm1", "norm2", "loss")
"""Steps with powers or exponentials, for which JavaScript and NumPy have functions of their own."""


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip(
        "playwright.sync_api", reason="needs the extra browser: pip install 'tinyalexnet[browser]'"
    )
    if CHROMIUM is None:
        pytest.skip("needs a chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@contextmanager
def opened(browser, path, **how):
    """The page, without a network. It must not say an error, or ask for anything."""
    context = browser.new_context(offline=True, bypass_csp=True, **{"viewport": {"width": 1400, "height": 900}, **how})
    page = context.new_page()
    said, asked = [], []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{path}")
    page.wait_for_function("window.ready", timeout=60_000)
    yield page
    assert said == []
    assert asked == [f"file://{path}"]
    context.close()


NETWORKS = {
    "every kind": lambda: Explorer(every_kind(), image(), CrossEntropyLoss([3], "reference")),
    "one output": lambda: Explorer(every_kind(), image(), OneOutput((0, 2))),
    "tf2015": lambda: of_variant("tf2015", l2_loss),
    "tf2017": lambda: of_variant("tf2017", l2_loss),
    "mnist": lambda: of_variant("mnist", CrossEntropyLoss([4], "reference")),
}


def of_variant(name, loss):
    net = alexnet(replace(VARIANTS[name], weight_std=None), "reference")
    net.train = False
    x = np.random.default_rng(7).standard_normal((1, *VARIANTS[name].image_shape), np.float32)
    return Explorer(net, x, loss)


ASK = """async elements => {
  const found = [];
  for (const [layer, array, index] of elements) {
    const e = await tinyalexnet.explain(layer, array, index);
    const operand = o => o.element ? [...o.element, o.index, o.value] : null;
    const products = e.terms.map(t => t.value);
    found.push({
      operands: e.terms.slice(0, 40).map(t => t.operands.map(operand)),
      sum: e.operation === "sum" ? tinyalexnet.exactSum(products) : null,
      stored: e.stored, value: e.value, bound: e.bound, right: e.isRight, count: e.terms.length, products,
      filled: e.filled ?? null, formula: e.formula ?? null, operation: e.operation,
    });
  }
  return found;
}"""


def elements(found, rng, each):
    """Random elements of every array of every layer."""
    names = [(name, array) for name, step in found.steps.items() for array in step.arrays]
    return [
        (layer, array, [int(rng.integers(size)) for size in found.array(layer, array).shape])
        for layer, array in names
        if found.maker(layer, array) == (layer, array)
        for _ in range(each)
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_computes_what_the_library_does(browser, tmp_path, name):
    """The stored numbers bit for bit, the same terms, and their exact sum."""
    explorer = NETWORKS[name]()
    with explorer.formulas(), opened(browser, explorer.save(tmp_path / "a.html")) as page:
        asked = elements(explorer.trace, np.random.default_rng(5), 4 if name in ("every kind", "mnist") else 2)
        checked = 0
        for (layer, array, index), got in zip(asked, page.evaluate(ASK, asked), strict=True):
            expected = explain(explorer.trace, layer, array, index)
            what = f"{layer} {array} {index}"
            assert np.array_equal(got["stored"], expected.stored), what
            assert got["right"], what
            assert got["count"] == expected.count, what
            if expected.made is None:
                continue
            checked += 1
            assert (got["formula"], got["operation"]) == (expected.made.formula, expected.made.operation), what
            assert got["bound"] == pytest.approx(expected.bound, rel=1e-9), what
            if got["operation"] == "sum":
                assert got["sum"] == math.fsum(got["products"]), what
            if layer.rpartition(".")[2] in ROUNDED:
                assert got["value"] == pytest.approx(expected.value, rel=1e-12, abs=1e-300), what
            else:
                assert got["value"] == expected.value, what
                assert got["filled"] == expected.made.filled, what
            for term, operands in zip(expected.terms[:40], got["operands"], strict=True):
                for operand, ours in zip(term.operands, operands, strict=True):
                    assert (ours is None) == (operand.element is None), what
                    if ours is not None:
                        assert ours[:3] == [operand.element.layer, operand.element.array, list(operand.element.index)]
                        assert ours[3] == pytest.approx(operand.value, rel=1e-15), what
        assert checked > 20


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The page of the small network, with a photograph."""
    pixels = np.random.default_rng(3).integers(0, 256, (13, 14, 3), dtype=np.uint8)
    explorer = Explorer(every_kind(), image(), CrossEntropyLoss([3], "reference"), pixels)
    return explorer, explorer.save(tmp_path_factory.mktemp("pages") / "small.html")


def looked_at(page):
    state = page.evaluate("tinyalexnet.state")
    return state["layer"], state["array"], state["index"]


def after(page, act):
    """Acts, and waits until the explanation is painted."""
    before = page.evaluate("tinyalexnet.painted()")
    act()
    page.wait_for_function(f"tinyalexnet.painted() > {before}")


def test_exact_sums_and_numbers_as_text(browser, saved):
    """Sums as math.fsum, and the shortest text that is the same float."""
    rng = np.random.default_rng(2)
    lists = [(rng.standard_normal(n) * 10.0 ** rng.integers(-30, 30, n)).tolist() for n in (0, 1, 2, 3, 10, 500)]
    lists += [[1e16, 1.0, 1e-16], [1e308, 1e308, -1e308], [0.1] * 10, [2.0**53, 1.0, 2.0**-60]]
    floats = np.concatenate([rng.standard_normal(200), [1e-45, 3.4e38, 0.1, 16777216, 0, 1e-5]]).astype(np.float32)
    with opened(browser, saved[1]) as page:
        for values in lists:
            if values != [1e308, 1e308, -1e308]:
                assert page.evaluate("v => tinyalexnet.exactSum(v)", values) == math.fsum(values)
        texts = page.evaluate("v => v.map(x => tinyalexnet.numberText(x, 'f4'))", floats.tolist())
        assert [np.float32(text) for text in texts] == floats.tolist()
        assert all(len(text) <= len(repr(float(value))) for text, value in zip(texts, floats, strict=True))
        assert page.evaluate("['NaN', 'Infinity'].map(x => tinyalexnet.numberText(Number(x), 'f4'))") == [
            "NaN",
            "Infinity",
        ]


KEYS = (
    *(("ArrowRight", [0, 1, 1, 0]), ("ArrowDown", [0, 2, 1, 0]), ("PageDown", [0, 2, 1, 1]), ("ArrowUp", [0, 1, 1, 1])),
    *(("ArrowLeft", [0, 1, 0, 1]), ("PageUp", [0, 1, 0, 0]), ("PageUp", [0, 1, 0, 7]), ("PageDown", [0, 1, 0, 0])),
)


def test_clicks_and_keys(browser, saved):
    explorer, path = saved
    with opened(browser, path) as page:
        after(page, lambda: page.click("button[data-name=fc1]"))
        after(page, lambda: page.click("button[data-name=conv1]"))
        assert looked_at(page)[:2] == ("conv1", "out")
        box = page.locator("#map").bounding_box()
        rows, columns = explorer.trace.array("conv1", "out").shape[1:3]
        x, y = box["x"] + box["width"] * 0.5 / columns, box["y"] + box["height"] * 1.5 / rows
        after(page, lambda: page.mouse.click(x, y))
        assert looked_at(page) == ("conv1", "out", [0, 1, 0, 0])
        page.focus("#map")
        for key, index in KEYS:
            after(page, lambda key=key: page.keyboard.press(key))
            assert looked_at(page) == ("conv1", "out", index)
        stored = explorer.trace.array("conv1", "out")[0, 1, 0, 0]
        assert np.float32(page.locator("#explanation .value").inner_text()) == stored
        operand = page.locator("#explanation [aria-label=Terms] tbody tr").nth(2).locator("button").first
        name = operand.inner_text()
        after(page, operand.click)
        layer, array, index = looked_at(page)
        assert name == f"{layer} {array}[{','.join(map(str, index))}]"
        assert page.locator("#trail button").last.inner_text() == "conv1 out[0,1,0,0]"
        after(page, page.go_back)
        assert looked_at(page) == ("conv1", "out", [0, 1, 0, 0])
        after(page, page.locator("#cells td button").first.click)
        assert looked_at(page)[:2] == ("conv1", "out")
        after(page, lambda: page.get_by_role("button", name="weights w").click())
        page.fill("#slice", "4")
        after(page, lambda: page.keyboard.press("Enter"))
        assert looked_at(page)[2][3] == 4
        page.fill("#slice", "99")
        page.keyboard.press("Enter")
        assert page.input_value("#slice") == "4"


def test_a_click_on_the_mosaic_chooses_the_map(browser, saved):
    explorer, path = saved
    rows, columns, count = explorer.trace.array("conv1", "out").shape[1:]
    with opened(browser, path) as page:
        size = page.evaluate("[document.getElementById('maps').width, document.getElementById('maps').height]")
        across = size[0] // (columns + 1)
        assert across * (size[1] // (rows + 1)) >= count
        box = page.locator("#maps").bounding_box()
        plane, row, column = 5, 2, 3
        x = (plane % across) * (columns + 1) + column + 0.5
        y = (plane // across) * (rows + 1) + row + 0.5
        at = box["x"] + x * box["width"] / size[0], box["y"] + y * box["height"] / size[1]
        after(page, lambda: page.mouse.click(*at))
        assert looked_at(page) == ("conv1", "out", [0, row, column, plane])


TIMES = """async () => {
  const times = [];
  for (let i = 0; i < 40; i++) {
    const begin = performance.now();
    await tinyalexnet.go("conv2", ["out", "dx"][i % 2], [0, 10 + i % 7, 12, 3 * i]);
    times.push(performance.now() - begin);
  }
  return times.sort((a, b) => a - b);
}"""


def test_a_click_is_answered_at_once(browser, tmp_path, capsys):
    """The time is told and hardly asked for: a machine of many users is slow at times."""
    explorer = of_variant("tf2015", l2_loss)
    with opened(browser, explorer.save(tmp_path / "a.html")) as page:
        page.evaluate(TIMES)
        times = page.evaluate(TIMES)
        with capsys.disabled():
            print(f" {times[20]:.0f} ms from a click on conv2 to its explanation, at most {times[-1]:.0f} ms ", end="")
        assert times[20] < 1000


def test_an_address_opens_its_element(browser, saved):
    with opened(browser, saved[1]) as page:
        page.evaluate("location.hash = '#fc2/dw/3,2'")
        page.wait_for_function("tinyalexnet.state.layer === 'fc2'")
        assert looked_at(page) == ("fc2", "dw", [3, 2])
        for wrong in ("#nothing/out/1", "#fc2/dw/3", "#fc2/dw/300,2", "#%3Cscript%3E/x/"):
            page.evaluate("hash => { location.hash = hash }", wrong)
            page.wait_for_function("tinyalexnet.state.layer === 'conv1'")
            page.evaluate("location.hash = '#fc2/dw/3,2'")
            page.wait_for_function("tinyalexnet.state.layer === 'fc2'")


@pytest.mark.parametrize(
    ("layer", "array", "index"),
    [
        *(
            ("conv1", "x", [0, 6, 7, 1]),
            ("conv1", "w", [2, 1, 0, 5]),
            ("conv1", "b", [3]),
            ("block.norm", "out", [0, 3, 4, 2]),
        ),
        *(("conv2", "w", [1, 1, 2, 4]), ("conv2", "out", [0, 1, 1, 2]), ("fc1", "w", [40, 3]), ("fc2", "b", [1])),
    ],
)
def test_what_if_agrees_with_the_network_and_with_the_gradient(browser, saved, layer, array, index):
    """The change of the loss is that of a forward in float64 with the changed element; the quotient is the gradient."""
    explorer, path = saved
    with opened(browser, path) as page:
        answer = page.evaluate("([n, a, i]) => tinyalexnet.quotient(n, a, i, 1e-4)", [layer, array, index])
        name = {"x": "dx", "out": "dout", "w": "dw", "b": "db"}[array]
        gradient = float(explorer.trace.array(layer, name)[tuple(index)])
        assert answer["gradient"] == gradient
        assert answer["kinks"] == 0
        assert answer["quotient"] == pytest.approx(gradient, rel=2e-4, abs=1e-5)
        cone = {name: count for name, count, _ in answer["up"]["cone"]}
        assert cone.get("fc2", 5) <= 5


def test_what_if_in_the_page(browser, saved):
    explorer, path = saved
    with opened(browser, path) as page:
        page.evaluate("tinyalexnet.go('fc2', 'b', [1])")
        page.fill("#changed", "0.5")
        page.click("#change button")
        page.wait_for_selector("#answer table")
        cells = dict(row.split("\t") for row in page.locator("#answer table").first.inner_text().splitlines())
        logits = explorer.trace.array("fc2", "out")[0].astype(np.float64)
        change = np.float64(0.5) - explorer.trace.array("fc2", "b")[1]
        moved = logits + change * (np.arange(5) == 1)
        loss = [np.log(np.exp(row).sum()) - row[3] for row in (logits, moved)]
        assert float(cells["difference"]) == pytest.approx(loss[1] - loss[0], rel=1e-9)
        page.fill("#changed", "")
        page.click("#change button")
        page.wait_for_function("document.getElementById('answer').innerText === 'Give a number.'")


def test_the_two_ways_of_lrn(browser, saved):
    """The shares through the scales add up to dx, with the one through the element's own output."""
    explorer, path = saved
    with opened(browser, path) as page:
        after(page, lambda: page.evaluate("location.hash = '#block.norm/dx/0,3,4,2'"))
        table = page.locator("#explanation [aria-label=Channels] table")
        direct = float(re.search(r"through out\[c\]: ([-\d.e]+);", table.locator("caption").inner_text())[1])
        shares = [float(cell) for cell in table.locator("tbody tr").last.locator("td").all_inner_texts()]
        assert len(shares) == 5
        stored = explorer.trace.array("block.norm", "dx")[0, 3, 4, 2]
        assert direct + sum(shares) == pytest.approx(stored, rel=0.02)
        after(page, lambda: page.evaluate("location.hash = '#block.norm/scale/0,3,4,0'"))
        assert table.locator("thead th").all_inner_texts() == ["channel c'", "0", "1", "2"]


# --- break it ---------------------------------------------------------------------------------------------------------

SUBJECT_OF = {
    ("conv", "dx"): "conv2d_backward_input",
    ("conv", "dw"): "conv2d_backward_params",
    ("conv", "db"): "conv2d_backward_params",
    ("pool", "dx"): "maxpool_backward",
    ("avgpool", "dx"): "avgpool_backward",
    ("relu", "dx"): "relu_backward",
    ("lrn", "dx"): "lrn_backward",
    ("dropout", "dx"): "dropout_backward",
    ("dense", "dx"): "dense_backward",
    ("cross-entropy", "dx"): "softmax_cross_entropy",
}


def arguments(subject, step):
    """Those of a subject of the bestiary, from the arrays and the options of a layer, in float64."""
    arrays = {name: array.astype(np.float64) for name, array in step.arrays.items() if array.dtype.kind == "f"}
    options = step.computes.description(step.arrays["x"].shape) if hasattr(step.computes, "description") else {}
    known = {**arrays, **options, "x_shape": step.arrays["x"].shape, "logits": arrays["x"]}
    known |= {"w_shape": step.arrays["w"].shape} if "w" in arrays else {}
    known |= {name: step.arrays[name] for name in ("kept", "labels") if name in step.arrays}
    return [known[name] for name in subject.parameters]


BREAK = "([n, a, b, indices]) => Promise.all(indices.map(index => tinyalexnet.broken(n, a, b, index)))"


def test_every_beast_of_the_page_computes_what_that_of_the_bestiary_does(browser, saved):
    """On every layer that it is for: random elements, most of which are not what they should be."""
    explorer, path = saved
    rng, seen, moved = np.random.default_rng(6), set(), {}
    with opened(browser, path) as page:
        for name, step in explorer.trace.steps.items():
            for array in ("dx", "dw", "db"):
                for beast in page.evaluate("([n, a]) => tinyalexnet.beastsOf(n, a)", [name, array]):
                    subject = SUBJECTS[SUBJECT_OF[step.computes.kind, array]]
                    output = {"cross-entropy": "dlogits"}.get(step.computes.kind, array)
                    run = next(one.run for one in subject.beasts if one.name == beast)
                    results = run(*arguments(subject, step))
                    result = results if len(subject.outputs) == 1 else results[subject.outputs.index(output)]
                    for _ in range(12):
                        index = [int(rng.integers(size)) for size in result.shape]
                        got = page.evaluate("v => tinyalexnet.broken(...v)", [name, array, beast, index])
                        assert got == pytest.approx(result[tuple(index)], rel=1e-5, abs=1e-6), (
                            name,
                            array,
                            beast,
                            index,
                        )
                        right = explorer.trace.array(name, array)[tuple(index)]
                        moved[beast] = moved.get(beast, 0) + (abs(got - right) > 1e-5)
                    seen.add(beast)
        known = page.evaluate("Object.values(tinyalexnet.beasts).flatMap(k => Object.values(k).flatMap(Object.keys))")
    assert sorted(seen) == sorted(known)
    assert len(seen) > 30
    assert [beast for beast, count in moved.items() if count == 0] == []


def test_an_element_that_nothing_was_computed_from(browser, tmp_path):
    """With a kernel of 1 and a stride of 2 most pixels are left out."""
    layer = Conv2d(1, 1, 1, 2, backend="reference", rng=1)
    explorer = Explorer(layer, image()[:, :, :1])
    assert explain(explorer.trace, "layer", "dx", (0, 3, 3, 0)).count == 0
    with opened(browser, explorer.save(tmp_path / "a.html")) as page:
        after(page, lambda: page.evaluate("location.hash = '#layer/dx/0,3,3,0'"))
        assert "No term: nothing of what comes after" in page.locator("#explanation").inner_text()
        assert page.locator("#explanation .value").inner_text() == "0"


def test_break_it_in_the_page(browser, saved):
    explorer, path = saved
    with opened(browser, path) as page:
        page.evaluate("tinyalexnet.go('conv2', 'dx', [0, 1, 3, 1])")
        page.select_option("#beast", "kernel-not-turned")
        page.get_by_role("button", name="break it").click()
        page.wait_for_selector("#broken table")
        text = page.locator("#broken").inner_text()
        assert "dx slides the kernel over dout as the forward does over x" in text
        rows = dict(row.split("\t") for row in page.locator("#broken table").inner_text().splitlines())
        right = explain(explorer.trace, "conv2", "dx", (0, 1, 3, 1)).value
        assert float(rows["right"]) == right
        assert float(rows["difference"]) == float(rows["with the mistake"]) - right != 0
        shape = explorer.trace.array("conv2", "dx").shape
        assert re.search(rf"\d+ of {shape[1] * shape[2]} elements move", text)


def test_the_same_sum_three_ways(browser, tmp_path):
    """Winograd's tile in float64 is the sum; the table has a row for each way, and none for a stride."""
    rng = np.random.default_rng(4)
    for window in ((3, 1, 1), ((5, 4), 1, ((2, 1), (0, 3))), ((1, 3), 1, "SAME"), (3, 2, 1)):
        layer = Conv2d(4, 6, *window, groups=2, backend="reference", rng=rng)
        explorer = Explorer(layer, rng.standard_normal((7, 9, 4)).astype(np.float32))
        shape = explorer.trace.array("layer", "out").shape
        with explorer.formulas(), opened(browser, explorer.save(tmp_path / "a.html")) as page:
            ways = page.locator("table.ways tr")
            assert ways.count() == (3 if window == (3, 2, 1) else 4)
            assert "of im2col(x) of group 0" in ways.nth(2).inner_text()
            for _ in range(8 if ways.count() == 4 else 0):
                index = [int(rng.integers(size)) for size in shape]
                tile = page.evaluate("i => tinyalexnet.winogradTile(tinyalexnet.layerAt.get('layer'), i)", index)
                expected = explain(explorer.trace, "layer", "out", index)
                assert tile["value"] == pytest.approx(expected.value, rel=1e-11, abs=1e-12)
                kernel = explorer.trace.array("layer", "w").shape
                assert tile["products"] == (kernel[0] + 1) * (kernel[1] + 1) * 2
                assert tile["direct"] == 4 * kernel[0] * kernel[1] * 2


HOSTILE = "<img src=x onerror=alert(1)>"


def test_names_are_text(browser, tmp_path):
    explorer = Explorer(every_kind(HOSTILE), image(), title=HOSTILE)
    with opened(browser, explorer.save(tmp_path / "a.html")) as page:
        assert page.locator("h1").inner_text() == HOSTILE
        assert HOSTILE in page.locator("#layers").inner_text()
        assert HOSTILE in page.locator("#explanation h2").inner_text()
        assert page.locator("img").count() == 0


def test_any_name_of_a_layer_has_an_address(browser, tmp_path):
    """Also with the signs of an address; and what is no address leads to the first layer."""
    name = "a/b %2F#?&é"
    with opened(browser, Explorer(every_kind(name), image()).save(tmp_path / "a.html")) as page:
        after(page, lambda: page.click("button[data-name=conv2]"))
        after(page, page.locator("#layers button").first.click)
        assert looked_at(page)[0] == name
        after(page, page.go_back)
        assert looked_at(page)[0] == "conv2"
        after(page, page.go_forward)
        assert looked_at(page)[0] == name
        for wrong in ("#%E0%A4%A/out/1", "#%", "#////"):
            after(page, lambda: page.evaluate("tinyalexnet.go('conv2', 'b', [0])"))
            after(page, lambda wrong=wrong: page.evaluate("hash => { location.hash = hash }", wrong))
            assert looked_at(page)[0] == name


def test_the_policy_lets_its_own_script_run(browser, saved):
    """Without the exception that the other tests need to ask the page."""
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"file://{saved[1]}")
    page.locator("#explanation .value").wait_for()
    assert said == []
    page.close()


def test_a_server_sends_the_arrays_that_are_looked_at(browser, saved):
    """Under its policy, from its own address alone."""
    with Server(content(saved[0].trace, "served", "")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        page = browser.new_page()
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.locator("#explanation .value").wait_for()
        page.get_by_role("button", name="gradient dw").click()
        page.locator("#explanation h2", has_text="conv1 dw").wait_for()
        stored = saved[0].trace.array("conv1", "dw")
        index = page.evaluate("tinyalexnet.state.index")
        assert np.float32(page.locator("#explanation .value").inner_text()) == stored[tuple(index)]
        page.close()
        server.shutdown()
        thread.join()
    assert said == []
    assert len(asked) > 3
    assert all(url.startswith(server.url) for url in asked)


SIZES = {"wide": {}, "phone": {"viewport": {"width": 390, "height": 800}}, "dark": {"color_scheme": "dark"}}


@pytest.mark.parametrize("name", SIZES)
def test_everybody_can_use_it(browser, saved, name):
    """axe-core finds nothing; on a phone nothing is wider than the screen."""
    how = {"viewport": {"width": 1400, "height": 900}, **SIZES[name]}
    with opened(browser, saved[1], **how) as page:
        for layer in ("fc1", "conv1", "block.pool", "loss"):
            after(page, lambda layer=layer: page.click(f"button[data-name='{layer}']"))
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.evaluate(
                "Math.max(0, ...[...document.querySelectorAll('.sources canvas')].map(c => c.offsetWidth)) <= 260"
            )
            if axe := os.environ.get("AXE"):
                page.evaluate(Path(axe).read_text())
                found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.nodes[0].html]))")
                assert found == [], (layer, found)
