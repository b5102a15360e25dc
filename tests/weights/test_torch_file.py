"""PyTorch's files: tensors come back as saved; damaged, hostile and other files are refused."""

from __future__ import annotations

import argparse
import collections
import io
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from torch_pickles import (
    NUMBERS,
    ORDERED,
    archived,
    integer,
    integers,
    name,
    parameter,
    state_dict,
    storage,
    tensor,
    text,
)

from tinyalexnet.weights import torch_file
from tinyalexnet.weights.torch_file import load


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path} is not a state dict that can be loaded: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


# --- what is read -----------------------------------------------------------------------------------------------------


def test_tensors_come_back_as_views_of_their_storage(tmp_path):
    whole, turned = tensor(), tensor(offset=1, size=(2, 2), stride=(1, 3))
    path = archived(tmp_path / "a", state_dict(whole=whole, turned=turned, parameter=parameter(whole)))
    found = load(str(path))
    assert list(found) == ["whole", "turned", "parameter"]
    np.testing.assert_array_equal(found["whole"], NUMBERS.reshape(2, 3), strict=True)
    np.testing.assert_array_equal(found["turned"], NUMBERS.reshape(2, 3)[:, 1:].T, strict=True)
    np.testing.assert_array_equal(found["parameter"], found["whole"])
    assert np.shares_memory(found["whole"], found["turned"])
    assert not any(array.flags.writeable for array in found.values())


@pytest.mark.parametrize("kind", torch_file.STORAGES)
def test_every_dtype(tmp_path, kind):
    values = np.array([0, 1, 1, 0, 1, 0], torch_file.STORAGES[kind])
    of = storage(kind=kind.removeprefix("torch "))
    path = archived(tmp_path / "a", state_dict(t=tensor(of)), {"data/0": values.tobytes()})
    np.testing.assert_array_equal(load(path)["t"], values.reshape(2, 3), strict=True)


def test_scalars_empty_tensors_and_strides_that_are_never_taken(tmp_path):
    pickled = state_dict(
        scalar=tensor(offset=5, size=(), stride=()),
        empty=tensor(size=(0, 3), stride=(3, 1)),
        nothing=tensor(storage("1", 0), size=(2, 0, 2**40), stride=(7, 7, 7)),
        row=tensor(size=(1, 3), stride=(2**62, 2)),
        deep=tensor(size=(1,) * 64, stride=(7,) * 64),
    )
    found = load(archived(tmp_path / "a", pickled, {"data/0": NUMBERS.tobytes(), "data/1": b""}))
    np.testing.assert_array_equal(found["scalar"], np.float32(5))
    assert [array.shape for array in found.values()] == [(), (0, 3), (2, 0, 2**40), (1, 3), (1,) * 64]
    np.testing.assert_array_equal(found["row"], [[0, 2, 4]])


def test_the_versions_of_modules_are_left_out(tmp_path):
    version = b"}" + text("") + b"}" + text("version") + b"K\x01ss"
    metadata = b"}" + text("_metadata") + version + b"s"
    pickled = state_dict(t=tensor())[:-1] + metadata + b"b."
    for folder, byteorder in (("weights/", b"little"), ("archive/", None)):
        path = archived(tmp_path / "a", pickled, byteorder=byteorder, folder=folder)
        assert list(load(path)) == ["t"]


def test_the_memo_and_every_kind_of_value(tmp_path):
    """Every kind of value in _metadata is read, checked and ignored; the memo gives back the same object."""
    values = b"N\x88\x89K\x01M\x01\x00J\x01\x00\x00\x00\x8a\x01\x01G\x3f\xf0\x00\x00\x00\x00\x00\x00"
    metadata = b"}" + text("_metadata") + b"}" + text("values") + b"(" + values + b"\x85tss"
    memo = text("t") + b"q\x00" + tensor() + b"r\xff\xff\xff\x7fs" + text("u") + b"j\xff\xff\xff\x7fs"
    found = load(archived(tmp_path / "a", b"\x80\x02" + ORDERED + metadata + b"b" + memo + b"."))
    np.testing.assert_array_equal(found["t"], NUMBERS.reshape(2, 3))
    assert found["u"] is found["t"]


