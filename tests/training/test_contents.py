"""Checkpoints with a right checksum and wrong contents: refused in one line, and the training stays as it was."""

from __future__ import annotations

import copy
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_training import DATASET, SETTINGS, TINY

from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.console import Console
from tinyalexnet.training import Settings, Training, checkpoint, contents, train
from tinyalexnet.training.run import Files
from tinyalexnet.weights import load


@pytest.fixture(autouse=True, scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, "tiny", TINY)
        yield


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):
    """The arrays and the meta of a real checkpoint, after three steps."""
    path = tmp_path_factory.mktemp("saved") / "a"
    training = Training(Settings(**SETTINGS), DATASET)
    for _ in range(3):
        training.advance()
    training.save(path)
    return checkpoint.load(path)


@pytest.fixture(scope="module")
def training(tiny):
    """A training that has taken a step, so that nothing of it is as in the checkpoint."""
    training = Training(Settings(**SETTINGS), DATASET)
    training.advance()
    return training


def state(training, folder):
    """All bits that a training depends on."""
    training.save(folder / "state")
    return (folder / "state").read_bytes()


def changed(meta, where, value):
    """A copy of ``meta`` with another value at a path of keys; ``None`` for a value takes the key away."""
    new = copy.deepcopy(meta)
    inner = new
    for key in where[:-1]:
        inner = inner[key]
    if value is None:
        del inner[where[-1]]
    else:
        inner[where[-1]] = value
    return new


def refusal(read, path):
    try:
        read(path)
    except ValueError as error:
        return str(error)
    return None


def refusals(folder, training, arrays, meta):
    """The messages of ``restore`` and of ``load``, None if one accepts; a refusal leaves everything as it was."""
    path = folder / "hostile"
    checkpoint.save(path, arrays, meta)
    content, found = path.read_bytes(), []
    for read in (training.restore, load):
        before = state(training, folder)  # the second may refuse what the first has taken
        message = refusal(read, path)
        found.append(message)
        if message is not None:
            assert "\n" not in message
            assert str(path) in message
            assert len(message) < len(str(path)) + 4000
            assert state(training, folder) == before
            assert path.read_bytes() == content
    return found


F = np.float32
GENERATOR = {"bit_generator": "PCG64", "state": {"state": 5, "inc": 7}, "has_uint32": 0, "uinteger": 0}
SUMS = {"steps": 3, "loss": 3.0, "right": 5, "images": 24}
UNKNOWN = "which this version does not know: use the version of tinyalexnet that wrote it"


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("w:fc2.w", np.ones(1, F), r"does not fit 'tiny': it has w:fc2\.w of shape \(1,\) in place of \(36, 3\)"),
        ("v:fc2.b", np.ones((), F), r"it has v:fc2\.b of shape \(\) in place of \(3,\)"),
        ("w:fc2.b", np.ones((1, 3), F), r"it has w:fc2\.b of shape \(1, 3\) in place of \(3,\)"),
        ("w:fc2.b", None, r"it lacks w:fc2\.b"),
        ("v:fc2.b", None, r"it lacks v:fc2\.b"),
        ("w:fc2.b", np.ones(3, bool), r"has w:fc2\.b of bool, but it must be float32"),
        ("w:fc2.b", np.ones(3, np.int64), r"has w:fc2\.b of int64, but it must be float32"),
        ("w:fc2.b", np.ones(3), r"has w:fc2\.b of float64, but it must be float32"),
        ("v:fc2.b", np.ones(3, np.float16), r"has v:fc2\.b of float16, but it must be float32"),
        ("w:fc2.b", np.array([0, np.nan, 1], F), r"has elements of w:fc2\.b that are not finite"),
        ("v:conv1.b", np.array([0, 1, 2, -np.inf], F), r"has elements of v:conv1\.b that are not finite"),
        ("mean", np.full((7, 8, 3), np.nan, F), "has elements of mean that are not finite"),
        ("mean", np.ones((7, 8, 3)), "has mean of float64, but it must be float32"),
        ("mean", np.ones((1, 1, 1), F), r"has a mean of shape \(1, 1, 1\), but it must be"),
        ("w:fc9.w", np.ones(1, F), r"it should not have 'w:fc9\.w'"),
        ("x:a\nb", np.ones(1, F), r"it should not have 'x:a\\nb'"),
    ],
)
def test_an_array_that_is_wrong_is_named_by_both_readers(tmp_path, saved, training, name, array, message):
    arrays = {key: value for key, value in saved[0].items() if key != name} | ({} if array is None else {name: array})
    for found in refusals(tmp_path, training, arrays, saved[1]):
        assert re.search(message, found)


