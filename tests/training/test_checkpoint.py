"""Checkpoints come back exactly, or are refused: cut off, changed in any byte, foreign. A killed writer harms none."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import save_file

from tinyalexnet.training import checkpoint
from tinyalexnet.training.checkpoint import DTYPES, FORMAT, generator_state, load, restore_generator, save

ARRAYS = {
    "conv1.w": np.arange(-3, 3, dtype=np.float32).reshape(2, 3),
    "conv1.b": np.array([0.5, np.nan, -np.inf]),
    "step": np.array(7, np.int64),
    "kept": np.array([True, False, True]),
    "none": np.zeros((0, 3), np.float16),
}
META = {"step": 7, "rate": 0.01, "classes": ["a", 'a"b\\'], "rng": {"state": 2**127 + 1}, "best": None, "done": False}


def assert_same(loaded, expected):
    assert loaded.keys() == expected.keys()
    for name, array in expected.items():
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)
        assert loaded[name].tobytes() == array.tobytes()  # NaN too, with its payload


def written(path, arrays=ARRAYS, meta=META):
    save(path, arrays, meta)
    return path.read_bytes()


def header_size(content):
    """The eight bytes of the size and the header that follows."""
    return 8 + int.from_bytes(content[:8], "little")


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, ARRAYS, META)
    arrays, meta = load(str(path))
    assert_same(arrays, ARRAYS)
    assert list(arrays) == sorted(ARRAYS)
    assert meta == META
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)


@given(data=st.data(), names=st.sets(NAMES, max_size=4), meta=st.dictionaries(st.text(), JSON, max_size=4))
def test_any_arrays_and_any_json_come_back(tmp_path_factory, data, names, meta):
    path = tmp_path_factory.getbasetemp() / "any"
    arrays = {
        name: data.draw(
            hnp.arrays(data.draw(st.sampled_from(DTYPES)), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
        )
        for name in names
    }
    save(path, arrays, meta)
    loaded, loaded_meta = load(path)
    assert_same(loaded, arrays)
    assert loaded_meta == meta
    assert json.dumps(loaded_meta) == json.dumps(meta)  # as text, 1 differs from 1.0 and from True


def test_strided_arrays_are_saved_as_they_read(tmp_path):
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {"transposed": grid.T, "every second": grid[::2, ::-2], "fortran": np.asfortranarray(grid)}
    save(tmp_path / "a", arrays, {})
    for name, array in load(tmp_path / "a")[0].items():
        np.testing.assert_array_equal(array, arrays[name], strict=True)


def test_loaded_arrays_are_writable_and_leave_the_file_alone(tmp_path):
    content = written(tmp_path / "a")
    for array in load(tmp_path / "a")[0].values():
        array[...] = 1
    assert (tmp_path / "a").read_bytes() == content
    assert_same(load(tmp_path / "a")[0], ARRAYS)


def test_the_same_content_gives_the_same_bytes_whatever_the_order(tmp_path):
    assert written(tmp_path / "a") == written(tmp_path / "b", dict(reversed(ARRAYS.items())))


def test_other_tools_read_the_file(tmp_path):
    save(tmp_path / "a", ARRAYS, META)
    with safe_open(tmp_path / "a", framework="numpy") as file:
        assert set(file.keys()) == set(ARRAYS)
        np.testing.assert_array_equal(file.get_tensor("conv1.w"), ARRAYS["conv1.w"])
        record = json.loads(file.metadata()["tinyalexnet"])
    assert record["format"] == FORMAT == 1
    assert record["meta"] == META


@pytest.mark.skipif(os.name != "posix", reason="permissions as in POSIX")
def test_a_checkpoint_has_the_permissions_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        save(tmp_path / "a", ARRAYS, META)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "a"
    content = written(path)
    assert len(content) > header_size(content) > 300
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="a is not a checkpoint that can be loaded: ") as caught:
            load(path)
        assert str(caught.value).startswith(str(path))
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        load(path)


@pytest.mark.parametrize("flip", [*(1 << bit for bit in range(8)), 0xFF])
def test_every_flipped_byte_is_refused(tmp_path, flip):
    path = tmp_path / "a"
    content = written(path)
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
        with pytest.raises(ValueError, match="a is not a checkpoint that can be loaded: "):
            load(path)


def test_a_changed_byte_that_means_the_same_gives_the_same_content(tmp_path):
    """JSON allows four kinds of white space after the header's last brace, and capitals in an escape."""
    path = tmp_path / "a"
    # A name of every length up to 8, until one header needs padding up to a multiple of 8.
    contents = (written(path, {"w" * length: ARRAYS["conv1.w"]}, {"class": "Ä"}) for length in range(1, 9))
    content = next(content for content in contents if content[header_size(content) - 1] == ord(" "))
    path.write_bytes(content)
    arrays, meta = load(path)
    same = set()
    for at in header_size(content) - 1, content.index(b"u00c4") + 3:
        for byte in range(256):
            path.write_bytes(content[:at] + bytes([byte]) + content[at + 1 :])
            try:
                loaded, loaded_meta = load(path)
            except ValueError as error:
                assert "a is not a checkpoint that can be loaded: " in str(error)  # noqa: PT017
            else:
                same.add(chr(byte))
                assert_same(loaded, arrays)
                assert loaded_meta == meta == {"class": "Ä"}
    assert same == set(" \t\n\rcC")