def test_a_file_that_cannot_be_opened_is_an_oserror_that_names_it(tmp_path):
    for function in (load, torch_file.is_torch_file):
        with pytest.raises(FileNotFoundError, match="none"):
            function(tmp_path / "none")


def test_what_is_a_torch_file(tmp_path):
    path = archived(tmp_path / "a", state_dict())
    assert torch_file.is_torch_file(path)
    assert load(path) == {}
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    assert torch_file.is_torch_file(path)
    refused(
        path, "the format from before PyTorch 1.6, but must be saved again, by today's torch.save or as safetensors"
    )
    path.write_bytes(b"\x80\x02\0\0\0\0\0\0{")
    assert not torch_file.is_torch_file(path)


def test_bfloat16_becomes_float32(tmp_path):
    """Read once for all its tensors, which share it; written by hand: 1, -2, infinity, 3.140625, the least, NaN."""
    halves = np.array([0x3F80, 0xC000, 0x7F80, 0x4049, 0x0001, 0x7FC0], "<u2")
    of = storage(kind="BFloat16Storage")
    pickled = state_dict(t=tensor(of), part=tensor(of, offset=1, size=(2,), stride=(2,)))
    found = load(archived(tmp_path / "a", pickled, {"data/0": halves.tobytes()}))
    expected = np.array([[1, -2, np.inf], [3.140625, 2.0**-133, np.nan]], np.float32)
    np.testing.assert_array_equal(found["t"], expected, strict=True)
    np.testing.assert_array_equal(found["part"], np.array([-2, 3.140625], np.float32), strict=True)
    assert np.shares_memory(found["t"], found["part"])
    assert not found["t"].flags.writeable


def test_a_storage_has_one_type_and_one_size(tmp_path):
    for other in (storage(kind="IntStorage"), storage(count=5)):
        path = archived(tmp_path / "a", state_dict(a=tensor(), b=tensor(other, size=(1,), stride=(1,))))
        refused(path, r"the storage '0' has two types or sizes \(byte \d+ of data.pkl, BINPERSID\)")


def wrapped(**values):
    """A dict as ``state_dict``, to be a value in another one."""
    return state_dict(**values)[2:-1]


OPTIMIZER = b"}" + text("state") + b"}K\x00}K\x01Nsss" + text("groups") + b"](K\x01]K\x02aes"
"""{"state": {0: {1: None}}, "groups": [1, [2]]}"""


@pytest.mark.parametrize("key", torch_file.WRAPPERS)
def test_a_state_dict_inside_the_state_of_a_training(tmp_path, key):
    pickled = state_dict(epoch=b"K\x03", optimizer=OPTIMIZER, **{key: wrapped(t=tensor())}, best=tensor())
    path, said = archived(tmp_path / "a\nb", pickled), []
    found = load(path, said.append)
    assert list(found) == ["t"]
    np.testing.assert_array_equal(found["t"], NUMBERS.reshape(2, 3))
    shown = str(path).replace("\n", "\\n")
    assert said == [f"{shown}: the weights are those under {key!r}; what is beside them is left out"]


def test_a_state_dict_inside_two_others_or_inside_itself(tmp_path):
    inner = wrapped(state_dict=wrapped(t=tensor()))
    path, said = archived(tmp_path / "a", state_dict(epoch=b"N", model=inner)), []
    assert list(load(path, said.append)) == ["t"]
    assert said[0].endswith("the weights are those under 'model.state_dict'; what is beside them is left out")
    for count, is_read in ((len(torch_file.WRAPPERS), True), (len(torch_file.WRAPPERS) + 1, False)):
        nested = wrapped(t=tensor())
        for _ in range(count - 1):
            nested = wrapped(model=nested)
        archived(path, state_dict(model=nested))
        if is_read:
            assert list(load(path)) == ["t"]
        else:
            refused(path, "'model' is a OrderedDict, but must be a tensor")
    itself = b"\x80\x02}q\x00" + text("model") + b"h\x00s."
    refused(archived(path, itself), "'model' is a dict, but must be a tensor")