def test_very_many_arrays_are_not_all_named(tmp_path, saved, training):
    arrays = saved[0] | {f"w:{k}": np.ones(1, F) for k in range(1000)}
    for found in refusals(tmp_path, training, arrays, saved[1]):
        assert re.search(r"it should not have 'w:0', .*, and 960 more$", found)


def test_as_many_arrays_as_fit_a_line_are_all_named():
    shapes = {f"a{k}": (1,) for k in range(contents.NAMED)}
    assert contents.misfits({}, shapes) == ", ".join(f"lacks {name}" for name in shapes)
    assert contents.misfits({}, {**shapes, "b": (1,)}).endswith(f"lacks {list(shapes)[-1]}, and 1 more")
    assert contents.misfits({"x" * 81: np.ones(1)}, {}) == f"should not have {'x' * 80!r}"


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (["generators"], None, "lacks 'generators', but must have settings, data, run, generators"),
        (["run"], None, "lacks 'run', but must have"),
        (["data"], None, "lacks 'data', but must have"),
        (["settings"], None, "must be a checkpoint of python -m tinyalexnet train, but is of something else"),
        (["settings"], [1], "must be a checkpoint of python -m tinyalexnet train, but is of something else"),
        (["optimizer"], {"kind": "lamb"}, f"has the part 'optimizer', {UNKNOWN}"),
        (["settings", "label_smoothing"], 0.1, f"has the setting 'label_smoothing', {UNKNOWN}"),
        (["settings", "batch_size"], "8", "has the setting batch_size '8', but it must be an int"),
        (["settings", "batch_size"], 8.0, r"has the setting batch_size 8\.0, but it must be an int"),
        (["settings", "batch_size"], -8, "has the setting batch_size -8, but it must be at least 1"),
        (["settings", "checkpoint_every"], 0, "has the setting checkpoint_every 0, but it must be at least 1"),
        (["settings", "pad"], False, "has the setting pad False, but it must be an int"),
        (["settings", "mirror"], 0, "has the setting mirror 0, but it must be true or false"),
        (["settings", "momentum"], "0.9", r"has the setting momentum '0\.9', but it must be a finite number"),
        (["settings", "momentum"], 10**400, "has the setting momentum 1000.*, but it must be a finite number"),
        (["settings", "schedule"], 3, "has the setting schedule 3, but it must be a text"),
        (["settings", "views"], 2, "has the setting views 2, but it must be 1 or 10"),
        (["data"], 3, "has the data 3, but must have a text"),
        (["scale"], "1", "has a scale that is no number above 0 and up to 1"),
        (["scale"], -0.5, "has a scale that is no number above 0 and up to 1"),
        (["scale"], 1.5, "has a scale that is no number above 0 and up to 1"),
        (["classes"], {}, "has other classes than a list of names"),
        (["classes"], [], "has other classes than a list of names"),
        (["classes"], [1, 2, 3], "has other classes than a list of names"),
        (["generators"], [], r"has the generators \[\], but must have a state for each by its name"),
        (["generators", "drop2"], {}, r"has a generator that is none: state is \{\}, but must be"),
        (["run"], 7, "has the progress 7, but must have a number of steps and sums over some of them, of 8 images"),
        (["run", "step"], -1, "has the progress .* but must have a number of steps"),
        (["run", "step"], True, "has the progress "),
        (["run", "step"], 2.0, "has the progress "),
        (["run", "step"], 10**30, "has the progress "),
        (["run", "step"], 2**53 + 1, "has the progress "),  # a float does not hold it
        (["run", "step"], 2, "has the progress "),  # fewer than the sums are over
        (["run", "more"], 1, "has the progress "),
        (["run", "logged"], None, "has the progress "),
        (["run", "epoch"], {}, "has the progress "),
        (["run", "epoch"], {**SUMS, "more": 1}, "has the progress "),
        (["run", "epoch"], {**SUMS, "images": 23}, "has the progress "),
        (["run", "epoch"], {**SUMS, "images": 0, "right": 0}, "has the progress "),
        (["run", "epoch"], {**SUMS, "right": 25}, "has the progress "),
        (["run", "epoch"], {**SUMS, "loss": 1e300}, "has the progress "),
        (["run", "epoch"], {**SUMS, "loss": 1}, "has the progress "),
        (["run", "logged"], {**SUMS, "steps": -3}, "has the progress "),
    ],
)
def test_a_value_that_is_wrong_is_named_by_both_readers(tmp_path, saved, training, where, value, message):
    for found in refusals(tmp_path, training, saved[0], changed(saved[1], where, value)):
        assert re.search(message, found)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (["settings", "batch_size"], 9, "has the progress .*, of 9 images each"),
        (["settings", "momentum"], 0.5, r"momentum is 0\.9, but must be 0\.5 as in"),
        (["settings", "schedule"], "x\n" * 99, "schedule is 'constant', but must be 'x.* as in"),
        (["generators", "drop3"], GENERATOR, "has generators of other layers, but must have those of drop2"),
        (["generators"], {}, "has generators of other layers, but must have those of drop2"),
        (["data"], "y" * 9999, "data is tiny, .*, but must be yyy"),
        (["classes"], ["striped", "light", "dark"], "data has other classes than those in"),
    ],
)
def test_a_value_of_another_run_is_refused_by_restore(tmp_path, saved, training, where, value, message):
    assert re.search(message, refusals(tmp_path, training, saved[0], changed(saved[1], where, value))[0])