def test_a_changed_array_is_refused_by_the_checksum_though_the_format_is_right(tmp_path):
    """The library itself does not notice a bit that was flipped on the disk."""
    path = tmp_path / "a"
    content = bytearray(written(path))
    content[-1] ^= 1
    path.write_bytes(content)
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == set(ARRAYS)
    with pytest.raises(ValueError, match="its content is not what was saved: the checksum differs"):
        load(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"F64","shape":[3]', b'"I64","shape":[3]'),
        (b'"shape":[2,3]', b'"shape":[3,2]'),
        (b'"shape":[0,3]', b'"shape":[3,0]'),
        (b'"conv1.w"', b'"conv2.w"'),
        (b'\\"step\\": 7', b'\\"step\\": 8'),
    ],
)
def test_another_name_dtype_shape_or_meta_of_the_same_bytes_is_refused_by_the_checksum(tmp_path, old, new):
    path = tmp_path / "a"
    content = written(path)
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ValueError, match="its content is not what was saved: the checksum differs"):
        load(path)


def checksum(arrays, meta):
    """SHA-256 over a line of JSON (the format, meta, and the name, dtype and shape of each array), then the bytes."""
    names = sorted(arrays)
    line = json.dumps([1, meta, [[name, arrays[name].dtype.name, list(arrays[name].shape)] for name in names]])
    return hashlib.sha256(b"".join([line.encode(), b"\n", *(arrays[name].tobytes() for name in names)])).hexdigest()


def resaved(path, meta="{}", **changes):
    """The file again with other metadata, under a checksum that fits it; None leaves a part out."""
    record = {"format": "1", "sha256": f'"{checksum(ARRAYS, meta)}"', "meta": meta, **changes}
    text = ", ".join(f'"{key}": {value}' for key, value in record.items() if value is not None)
    save_file(ARRAYS, path, {"tinyalexnet": f"{{{text}}}"})


def test_the_files_of_the_next_test_would_be_loaded_unchanged(tmp_path):
    resaved(tmp_path / "a", '{"step": 1}')
    arrays, meta = load(tmp_path / "a")
    assert_same(arrays, ARRAYS)
    assert meta == {"step": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "is not format 1, a sha256 and a meta"),
        ({"format": "2"}, "it is of format 2, but this version reads 1: use the version that wrote it"),
        ({"format": "1.5"}, r"its metadata is wrong: \{'format': 1.5, .*\} is not format 1, a sha256 and a meta"),
        ({"format": '"1"'}, r"its metadata is wrong: \{'format': '1', .*\} is not format 1"),
        ({"more": "0"}, r"its metadata is wrong: \{.*'more': 0.*\} is not format 1"),
        ({"sha256": None}, "is not format 1, a sha256 and a meta"),
        ({"sha256": "0"}, r"\{.*'sha256': 0.*\} is not format 1, a sha256 and a meta"),
        ({"sha256": '"' + "0" * 64 + '"'}, "its content is not what was saved: the checksum differs"),
        ({"meta": "[1]"}, r"\{.*'meta': \[1\].*\} is not format 1, a sha256 and a meta"),
        ({"meta": "{"}, "its metadata is wrong: Expecting "),
        ({"meta": "[" * 100_000}, "its metadata is wrong: maximum recursion depth"),
        ({"meta": '{"loss": NaN}'}, "its metadata is wrong: meta is not JSON: Out of range float values"),
        ({"meta": '{"loss": 1e999}'}, "its metadata is wrong: meta is not JSON: Out of range float values"),
    ],
)
def test_metadata_that_is_not_ours_is_refused(tmp_path, changes, message):
    resaved(tmp_path / "a", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path / "a")
    assert str(tmp_path / "a") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path, rng):
    path = tmp_path / "a"
    save_file(ARRAYS, path, {"format": "np"})
    with pytest.raises(ValueError, match=r"its metadata is wrong: \{\} is not format 1, a sha256 and a meta"):
        load(path)
    np.savez(tmp_path / "b.npz", **ARRAYS)
    contents = [
        b"",
        (tmp_path / "b.npz").read_bytes(),
        b"\x80\x04K\x01.",  # a pickle
        json.dumps(META).encode(),
        (2**62).to_bytes(8, "little") + b"{}",
        bytes(8),
        *(rng.bytes(size) for size in (7, 8, 9, 500)),
    ]
    for header in (
        b"{}",
        b"[]",
        b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}',  # of bits that NumPy does not know
        b'{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}',
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
        b'{"a":{"dtype":"U8","shape":[-2],"data_offsets":[0,2]}}',
        b'{"a":{"dtype":"U8","shape":[18446744073709551615,2],"data_offsets":[0,2]}}',
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}}',
        b'{"__metadata__":{"format":1}}',
    ):
        contents.append(len(header).to_bytes(8, "little") + header + bytes(2 if b"dtype" in header else 0))
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="a is not a checkpoint that can be loaded: "):
            load(path)