def test_a_state_dict_under_another_key(tmp_path):
    """If it is the only dict of tensors; the optimizer's has others."""
    other = wrapped(t=tensor())
    path = archived(tmp_path / "a", state_dict(optimizer=OPTIMIZER, backbone=other, empty=ORDERED))
    said = []
    assert list(load(path, said.append)) == ["t"]
    assert said[0].endswith("the weights are those under 'backbone'; what is beside them is left out")
    refused(archived(path, state_dict(one=other, other=other)), "'one' is a OrderedDict, but must be a tensor")


def test_namespaces_counts_and_numpys_scalars_beside_it_are_left_out(tmp_path, monkeypatch):
    """As pickle writes them; nothing of them is called."""
    monkeypatch.setattr(argparse, "Namespace", lambda: pytest.fail("it is called"))
    namespace = name("argparse", "Namespace") + b")\x81}" + text("lr") + b"Nsb"
    dtype = name("numpy", "dtype") + text("f8") + b"\x89\x88\x87R(K\x03" + text("<") + b"NNNtb"
    scalar = name("numpy.core.multiarray", "scalar") + dtype + name("_codecs", "encode") + text("x") + b"\x85R\x86R"
    counts = name("collections", "defaultdict") + name("__builtin__", "int") + b"\x85R(" + text("a") + b"K\x01u"
    pickled = state_dict(args=namespace, best=scalar, counts=counts, model=wrapped(t=tensor()))
    assert list(load(archived(tmp_path / "a", pickled))) == ["t"]
    refused(archived(tmp_path / "a", state_dict(t=namespace)), "'t' is a argparse Namespace, but must be a tensor")


def test_what_torch_saves_of_a_training(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    of_training = {
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, name="x"),
        "best": np.float64(0.5),
        "counts": collections.defaultdict(int, a=1),
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
    }
    torch.save(of_training, tmp_path / "a.pth")
    found = load(tmp_path / "a.pth")
    assert list(found) == ["weight", "bias"]
    np.testing.assert_array_equal(found["weight"], net.weight.detach().numpy())


def test_a_state_dict_alone_is_not_spoken_of(tmp_path):
    said = []
    load(archived(tmp_path / "a", state_dict(model=tensor())), said.append)
    assert said == []


def test_numbers_for_names_are_refused(tmp_path):
    refused(archived(tmp_path / "a", b"\x80\x02}K\x01" + text("x") + b"s."), "'1' is a str, but must be a tensor")


# --- what is refused: the pickle --------------------------------------------------------------------------------------

