"""The page of a trace: its arrays come back, nothing of a name is markup, and what is too large is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib

import numpy as np
import pytest
from networks import every_kind, image

from tinyalexnet import Conv2d, CrossEntropyLoss, Dense, Sequential, alexnet, l2_loss
from tinyalexnet.explorer import Explorer, pages
from tinyalexnet.explorer.explorer import about


@pytest.fixture(scope="module")
def explorer():
    return Explorer(every_kind(), image(), CrossEntropyLoss([3], "reference"), title="a & b")


def parts(text):
    """The data and the arrays of a page."""
    meta = json.loads(re.search(r'<script type="application/json" id="meta">(.*?)</script>', text, re.DOTALL)[1])
    packed = re.findall(r'<script type="text/plain" id="a(\d+)">(.*?)</script>', text, re.DOTALL)
    assert [int(number) for number, _ in packed] == list(range(len(meta["stored"])))
    arrays = []
    for (_, content), stored in zip(packed, meta["stored"], strict=True):
        raw = np.frombuffer(zlib.decompress(base64.b64decode(content), -zlib.MAX_WBITS), np.uint8)
        dtype = np.dtype(f"<{stored['dtype']}")
        arrays.append(raw.reshape(dtype.itemsize, -1).T.copy().view(dtype).reshape(stored["shape"]))
    return meta, arrays


def test_every_array_comes_back_and_is_there_once(explorer, tmp_path):
    meta, arrays = parts(explorer.save(tmp_path / "a.html").read_text())
    assert [layer["name"] for layer in meta["layers"]] == list(explorer.trace.steps)
    seen = 0
    for layer in meta["layers"]:
        for name, entry in layer["arrays"].items():
            if entry.get("outer"):
                continue
            stored = explorer.trace.array(layer["name"], name)
            np.testing.assert_array_equal(arrays[entry["id"]].reshape(entry["shape"]), stored)
            seen += 1
    assert seen > 40
    assert len(arrays) < seen  # what flatten moves has the same bytes
    assert len({(array.tobytes(), array.dtype) for array in arrays}) == len(arrays)
    assert next(layer for layer in meta["layers"] if layer["name"] == "fc1")["arrays"]["dw"]["outer"]


def test_a_layer_has_what_its_terms_need(explorer, tmp_path):
    meta, _ = parts(explorer.save(tmp_path / "a.html").read_text())
    by_name = {layer["name"]: layer for layer in meta["layers"]}
    assert by_name["conv2"]["kernel"] == [3, 3]
    assert by_name["conv2"]["groups"] == 2
    assert by_name["conv2"]["before"] == [2, 1]
    assert by_name["conv2"]["pads"] == [[2, 0], [1, 1]]
    assert by_name["block.norm"]["alpha"] == 0.3
    assert by_name["drop"]["rate"] == 0.3
    assert by_name["loss"]["kind"] == "cross-entropy"


def test_a_convolution_with_stride_1_has_the_matrices_of_winograd(rng):
    """They give the 2x2 outputs of a tile: Aᵀ (G g Gᵀ * Bᵀ d B) A, for a kernel whose sides differ."""
    conv = Conv2d(1, 1, (3, 2), 1, backend="reference", rng=1)
    explorer = Explorer(Sequential([("conv", conv)]), rng.standard_normal((5, 5, 1)).astype(np.float32))
    winograd = pages.content(explorer.trace, "", "").meta["layers"][0]["winograd"]
    assert winograd["name"] == "F(2x2, 3x2)"
    height, width = (
        {name: np.array(winograd[side][name]) for name in ("at", "g", "bt")} for side in ("height", "width")
    )
    tile, filters = explorer.trace.array("conv", "x")[0, :4, :3, 0], conv.params["w"][..., 0, 0].astype(np.float64)
    products = (height["g"] @ filters @ width["g"].T) * (height["bt"] @ tile @ width["bt"].T)
    out = height["at"] @ products @ width["at"].T
    np.testing.assert_allclose(out, explorer.trace.array("conv", "out")[0, :2, :2, 0], rtol=1e-5, atol=1e-5)


def test_other_layers_have_none(explorer):
    """``block.pool`` has a stride of 1 along one axis, and ``avg`` along both."""
    layers = pages.content(explorer.trace, "", "").meta["layers"]
    assert not any("winograd" in layer for layer in layers)
    assert {layer["name"] for layer in layers if "before" in layer} == {"conv1", "block.pool", "conv2", "avg"}


def test_a_page_in_a_file_asks_no_server_and_its_data_are_ascii(tmp_path):
    text = Explorer(every_kind("größe"), image(), title="größe").save(tmp_path / "a.html").read_text("utf-8")
    meta, _ = parts(text)
    assert meta["serve"] is False
    assert meta["layers"][0]["name"] == "größe"
    assert re.search(r'id="meta">(.*?)</script>', text, re.DOTALL)[1].isascii()


def test_a_vector_is_one_image_too():
    rng = np.random.default_rng(2)
    explorer = Explorer(Sequential([("fc", Dense(3, 2, "reference", rng=rng))]), np.ones((1, 3), np.float32))
    assert explorer.trace.array("fc", "x").shape == (1, 3)
    assert Explorer(every_kind(), image()[np.newaxis]).trace.array("conv1", "x").shape == (1, 13, 14, 3)


def test_only_its_own_script_may_run_and_nothing_is_fetched(explorer, tmp_path):
    text = explorer.save(tmp_path / "a.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', text)[1]
    for kind, pattern in (("script", r'<script type="module">(.*?)</script>'), ("style", "<style>(.*?)</style>")):
        own = base64.b64encode(hashlib.sha256(re.search(pattern, text, re.DOTALL)[1].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{own}'" in policy
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert not re.search(r"https?://", re.sub(r"<script type=\"text/plain\".*?</script>", "", text, flags=re.DOTALL))


HOSTILE = '</script><script>alert(1)</script><!--{arrays}{script}"&'


def test_names_are_text_and_never_markup(tmp_path):
    explorer = Explorer(every_kind(HOSTILE), image(), title=HOSTILE)
    text = explorer.save(tmp_path / "a.html").read_text()
    meta, _ = parts(text)
    assert meta["title"] == meta["layers"][0]["name"] == HOSTILE
    assert "<script>alert" not in text
    assert text.count("</script>") == 2 + len(meta["stored"])
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!--{arrays}{script}&quot;&amp;</title>" in text
    assert "<script>" not in explorer._repr_html_()


def test_a_notebook_gets_a_frame_and_not_the_page(explorer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fresh = Explorer(every_kind(), image(), title='a"b')
    assert "save(path)" in fresh._repr_html_()
    fresh.save("x.html")
    assert fresh._repr_html_() == '<iframe src="x.html" title="a&quot;b" width="100%" height="720"></iframe>'


def test_the_photograph_is_there_beside_the_arrays(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (13, 14, 3), dtype=np.uint8)
    meta, arrays = parts(Explorer(every_kind(), image(), pixels=pixels).save(tmp_path / "a").read_text())
    np.testing.assert_array_equal(arrays[meta["photo"]], pixels)
    assert parts(Explorer(every_kind(), image()).save(tmp_path / "a").read_text())[0]["photo"] is None


def test_a_page_may_have_the_most_bytes(explorer, tmp_path, monkeypatch):
    shown = pages.content(explorer.trace, "", "")
    monkeypatch.setattr(pages, "MOST_BYTES", sum(array.nbytes for array in shown.arrays))
    assert len(parts(pages.page(shown))[1]) == len(shown.arrays)


def test_what_is_too_large_is_refused_before_anything_is_written(explorer, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"the arrays have 0 MB, but a page must have at most 0 MB: .*--serve"):
        explorer.save(tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()
    with pytest.raises(ValueError, match=r"path is .*, but"):
        explorer.save(tmp_path / "missing" / "a.html")


def test_one_image(tmp_path):
    with pytest.raises(ValueError, match="x has 2 images, but must have one"):
        Explorer(every_kind(), np.stack([image(), image()]))


def test_the_networks_algorithms_stay(explorer):
    net = alexnet("digits", "reference", algorithm="winograd")
    Explorer(net, np.zeros((8, 8, 1), np.float32))
    assert net["conv1"].algorithm == "winograd"


def test_the_line_below_the_title(explorer):
    p = explorer.trace.array("loss", "p")[0]
    best = int(p.argmax())
    text = about(explorer.trace, ("zero", "one", "two", "three", "four"))
    assert text.startswith(f"CrossEntropyLoss([3]) = {explorer.trace.loss:.6g}; likeliest classes: ")
    assert f"likeliest classes: {best} {p[best]:.1%}, " in about(explorer.trace)
    assert ["zero", "one", "two", "three", "four"][best] in text
    assert text.count("%") == 3
    own = Explorer(every_kind(), image(), lambda out: (0.25, out))
    assert about(own.trace) == "loss = 0.25"
    assert about(Explorer(every_kind(), image(), l2_loss).trace).startswith("L2Loss() = ")


def test_a_dw_that_is_no_outer_product_is_stored(tmp_path):
    """If a layer rounds otherwise, the page has its numbers."""
    explorer = Explorer(every_kind(), image())
    explorer.trace.array("fc2", "dw")[0, 0] += 1
    shown = pages.content(explorer.trace, "", "")
    fc2 = next(layer for layer in shown.meta["layers"] if layer["name"] == "fc2")
    np.testing.assert_array_equal(shown.arrays[fc2["arrays"]["dw"]["id"]], explorer.trace.array("fc2", "dw"))
    assert isinstance(every_kind(), Sequential)