@given(content=st.binary(max_size=64), after=st.sampled_from([b"", b"{}", b'{"a":{"dtype":"U8"', b"\0\0"]))
def test_random_bytes_are_refused(tmp_path_factory, content, after):
    path = tmp_path_factory.getbasetemp() / "random"
    path.write_bytes((len(content) + len(after)).to_bytes(8, "little") + after + content)
    with pytest.raises(ValueError, match="random is not a checkpoint that can be loaded: "):
        load(path)


def test_bfloat16_is_read_as_float32(tmp_path):
    """Written by hand, between others: the library gives NumPy no such array."""
    halves = np.array([0x3F80, 0xC000, 0x7F80, 0x4049], "<u2")
    header = {
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [4, 12]},
        "c": {"dtype": "BF16", "shape": [], "data_offsets": [12, 14]},
        "__metadata__": {"from": "a test"},
    }
    text = json.dumps(header).encode()
    content = np.float32(7).tobytes() + halves.tobytes() + halves[1:2].tobytes()
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + content)
    tensors, metadata = checkpoint.read(tmp_path / "a")
    assert metadata == {"from": "a test"}
    expected = np.array([[1, -2], [np.inf, 3.140625]], np.float32)
    np.testing.assert_array_equal(tensors["a"], expected, strict=True)
    np.testing.assert_array_equal(tensors["b"], np.float32([7]), strict=True)
    np.testing.assert_array_equal(tensors["c"], np.array(-2, np.float32), strict=True)


def test_a_dtype_that_numpy_lacks_is_refused(tmp_path):
    text = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + b"\0")
    with pytest.raises(ValueError, match=r"NumPy lacks the dtype of a tensor \(.*\): save it as float32"):
        checkpoint.read(tmp_path / "a")