SYSTEM = name("os", "system") + text("touch hacked") + b"\x85R"
DOUBLED = b")q\x00" + b"h\x00\x86q\x00" * 1000
CALL = "it would call {}, but may call only 'collections OrderedDict', "


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (SYSTEM, CALL.format("'os system'") + r".* \(byte \d+ of data.pkl, REDUCE\)"),
        (
            name("torch._utils", "_rebuild_tensor_v3") + integers(1) + b"R",
            CALL.format("'torch._utils _rebuild_tensor_v3'"),
        ),
        (name("collections", "OrderedDict") + b"(" + integers(1) + b"tR", CALL.format("'collections OrderedDict'")),
        (name("torch._utils", "_rebuild_tensor_v2") + b")R", CALL.format("'torch._utils _rebuild_tensor_v2'")),
        (
            name("torch._utils", "_rebuild_parameter") + b"(N\x88" + ORDERED + b"tR",
            CALL.format("'torch._utils _rebuild_parameter'"),
        ),
        (text("os system") + b")R", r"it would call a str \(byte"),
        (tensor() + b")R", "it would call a ndarray"),
        (name("o", "s" * 10_000) + b")R", "it would call 'o s{78}', "),
        (name("os", "system") + b"b", "only an OrderedDict's _metadata may be set"),
        (b"}}b", "only an OrderedDict's _metadata may be set"),
        (ORDERED + b"}" + text("__class__") + b"Nsb", "only an OrderedDict's _metadata may be set"),
        (ORDERED + b"Nb", "only an OrderedDict's _metadata may be set"),
        (b"\x8f", r"torch.save writes nothing of the kind into a state dict \(byte \d+ of data.pkl, EMPTY_SET\)"),
        (b"]", "'t' is a list, but must be a tensor"),
        (b"](a", "the stack is empty"),
        (b"}Na", "items must be for a list"),
        (b"}(NNe", "items must be for a list"),
        (b"]q\x00h\x00a", "'t' is a list, but must be a tensor"),
        (b"I" + b"9" * 100_000 + b"\n", "nothing of the kind .* INT"),
        (b"ctorch\nNet\n)\x81", "it would make a 'torch Net', so it is no state dict but whole: .* NEWOBJ"),
        (b"N)\x81", "it would make an object of no type"),
        (b"\x82\x01", "nothing of the kind .* EXT1"),
        (b"\xff", r"nothing of the kind .* '\\xff'"),
        (b"\x80\x04", "its protocol is 4, but must be 2"),
        (b"0", "nothing of the kind .* POP"),
        (b"t", r"the stack has no mark .byte .*, SETITEMS"),
        (b"h\x07", r"nothing was put at 7 \(byte \d+ of data.pkl, BINGET\)"),
        (b"(q\x00", "the stack is empty"),
        (b"NK\x01Ns", "items must be strings and values, for a dict"),
        (b"}NNs", "items must be strings and values, for a dict"),
        (b"}\x88Ns", "items must be strings and values, for a dict"),
        (b"}(" + text("odd") + b"u", "items must be strings and values, for a dict"),
        (b"X\xff\xff\xff\xffabc", "expected 4294967295 bytes in a unicodestring4, but only"),
        (b"X\x01\0\0\0\xff", "can't decode byte 0xff"),
        (b"\x8a\xff1", "not enough data in stream to read long1"),
        (b"NQ", "a storage must be named by its type, its key, its device and its size"),
        (storage().replace(b"ctorch\nFloatStorage\n", text("torch FloatStorage")), "a storage must be named by"),
        (storage(count=-6), r"'data/0' has 24 bytes, but must have at most -24"),
        (storage(kind="ComplexFloatStorage"), "'torch ComplexFloatStorage' is no storage that NumPy has a dtype for"),
        (storage("1"), r"it has no member 'data/1' \(byte \d+ of data.pkl, BINPERSID\)"),
        (storage("../data.pkl"), "it has no member 'data/../data.pkl'"),
        (storage(count=5), "'data/0' has 24 bytes, but must have at most 20"),
        (storage(count=7), "'data/0' has 24 bytes, but must have 28"),
        (storage(count=2**70), "'data/0' has 24 bytes, but must have 4722366482869645213696"),
        (tensor(storage() + b"0"), "POP"),
        (b"K\x01", "'t' is a int, but must be a tensor"),
        (ORDERED, "'t' is a OrderedDict, but must be a tensor"),
        (b")" + b"\x85" * 20_000, "'t' is a tuple, but must be a tensor"),
        (b"}q\x00" + (text("a") + b"}") * 10_000 + b"s" * 10_000, "'t' is a dict, but must be a tensor"),
        (b"}q\x00" + text("itself") + b"h\x00s", "'t' is a dict, but must be a tensor"),
        (DOUBLED, "'t' is a tuple, but must be a tensor"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(tmp_path, monkeypatch, value, message):
    monkeypatch.chdir(tmp_path)
    refused(archived(tmp_path / "a", state_dict(t=value)), message)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"", r"the kind into a state dict \(byte 0 of data.pkl, the end\)"),
        (b"\x80\x02}", r"the kind into a state dict \(byte 3 of data.pkl, the end\)"),
        (b"\x80\x02.", "the stack is empty"),
        (b"\x80\x02(.", "the stack is empty"),
        (b"\x80\x02t.", "the stack has no mark"),
        (b"\x80\x02}}.", "there is more after the end"),
        (b"\x80\x02}.}", "there is more after the end"),
        (b"\x80\x02N.", "it holds a NoneType, but must hold a dict of tensors"),
        (pickle.dumps({"t": 1}, 2) * 2, "there is more after the end"),
        (pickle.dumps({"t": 1}, 4), "its protocol is 4, but must be 2"),
        (b"\x80\x02}" + bytes(torch_file.MOST_PICKLE), "'data.pkl' has 4194307 bytes, but must have at most 4194304"),
    ],
)
def test_a_pickle_that_makes_no_dict_is_refused(tmp_path, pickled, message):
    refused(archived(tmp_path / "a", pickled), message)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (1, (2, 3), (3, 1)),
        (6, (1,), (1,)),
        (7, (), ()),
        (0, (7,), (1,)),
        (0, (2,), (6,)),
        (0, (7,), (0,)),
        (0, (2**40, 2**40), (0, 0)),
        (0, (2**62, 4), (0, 0)),
        (0, (2,), (2**62,)),
        (2**62, (2,), (2**62,)),
    ],
)
def test_a_tensor_may_not_leave_its_storage_or_have_more_elements(tmp_path, offset, size, stride):
    path = archived(tmp_path / "a", state_dict(t=tensor(offset=offset, size=size, stride=stride)))
    refused(path, r"a tensor leaves its storage of 6 elements \(byte \d+ of data.pkl, REDUCE\)")