def test_a_variant_of_a_newer_version_is_refused_by_name(tmp_path, saved, training):
    for variant in ("vgg", "tf2015"):  # the second does not classify
        found = refusals(tmp_path, training, saved[0], changed(saved[1], ["settings", "variant"], variant))
        assert f"variant is 'tiny', but must be '{variant}'" in found[0]
        assert f"has the variant '{variant}', which this version does not know as one that classifies" in found[1]


def test_a_network_without_dropout_has_no_generators(tmp_path, saved, monkeypatch):
    without = TINY.layers[:4] + TINY.layers[5:]
    monkeypatch.setitem(VARIANTS, "tiny", replace(TINY, layers=without))
    training = Training(Settings(**SETTINGS), DATASET)
    found, _ = refusals(tmp_path, training, *saved)
    assert "has generators of other layers, but must have those of no layer" in found


def test_a_run_that_is_refused_leaves_its_files_as_they_were(tmp_path, saved):
    path, log = tmp_path / "run", tmp_path / "log"
    checkpoint.save(path, saved[0], changed(saved[1], ["settings", "ema"], 0.99))
    log.write_text('{"step": 3}\n{"step": 4}\n')
    before = path.read_bytes(), log.read_bytes()
    with pytest.raises(ValueError, match="run has the setting 'ema', which this version does not know"):
        train(
            Settings(**SETTINGS), DATASET, io.StringIO(), Console(io.StringIO(), True), Files(str(path), True, str(log))
        )
    assert (path.read_bytes(), log.read_bytes()) == before
    assert sorted(tmp_path.iterdir()) == [log, path]


def test_a_free_setting_may_differ_and_a_whole_checkpoint_is_taken(tmp_path, saved):
    training = Training(Settings(**SETTINGS), DATASET)
    assert refusals(tmp_path, training, saved[0], changed(saved[1], ["settings", "epochs"], 77)) == [None, None]
    assert training.progress.step == 3
    for name, value in training.net.params.items():
        np.testing.assert_array_equal(value, saved[0][f"w:{name}"])


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**64), 10**300, 1e308, "", "a\nb", "\ud800", "\x1b[2J"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(value, at=()):
    """The paths to all parts of a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*at, key)
            yield from places(inner, (*at, key))


@given(data=st.data())
def test_any_part_changed_to_anything_is_refused_in_one_line_or_means_something(
    tmp_path_factory, saved, training, data
):
    where = data.draw(st.sampled_from(list(places(saved[1]))))
    meta = changed(saved[1], where, data.draw(VALUES))
    folder = tmp_path_factory.getbasetemp()
    before = state(training, folder)
    found = refusals(folder, training, saved[0], meta)
    if found[0] is None:
        assert checkpoint.load(folder / "state")  # what was taken can be saved
        Training.restore(training, _file(folder, before))


def _file(folder, content):
    (folder / "before").write_bytes(content)
    return folder / "before"
