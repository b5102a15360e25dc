"""The child's side: values that travel, requests and their replies, and limits, all in this process."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tinyalexnet.dojo import child
from tinyalexnet.dojo.child import Learner, Opaque, decode, encode, serve


def travelled(value):
    """A value as it comes out on the other side."""
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -(2**62), 0.1, float("inf"), "text", (1, (2.5, None)), [1, [2]], {"x": (1, 2), 3: [True]}, {}, ()],
)
def test_plain_values_travel_as_they_are(value):
    found = travelled(value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64", "complex128", ">f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 3)])
def test_arrays_travel_with_dtype_and_shape(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    found = travelled(array)
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.dtype == array.dtype
    assert found.flags.writeable
    scalar = travelled(np.float32(2.5))
    assert (scalar, scalar.dtype) == (2.5, np.float32)
    assert isinstance(scalar, np.float32)


def test_any_layout_travels():
    array = np.arange(12.0).reshape(3, 4)[::2, ::-1].T
    np.testing.assert_array_equal(travelled(array), array)


def test_sets_travel_as_lists():
    assert sorted(travelled({(1, 2), (0, 1)})) == [(0, 1), (1, 2)]


def nested(depth):
    return [nested(depth - 1)] if depth else []


def test_what_is_too_much_to_send_is_described():
    rows = travelled([[0.0] * 1000] * 1000)
    assert rows == [[0.0] * 1000] * 1000
    rows = travelled([[0.0] * 1000] * 5000)
    assert len(rows) == 5000
    assert rows[0] == [0.0] * 1000
    assert rows[-1] == Opaque("a list")
    arrays = travelled((np.zeros(2 << 20), np.zeros(2)))
    assert arrays[0] == Opaque("a float64 array of shape (2097152,)")
    assert arrays[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("most", "value", "sent"),
    [
        # A list and its five items count 16 bytes each.
        (96, [0] * 5, [0] * 5),
        (96, [0] * 6, Opaque("a list")),
        (16 + 40, np.zeros(5), [0.0] * 5),
        (16 + 40, np.zeros(6), Opaque("a float64 array of shape (6,)")),
        # A tuple, two items, and twice two float64.
        (3 * 16 + 2 * 16, (np.zeros(2), np.zeros(2)), ([0.0, 0.0], [0.0, 0.0])),
        (3 * 16 + 2 * 16 - 1, (np.zeros(2), np.zeros(2)), ([0.0, 0.0], Opaque("a float64 array of shape (2,)"))),
    ],
)
def test_bytes_are_counted_for_items_and_arrays_up_to_the_limit(monkeypatch, most, value, sent):
    monkeypatch.setattr(child, "MOST_BYTES", most)
    found = travelled(value)
    parts = found if isinstance(found, tuple) else (found,)
    parts = tuple(part.tolist() if isinstance(part, np.ndarray) else part for part in parts)
    assert (parts if isinstance(sent, tuple) else parts[0]) == sent


@pytest.mark.parametrize("longest", [2**63 - 1, 1 - 2**63, "x" * 1000])
def test_the_largest_int_and_the_longest_text_travel(longest):
    assert travelled(longest) == longest
    longer = longest + "x" if isinstance(longest, str) else longest + (1 if longest > 0 else -1)
    assert isinstance(travelled(longer), Opaque)


class Odd:
    pass


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**70, "an int of more than 63 bits"),
        ("x" * 2000, "a str"),
        (Odd(), "an Odd"),
        (print, "a builtin_function_or_method"),
        (np.array([1, None]), "an object array of shape (2,)"),
        (np.array(["a"]), "a <U1 array of shape (1,)"),
        (np.broadcast_to(1.0, (10**5, 10**5)), "a float64 array of shape (100000, 100000)"),
    ],
)
def test_other_values_are_described(value, words):
    assert travelled(value) == Opaque(words)


def test_lists_that_are_nested_too_deep_are_described():
    assert travelled(nested(20)) == [[[[[[[[Opaque("a list")]]]]]]]]
    endless = []
    endless.append(endless)
    assert str(travelled(endless)).count("Opaque") == 1


FILE = '''
import dataclasses

@dataclasses.dataclass
class Kept:
    x: "int"

value = (1, 2)

def double(x, times=2, *, more=0, **others):
    """Twice."""
    return x * times + more

def spoil(x):
    x += 1

def fails(x):
    return double(x)[9]

def ends():
    raise SystemExit(3)

def slow(x):
    import time
    time.sleep(0.02)
    return x
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "learned.py"
    path.write_text(FILE)
    yield str(path)
    for name in ("exercise", "old"):
        sys.modules.pop(name, None)


@pytest.fixture
def learner(file):
    learner = Learner(file)
    assert learner.answer({"do": "load"}) == {}
    return learner


def test_nothing_is_written_beside_the_file(learner, tmp_path):
    assert [path.name for path in tmp_path.iterdir()] == ["learned.py"]


def test_values_and_functions_are_described(learner):
    assert learner.answer({"do": "value", "name": "value"}) == {"value": {"tuple": [1, 2]}}
    functions = ["double", "spoil", "fails", "ends", "slow"]
    assert learner.answer({"do": "value", "name": "missing"}) == {"missing": functions}
    assert learner.answer({"do": "about", "function": "missing"}) == {"missing": functions}
    assert learner.answer({"do": "about", "function": "value"}) == {"value": {"tuple": [1, 2]}}
    parameters = [["x", True], ["times", False], ["more", False]]
    assert learner.answer({"do": "about", "function": "double"}) == {"parameters": parameters, "any": True}


def test_annotations_are_those_of_the_file_and_not_text(tmp_path):
    path = tmp_path / "learned.py"
    path.write_text("def f(x: int):\n    return x\n")
    assert child.load(str(path), "annotated")["f"].__annotations__ == {"x": int}
    del sys.modules["annotated"]


def call(learner, function, **arguments):
    sent = json.loads(json.dumps({name: encode(value) for name, value in arguments.items()}))
    reply = learner.answer({"do": "call", "function": function, "arguments": sent})
    return decode(reply["returned"]), reply["changed"]


def test_a_call_has_arguments_of_its_own_and_says_which_it_changed(learner):
    x = np.arange(3.0)
    found, changed = call(learner, "double", x=x, times=3)
    assert found.tolist() == [0, 3, 6]
    assert changed == []
    assert call(learner, "spoil", x=x) == (None, ["x"])
    assert call(learner, "spoil", x=1) == (None, [])
    assert x.tolist() == [0, 1, 2]


def test_a_race_has_three_rounds_at_least_and_no_more_than_asked(learner, file):
    request = {"do": "race", "function": "slow", "old": file, "arguments": {"x": 1}}
    for rounds, seconds, count in ((5, 9.0, 5), (50, 0.0, 3), (2, 0.0, 2)):
        took = learner.answer({**request, "rounds": rounds, "seconds": seconds})
        assert len(took["old"]) == len(took["new"]) == count
        assert all(0.02 <= time < 5 for side in took.values() for time in side)


def served(path, *requests):
    replies = io.StringIO()
    serve(path, [json.dumps(request) for request in requests], replies)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


LOAD = {"do": "load"}


def test_what_was_refused_is_the_reply_even_if_the_code_hid_it(file):
    replies = io.StringIO()
    serve(str(file), [json.dumps(LOAD)], replies, lambda: "reads the key")
    (failed,) = json.loads(replies.getvalue()).values()
    assert (failed["type"], failed["message"]) == ("RefusedError", "reads the key")


def test_each_reply_is_sent_before_the_next_request_is_read(file):
    replies = io.TextIOWrapper(io.BytesIO())  # as a pipe's, it keeps what is not flushed

    def requests():
        for count in range(3):
            assert replies.buffer.getvalue().count(b"\n") == count
            yield json.dumps(LOAD)

    serve(file, requests(), replies)


def test_replies_are_a_line_each_and_failures_too(file):
    call = {"do": "call", "arguments": {"x": encode(np.zeros(2))}}
    loaded, fails, ends = served(
        file, LOAD, {**call, "function": "fails"}, {"do": "call", "function": "ends", "arguments": {}}
    )
    assert loaded == {}
    message = "index 9 is out of bounds for axis 0 with size 2"
    source = "return double(x)[9]"
    assert fails["failed"] == {"type": "IndexError", "message": message, "line": 18, "source": source}
    assert (ends["failed"]["type"], ends["failed"]["line"]) == ("SystemExit", 21)


def test_a_failure_has_500_characters_of_its_message_and_200_of_its_line(tmp_path):
    path = tmp_path / "learned.py"
    path.write_text(f"raise ValueError('{'m' * 501}')")
    (reply,) = served(str(path), LOAD)
    assert reply["failed"]["message"] == "m" * 500
    assert reply["failed"]["source"] == f"raise ValueError('{'m' * 182}"
    assert len(reply["failed"]["source"]) == 200


def test_the_line_of_a_failure_is_that_of_the_file_as_it_is_now(tmp_path):
    path = tmp_path / "learned.py"
    for text in ("raise ValueError(1)", "raise ValueError(1 + 1)"):
        path.write_text(text)
        (reply,) = served(str(path), LOAD)
        assert reply["failed"]["source"] == text
    sys.modules.pop("exercise", None)


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("x = 1\ndef f(:\n", "SyntaxError", 2),
        ("def f():\nreturn 1\n", "IndentationError", 2),
        ("x = 1\nimport no_such_module\n", "ModuleNotFoundError", 2),
        ("x = 1\nimport json\njson.loads('{')", "JSONDecodeError", 3),
        ("eval('1 +')", "SyntaxError", 1),
        ("x = '\0'", "SyntaxError", None),
    ],
)
def test_a_file_that_cannot_be_read_has_its_line(tmp_path, text, kind, line):
    path = tmp_path / "wrong.py"
    path.write_text(text)
    (reply,) = served(str(path), LOAD)
    sys.modules.pop("exercise", None)
    if "\0" in text:  # Python 3.10 and 3.11 raise a ValueError
        assert reply["failed"]["type"] in ("SyntaxError", "ValueError")
    else:
        assert (reply["failed"]["type"], reply["failed"]["line"]) == (kind, line)


def test_limits_are_set_where_the_system_has_them(monkeypatch):
    done = []

    def setrlimit(which, limits):
        if which == 3:
            raise ValueError("not on this system")
        done.append((which, limits))

    fake = SimpleNamespace(
        RLIMIT_AS=1,
        RLIMIT_FSIZE=2,
        RLIMIT_CORE=3,
        RLIM_INFINITY=-1,
        getrlimit=lambda which: (0, -1 if which == 1 else 500),
        setrlimit=setrlimit,
    )
    monkeypatch.setitem(sys.modules, "resource", fake)
    child.limit(AS=1000, CORE=0, FSIZE=1000)
    assert done == [(1, (1000, -1)), (2, (500, 500))]
    monkeypatch.setitem(sys.modules, "resource", None)
    child.limit(AS=1000)
    assert len(done) == 2


def test_imports_look_where_the_learners_file_is(tmp_path):
    own = str(tmp_path)
    folder = str(child.Path(child.__file__).parent)
    assert child.search_path(f"{own}/learned.py", [folder, "/lib"]) == [own, "/lib"]


def test_the_child_imports_nothing_of_the_package_and_no_compiler():
    import subprocess

    script = f"import runpy, sys; runpy.run_path({child.__file__!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert "numpy" in modules
    assert not [name for name in modules if name.split(".")[0] in ("tinyalexnet", "numba", "scipy", "rich")]