@pytest.mark.parametrize(
    "arguments",
    [
        {"offset": -1},
        {"size": (-2, 3)},
        {"stride": (-3, 1)},
        {"stride": (3,)},
        {"size": (1,) * 65, "stride": (0,) * 65},
        {"offset": 2**64},
        {"size": (0, 2**64)},
    ],
)
def test_sizes_must_be_sizes(tmp_path, arguments):
    path = archived(tmp_path / "a", state_dict(t=tensor(**arguments)))
    refused(path, "offset, sizes and strides must be integers from 0 up")


@pytest.mark.parametrize("size", [integer(2) + integer(3) + b"\x86", b"\x89\x88\x86", text("23"), b"N"])
def test_sizes_must_be_tuples_of_integers(tmp_path, size):
    pickled = state_dict(t=tensor())
    assert pickled.count(integers(2, 3)) == 1
    path = archived(tmp_path / "a", pickled.replace(integers(2, 3), size))
    if size.startswith(b"J"):
        assert load(path)["t"].shape == (2, 3)
    else:
        refused(path, "offset, sizes and strides must be integers from 0 up")


def test_sizes_that_numpy_does_not_take_are_refused(tmp_path):
    refused(
        archived(tmp_path / "a", state_dict(t=tensor(size=(0, 2**62), stride=(1, 1)))), r"\(byte \d+ of data.pkl, R"
    )


# --- what is refused: the archive -------------------------------------------------------------------------------------


def test_archives_that_torch_does_not_write_are_refused(tmp_path):
    path, good = tmp_path / "a", state_dict(t=tensor())
    refused(archived(path, good, compression=zipfile.ZIP_DEFLATED), "it has compressed members, but torch.save")
    refused(archived(path, good, byteorder=b"big"), "its byteorder is not little")
    refused(archived(path, good, byteorder=b"little!"), "'byteorder' has 7 bytes, but must have at most 6")
    refused(archived(path, good, folder=""), "it has 0 members FOLDER/data.pkl, but must have one")
    refused(archived(path, good, {"more/data.pkl": b""}), "it has 2 members FOLDER/data.pkl, but must have one")
    refused(archived(path, good, {}), "it has no member 'data/0'")
    path.write_bytes(b"PK\x03\x04")
    refused(path, "it is no zip archive: File is not a zip file")
    archived(path, good)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("weights/data/0", NUMBERS.tobytes())
    refused(path, "it has two members of the same name")


def test_members_on_top_of_each_other_are_refused(tmp_path):
    """Forty entries of the directory for the same 64 KiB would be 2.5 MiB in memory."""
    content, pickled = bytes(1 << 16), state_dict(t=tensor(storage(count=1 << 14)))
    path = archived(tmp_path / "a", pickled, {f"data/{key:02}": content for key in range(40)})
    with zipfile.ZipFile(path) as archive:
        first = archive.getinfo("weights/data/00").header_offset
        entries = archive.infolist()
    whole = path.read_bytes()
    begin = whole.index(b"PK\x01\x02")
    directory, at = bytearray(whole[begin:]), 0
    for entry in entries:
        if "/data/" in entry.filename:
            directory[at + 42 : at + 46] = struct.pack("<I", first)
        at += 46 + len(entry.filename)
    end = first + 30 + len("weights/data/00") + len(content)
    directory[-6:-2] = struct.pack("<I", end)
    path.write_bytes(whole[:end] + directory)
    refused(path, r"its members have more bytes than the file, which has 68452")