def test_a_header_of_very_many_bytes_is_refused_before_it_is_parsed(tmp_path):
    """5 MB of brackets: as lists they are 100 MB."""
    record = json.dumps({"format": FORMAT, "sha256": "", "meta": {"classes": "nested"}})
    record = record.replace('"nested"', "[" + ",".join(["[]"] * ((1 << 22) // 3 + 10)) + "]")
    save_file({"x": np.ones(1)}, tmp_path / "a", {"tinyalexnet": record})
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"its header has \d+ bytes, but at most 4194304 are read"):
            load(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_cannot_be_opened_is_an_oserror_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        load(tmp_path / "none")
    with pytest.raises(OSError, match=tmp_path.name):
        load(tmp_path)
    if os.name == "posix":
        os.mkfifo(tmp_path / "fifo")  # which would be waited for
        for path in (tmp_path / "fifo", "/dev/null"):
            with pytest.raises(ValueError, match="is not a checkpoint that can be loaded: it is no regular file"):
                load(path)
    with pytest.raises(FileNotFoundError, match="folder"):
        save(tmp_path / "folder" / "a", ARRAYS, META)


KILL = """
import os, signal, sys
from pathlib import Path
import numpy as np
import safetensors.numpy
from tinyalexnet.training import checkpoint

path, moment = Path(sys.argv[1]), sys.argv[2]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(tensors, filename, metadata):
    Path(filename).write_bytes(b"half a file")
    die()

if moment == "writing":
    safetensors.numpy.save_file = half
elif moment == "fsync":
    os.fsync = die
elif moment == "rename":
    Path.replace = die
checkpoint.save(path, {"w": np.zeros(1000)}, {"step": 8})
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("moment", ["writing", "fsync", "rename", "never"])
def test_a_killed_writer_leaves_the_old_file(tmp_path, moment):
    path = tmp_path / "a"
    content = written(path)
    status = subprocess.run([sys.executable, "-c", KILL, str(path), moment], check=False).returncode
    if moment == "never":
        assert status == 0
        assert load(path)[1] == {"step": 8}
        return
    assert status == -signal.SIGKILL
    assert path.read_bytes() == content
    assert_same(load(path)[0], ARRAYS)
    assert len(list(tmp_path.iterdir())) == 2  # the writer's own file, which stays, and is in nobody's way
    save(path, {"w": np.ones(2)}, {"step": 9})
    assert load(path)[1] == {"step": 9}


def test_the_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    path, events = tmp_path / "a", []
    expected = written(path)
    path.unlink()
    fsync, replace = os.fsync, Path.replace

    def logged_fsync(descriptor):
        events.append(("fsync", os.pread(descriptor, 1 << 20, 0), path.exists()))
        fsync(descriptor)

    def logged_replace(self, target):
        events.append(("replace", self.read_bytes(), path.exists()))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(Path, "replace", logged_replace)
    assert written(path) == expected
    assert events == [("fsync", expected, False), ("replace", expected, False)]


def test_a_full_disk_is_an_oserror_and_leaves_the_old_file(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a"
    content = written(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="a cannot be written: "):
            save(path, {"w": np.ones(4096)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arrays", "meta", "error", "message"),
    [
        ({"__metadata__": np.ones(1)}, {}, ValueError, "arrays has the name '__metadata__', but .* is reserved"),
        ({1: np.ones(1)}, {}, ValueError, "arrays has the name 1, but names must be strings"),
        ({"w": [1.0]}, {}, TypeError, r"arrays\['w'\] is a list, but must be a NumPy array"),
        ({"w": np.float32(1)}, {}, TypeError, r"arrays\['w'\] is a float32, but must be a NumPy array"),
        ({"w": np.array([{}])}, {}, TypeError, r"arrays\['w'\] has dtype object, but must have one of bool, float16"),
        ({"w": np.ones(1, complex)}, {}, TypeError, r"arrays\['w'\] has dtype complex128, but must"),
        ({"w": np.array(["a"])}, {}, TypeError, r"arrays\['w'\] has dtype <U1, but must"),
        ({"w": np.ones(1, ">f4")}, {}, TypeError, r"arrays\['w'\] has dtype >f4, but must"),
        ({"w": np.ones(1, "f4,i4")}, {}, TypeError, r"arrays\['w'\] has dtype \[.*\], but must"),
        ({}, {"loss": float("nan")}, ValueError, "meta is not JSON: Out of range float values"),
        ({}, {"x": np.int64(1)}, ValueError, "meta is not JSON: Object of type int64 is not JSON serializable"),
        ({}, {"x": {1, 2}}, ValueError, "meta is not JSON: Object of type set"),
        ({}, {1: "a"}, ValueError, "meta would not come back equal from JSON, but must be a dict of strings to JSON"),
        ({}, {"x": (1, 2)}, ValueError, "meta would not come back equal from JSON"),
        ({}, [1], ValueError, "meta would not come back equal from JSON, but must be a dict"),
        ({}, None, ValueError, "meta would not come back equal from JSON, but must be a dict"),
    ],
)
def test_what_cannot_be_saved_is_refused_in_one_sentence_and_leaves_the_old_file(
    tmp_path, arrays, meta, error, message
):
    content = written(tmp_path / "a")
    with pytest.raises(error, match=message) as caught:
        save(tmp_path / "a", arrays, meta)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "a").read_bytes() == content
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_meta_that_holds_itself_is_refused(tmp_path):
    meta = {}
    meta["meta"] = meta
    with pytest.raises(ValueError, match="meta is not JSON: Circular reference"):
        save(tmp_path / "a", {}, meta)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="meta is not JSON: maximum recursion depth"):
        save(tmp_path / "a", {}, {"deep": deep})


@pytest.mark.parametrize("module", ["safetensors", "safetensors.numpy"])
def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch, module):
    save(tmp_path / "a", ARRAYS, META)
    monkeypatch.setitem(sys.modules, module, None)
    message = "checkpoints need safetensors: pip install 'tinyalexnet\\[train\\]'"
    with pytest.raises(ImportError, match=f"^{message}$"):
        save(tmp_path / "b", ARRAYS, META)
    assert not (tmp_path / "b").exists()
    if module == "safetensors":
        with pytest.raises(ImportError, match=f"^{message}$"):
            load(tmp_path / "a")


def draws(rng):
    """Draws of every kind, an odd number of 32-bit ones among them, which leaves half of a 64-bit number over."""
    return [rng.random(3), rng.standard_normal(5), rng.integers(0, 10, 3, dtype=np.uint32), rng.permutation(7)]


@pytest.mark.parametrize("used", range(4))
def test_a_resumed_generator_goes_on_bit_for_bit(used):
    rng = np.random.default_rng(20151126)
    rng.integers(0, 10, used, dtype=np.uint32)
    state = json.loads(json.dumps(generator_state(rng)))
    assert state["has_uint32"] == used % 2
    assert state["state"]["state"] > 2**64
    resumed = restore_generator(state)
    assert resumed is not rng
    for one, other in zip(draws(rng), draws(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    assert generator_state(rng) == generator_state(resumed)


def test_a_generator_survives_a_checkpoint(tmp_path):
    rng = np.random.default_rng(3)
    save(tmp_path / "a", {}, {"rng": generator_state(rng)})
    expected = rng.random(100)
    np.testing.assert_array_equal(restore_generator(load(tmp_path / "a")[1]["rng"]).random(100), expected)


def test_a_state_is_a_copy():
    rng = np.random.default_rng(3)
    state = generator_state(rng)
    before = json.dumps(state)
    first = rng.random()
    assert json.dumps(state) == before
    resumed = restore_generator(state)
    assert resumed.random() == first
    assert json.dumps(state) == before


@pytest.mark.parametrize(
    ("rng", "kind"),
    [
        (np.random.Generator(np.random.MT19937(0)), "MT19937"),
        (np.random.Generator(np.random.PCG64DXSM(0)), "PCG64DXSM"),
        (np.random.Generator(np.random.Philox(0)), "Philox"),
        (np.random.PCG64(0), "PCG64"),
        (np.random.RandomState(0), "RandomState"),
        (0, "int"),
    ],
)
def test_another_generator_is_refused(rng, kind):
    with pytest.raises(ValueError, match=f"^rng is a {kind}, but must be a NumPy Generator on PCG64$"):
        generator_state(rng)


def state(**changes):
    """A right state, but for the changes: at and increment are the inner two; None leaves one out."""
    inner = {"state": changes.pop("at", 5), "inc": changes.pop("increment", 7), **changes.pop("inner", {})}
    outer = {"bit_generator": "PCG64", "state": inner, "has_uint32": 0, "uinteger": 0, **changes}
    return {key: value for key, value in outer.items() if value is not None}


def test_the_right_states_are_restored():
    for right in (state(), state(at=2**128 - 1, increment=2**128 - 1, has_uint32=1, uinteger=2**32 - 1), state(at=0)):
        assert generator_state(restore_generator(right)) == right


@pytest.mark.parametrize(
    "wrong",
    [
        *(np.random.Generator(kind(0)).bit_generator.state for kind in (np.random.MT19937, np.random.PCG64DXSM)),
        *(state(**{key: None}) for key in ("bit_generator", "state", "has_uint32", "uinteger")),
        *(state(at=value) for value in (-1, 2**128, 5.0, "5", None, True)),
        *(state(increment=value) for value in (8, 0, -1, 2**128 + 1, 7.0, True)),
        *(state(has_uint32=value) for value in (2, -1, 0.0, False)),
        *(state(uinteger=value) for value in (2**32, -1, "0")),
        state(state=7),
        state(more=1),
        state(inner={"more": 1}),
        {},
        None,
        [],
        "PCG64",
    ],
)
def test_a_malformed_state_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^state is .*, but must be a value of generator_state, for PCG64$"):
        restore_generator(wrong)