def test_a_member_that_says_to_be_large_is_refused(tmp_path):
    path = archived(tmp_path / "a", state_dict(t=tensor(storage(count=1 << 30))))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1) + 1)
    for sizes, message in (
        (20, "compressed"),
        (24, "compressed"),
        ((20, 24), "its members have more bytes than the file"),
    ):
        changed = bytearray(content)
        for offset in (sizes,) if isinstance(sizes, int) else sizes:
            changed[at + offset : at + offset + 4] = struct.pack("<I", 1 << 32 - 1)
        path.write_bytes(changed)
        refused(path, message)


def test_a_changed_number_is_found_by_the_checksum(tmp_path):
    path = archived(tmp_path / "a", state_dict(t=tensor()))
    content = bytearray(path.read_bytes())
    content[content.index(NUMBERS.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    refused(path, "its member 'data/0' cannot be read: Bad CRC-32")


def test_every_truncation_is_refused(tmp_path):
    content = archived(tmp_path / "a", state_dict(t=tensor())).read_bytes()
    for size in range(len(content)):
        (tmp_path / "a").write_bytes(content[:size])
        refused(tmp_path / "a", "it is no zip archive: ")


def same_or_refused(content, folder):
    path = folder / "any"
    path.write_bytes(content)
    began = time.perf_counter()
    try:
        found = load(path)
    except ValueError as error:
        assert str(error).startswith(f"{path} is not a state dict that can be loaded: ")  # noqa: PT017
        found = {}
    assert time.perf_counter() - began < 5  # it takes milliseconds
    return found


GOOD = state_dict(a=tensor(), b=parameter(tensor(offset=1, size=(5,), stride=(1,))))


@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bits_of_a_file_are_refused_or_change_nothing(tmp_path_factory, flips):
    folder = tmp_path_factory.getbasetemp()
    content = bytearray(archived(io.BytesIO(), GOOD).getvalue())
    for at, flip in flips:
        content[int(at * len(content))] ^= flip
    for key, array in same_or_refused(content, folder).items():
        expected = {"a": NUMBERS.reshape(2, 3), "b": NUMBERS[1:]}[key]
        np.testing.assert_array_equal(array, expected)


@given(
    begin=st.integers(0, len(GOOD)),
    length=st.integers(0, 8),
    between=st.lists(st.binary(max_size=4) | st.sampled_from([*map(bytes, zip(GOOD)), b"(", b"u", b"}"]), max_size=6),
)
@example(begin=0, length=0, between=[])
def test_any_change_of_the_pickle_is_refused_or_gives_views_of_the_storage(tmp_path_factory, begin, length, between):
    pickled = GOOD[:begin] + b"".join(between) + GOOD[begin + length :]
    for array in same_or_refused(archived(io.BytesIO(), pickled).getvalue(), tmp_path_factory.getbasetemp()).values():
        assert array.size <= NUMBERS.size
        assert np.isin(array, NUMBERS).all()
        assert not array.flags.writeable


@given(content=st.binary(max_size=200), before=st.sampled_from([b"", torch_file.ZIP, torch_file.LEGACY]))
def test_random_bytes_are_refused(tmp_path_factory, content, before):
    assert same_or_refused(before + content, tmp_path_factory.getbasetemp()) == {}


def test_memory_is_bounded_by_the_file(tmp_path):
    """A thousand tensors of one storage of a megabyte take it once."""
    count = 1 << 18
    one = tensor(storage(count=count), size=(count,), stride=(1,))
    path = archived(tmp_path / "a", state_dict(**{f"t{k}": one for k in range(1000)}), {"data/0": bytes(4 * count)})
    tracemalloc.start()
    try:
        assert len(load(path)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 5 * path.stat().st_size
    finally:
        tracemalloc.stop()


def repeated(instruction, size):
    """A pickle of about so many bytes, of an instruction that never ends."""
    return b"\x80\x02}q\x00" + instruction * ((size - 5) // len(instruction))


def position(instruction, instructions, most):
    """The byte of the first that is too many: three come before those that are repeated."""
    assert (most - 3) % instructions == 0
    return 5 + (most - 3) // instructions * len(instruction)


@pytest.mark.parametrize(
    ("instruction", "instructions"), [(b"(", 1), (b")", 1), (b"}", 1), (b"(t", 2), (b"}q\x00", 2), (b"(h\x00t", 3)]
)
def test_the_memory_of_the_most_instructions(tmp_path, monkeypatch, instruction, instructions):
    """Each makes an object; those of four megabytes would take half a gigabyte. Measured on fewer: it is linear."""
    most = 6003
    path = archived(tmp_path / "a", repeated(instruction, 10 * most))
    at = position(instruction, instructions, most)
    whole = torch_file.MOST_INSTRUCTIONS
    monkeypatch.setattr(torch_file, "MOST_INSTRUCTIONS", most)
    tracemalloc.start()
    try:
        refused(path, rf"it goes on after {most} instructions, the most that are executed \(byte {at} of data.pkl, ")
        assert tracemalloc.get_traced_memory()[1] < (100 << 20) * most // whole
    finally:
        tracemalloc.stop()


def test_four_megabytes_of_instructions_are_not_executed(tmp_path):
    at = position(b"}", 1, 1 << 18)
    path = archived(tmp_path / "a", repeated(b"}", torch_file.MOST_PICKLE))
    assert 10 * at < path.stat().st_size
    refused(
        path, rf"it goes on after 262144 instructions, the most that are executed \(byte {at} of data.pkl, EMPTY_DICT"
    )


def test_the_most_instructions_are_executed(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_file, "MOST_INSTRUCTIONS", 6)
    path = archived(tmp_path / "a", state_dict())  # protocol, GLOBAL, EMPTY_TUPLE, REDUCE, MARK, SETITEMS; then STOP
    assert load(path) == {}
    monkeypatch.setattr(torch_file, "MOST_INSTRUCTIONS", 5)
    refused(path, r"it goes on after 5 instructions, the most that are executed \(byte \d+ of data.pkl, SETITEMS\)")


# --- PyTorch itself ---------------------------------------------------------------------------------------------------


def test_what_torch_saves(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(5, 2))
    tensors = net.state_dict()
    whole = torch.arange(24.0).reshape(4, 6)
    tensors |= {
        "transposed": whole.T,
        "part": whole[1:3, ::2],
        "half": whole.half(),
        "bfloat16": (whole + 1 / 3).bfloat16(),
        "one of it": (whole + 1 / 3).bfloat16()[2, 3],
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2.5),
        "parameter": torch.nn.Parameter(whole[0]),
        "flags": torch.tensor([True, False]),
    }
    torch.save(tensors, tmp_path / "a.pth")
    found = load(tmp_path / "a.pth")
    assert list(found) == list(tensors)
    for key, value in tensors.items():
        expected = value.float() if value.dtype is torch.bfloat16 else value.detach()
        np.testing.assert_array_equal(found[key], expected.numpy(), strict=True)
    assert np.shares_memory(found["transposed"], found["part"])


@pytest.mark.parametrize(
    ("value", "how", "message"),
    [
        ("complex64", {}, "'torch ComplexFloatStorage' is no storage that NumPy has a dtype for"),
        ("uint16", {}, "'torch.storage UntypedStorage' is no storage"),
        ("float32", {"_use_new_zipfile_serialization": False}, "the format from before PyTorch 1.6, but must"),
        ("float32", {"pickle_protocol": 4}, "its protocol is 4, but must be 2"),
    ],
)
def test_what_torch_saves_and_numpy_has_not(tmp_path, value, how, message):
    torch = pytest.importorskip("torch")
    torch.save({"t": torch.ones(2, dtype=getattr(torch, value))}, tmp_path / "a.pth", **how)
    refused(tmp_path / "a.pth", message)


def test_more_than_a_state_dict_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    for value, message in (
        (
            torch.nn.Linear(2, 2),
            "it would make a 'torch.nn.modules.linear Linear', so .* whole: where PyTorch is, .* NEWOBJ",
        ),
        ({"model": torch.nn.Linear(2, 2)}, "it would make a 'torch.nn.modules.linear Linear', so it is no state dict"),
        ({"epoch": 3, "optimizer": {}}, "'epoch' is a int, but must be a tensor"),
        ({"t": torch.ones(1).expand(9)}, "a tensor leaves its storage of 1 elements"),
    ):
        torch.save(value, tmp_path / "a.pth")
        refused(tmp_path / "a.pth", message)
