"""The matrix: its cells, its table, its file, what Ctrl-C leaves, and how it goes on."""

from __future__ import annotations

import io
import json
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

import bench
from tests.benchmark.at_once import AtOnce
from tinyalexnet.alexnet import VARIANTS, Conv, Drop, Flat, Full, Pool, Relu, Variant
from tinyalexnet.benchmark import cells, matrix, versus
from tinyalexnet.benchmark.cells import Cell
from tinyalexnet.benchmark.matrix import _Progress
from tinyalexnet.benchmark.options import BATCHES, Matrix, Options, check_matrix
from tinyalexnet.benchmark.timing import Workload
from tinyalexnet.benchmark.versus import Choice, Comparison
from tinyalexnet.console import Console
from tinyalexnet.devices import host

PLAIN = Variant((9, 9, 3), (Conv("conv1", 4, 3, 2, "VALID"), Pool("pool1", 2, 1), Relu("relu1")), weight_std=0.1)
LABELLED = Variant((9, 9, 3), (Conv("conv1", 4, 3, 2), Relu("relu1"), Flat(), Drop("drop2"), Full("fc2")), 5, 0.1)

TORCH, ORT = Choice("torch"), Choice("onnxruntime")


@pytest.fixture(autouse=True)
def variants(monkeypatch):
    monkeypatch.setitem(VARIANTS, "plain", PLAIN)
    monkeypatch.setitem(VARIANTS, "labelled", LABELLED)


class FakePeer:
    """In place of another framework's process."""

    versions = {"torch": "torch 9", "onnxruntime": "onnxruntime 8"}  # noqa: RUF012
    running = 0

    def __init__(self, choice, threads, net, images, labels):
        self.choice, self.labels, self.batch_size = choice, labels, len(images)
        self.version = self.versions[choice.framework]

    def __enter__(self):
        FakePeer.running += 1
        return self

    def __exit__(self, *_):
        FakePeer.running -= 1


@pytest.fixture
def timer(monkeypatch):
    """Peers that are faked, and times that are: what was measured, and what to raise in which measurement."""
    state = SimpleNamespace(measured=[], wrong={})

    def time_in_turn(peers, work, passes, rounds, done):
        at = len(state.measured)
        if at in state.wrong:
            done()
            raise state.wrong.pop(at)
        state.measured.append((work.images.shape[0], [peer.choice.name for peer in peers]))
        own = {name: [2.0 + i for i in range(rounds)] for name in passes}
        comparisons = []
        for number, peer in enumerate(peers):
            factor = (len(work.images) + 1) / 2 / (1 + number)
            seconds = {name: [(t, t * factor) for t in own[name]] for name in passes if peer.choice.computes(name)}
            comparisons.append(Comparison(peer.choice.framework, peer.version, seconds))
        for _ in range(rounds * len(passes)):
            done()
        return own, comparisons

    def compare_results(peers, work, comparisons):
        for peer, comparison in zip(peers, comparisons, strict=True):
            comparison.output_difference = 1e-7 * len(work.images)
            if peer.choice.computes("Forward-backward"):
                comparison.gradient_differences = {"conv1.w": 2e-6, "conv1.b": 1e-6 * len(work.images)}

    FakePeer.running = 0
    monkeypatch.setattr(matrix, "Peer", FakePeer)
    monkeypatch.setattr(matrix, "time_in_turn", time_in_turn)
    monkeypatch.setattr(matrix, "compare_results", compare_results)
    return state


@pytest.fixture
def drawn(monkeypatch):
    """The pictures that would have been drawn: the places of their cells."""
    found = []
    monkeypatch.setattr(
        matrix.plots,
        "matrix",
        lambda cells, title, path: found.append(([(c.variant, c.batch_size) for c in cells], title, path)),
    )
    return found


def options(**changes):
    return Options(**{"backend": "reference", "rounds": 3, "versus": (TORCH, ORT), "threads": 1, **changes})


def run(options, resume=False, variants=("plain", "labelled"), batches=(1, 4)):
    out, err = io.StringIO(), io.StringIO()
    code = matrix.run(options, Matrix(True, variants, batches, resume), out, Console(err, False))
    return code, out.getvalue().splitlines(), err.getvalue().splitlines()


# --- which cells ------------------------------------------------------------------------------------------------------


def test_without_a_choice_every_variant_has_every_batch_size(monkeypatch):
    for name in ("plain", "labelled"):
        monkeypatch.delitem(VARIANTS, name)
    found = check_matrix(Options(), Matrix(True))
    assert len(found) == len(set(found)) == len(VARIANTS) * len(BATCHES)
    assert found[:5] == [("tf2015", 1), ("tf2015", 8), ("tf2015", 32), ("tf2015", 128), ("tf2017", 1)]


def test_the_cells_are_chosen_once_each_in_the_order_given():
    chosen = Matrix(True, ("mnist", "digits", "mnist"), (8, 1, 8))
    assert check_matrix(Options(), chosen) == [("mnist", 8), ("mnist", 1), ("digits", 8), ("digits", 1)]


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_table_and_its_summary(timer):
    """The fake PyTorch takes (N + 1) / 2 times as long as this package, for N images, and the other half of that."""
    code, out, err = run(options())
    assert code == 0
    assert out == [
        "variant         batch  pass              s / step  torch               onnxruntime",
        "plain               1  Forward                  3  1.00 (1.00 1.00)    0.50 (0.50 0.50)",
        "plain               1  Forward-backward         3  1.00 (1.00 1.00)    -",
        "plain               4  Forward                  3  2.50 (2.50 2.50)    1.25 (1.25 1.25)",
        "plain               4  Forward-backward         3  2.50 (2.50 2.50)    -",
        "labelled            1  Forward                  3  1.00 (1.00 1.00)    0.50 (0.50 0.50)",
        "labelled            1  Forward-backward         3  1.00 (1.00 1.00)    -",
        "labelled            4  Forward                  3  2.50 (2.50 2.50)    1.25 (1.25 1.25)",
        "labelled            4  Forward-backward         3  2.50 (2.50 2.50)    -",
        "torch 9, Forward: ahead in 2 of 4 cells, behind in 0; least 1.00 times as fast (plain, batch 1)",
        "torch 9, Forward-backward: ahead in 2 of 4 cells, behind in 0; least 1.00 times as fast (plain, batch 1)",
        "relative difference of the output at most 4.0e-07 (plain, batch 4), of the gradients at most 4.0e-06 (plain, "
        "batch 4)",
        "onnxruntime 8, Forward: ahead in 2 of 4 cells, behind in 2; least 0.50 times as fast (plain, batch 1)",
        "relative difference of the output at most 4.0e-07 (plain, batch 4)",
    ]
    assert len(err) == 1
    assert "| backend reference, 1 threads |" in err[0]
    assert timer.measured == [(n, ["torch", "onnxruntime"]) for n in (1, 4, 1, 4)]
    assert FakePeer.running == 0


def test_the_summary_is_of_quartiles_and_the_least_is_by_the_median():
    """One cell with quartiles of 1 and 9, where it is not ahead, and one with 2.5 and 3.5."""
    found = [
        Cell(name, 1, "", {}, {"torch": Comparison("torch", "torch 9", {"Forward": [(1.0, r) for r in ratios]}, 1e-7)})
        for name, ratios in (("plain", (1, 1, 2, 9, 9)), ("labelled", (2.5, 2.5, 3, 3.5, 3.5)))
    ]
    first, _ = cells.summary(found)
    assert first == "torch 9, Forward: ahead in 1 of 2 cells, behind in 0; least 2.00 times as fast (plain, batch 1)"


def test_every_line_is_shown_at_once(timer, monkeypatch):
    with AtOnce() as out:
        matrix.run(options(), Matrix(True, ("plain",), (1, 4), False), out, Console(io.StringIO(), False))
        assert len(out.getvalue().splitlines()) == 10
        # And those that say what is left out.
        monkeypatch.setattr(host.Device, "free_memory", lambda self: 1)
        matrix.run(options(), Matrix(True, ("plain",), (1, 4), False), out, Console(io.StringIO(), False))
        assert out.getvalue().count("left out") == 2


def test_without_another_framework_it_has_the_times_of_this_one(timer):
    _, out, _ = run(options(versus=(), passes=("Forward",)), variants=("plain",))
    assert out == [
        "variant         batch  pass              s / step",
        "plain               1  Forward                  3",
        "plain               4  Forward                  3",
    ]


def test_a_cell_that_does_not_fit_in_memory_is_left_out(timer, tmp_path, monkeypatch, drawn):
    """The 50 MB of this package count for each of the three processes. Later, with more memory, it is measured."""
    target = tmp_path / "m.json"
    monkeypatch.setattr(host.Device, "free_memory", lambda self: 100_000_000)
    code, out, _ = run(options(json=str(target), plot="a.svg"), variants=("plain",), batches=(4,))
    assert (code, drawn) == (0, [])
    reason = "needs about 0.2 GB of memory, and 0.1 GB is available"
    assert out[1:] == [f"plain               4  left out: {reason}"]
    stored = json.loads(target.read_text())
    assert stored["cells"] == timer.measured == []
    assert stored["left_out"] == [{"variant": "plain", "batch_size": 4, "reason": reason}]
    monkeypatch.setattr(host.Device, "free_memory", lambda self: None)
    run(options(json=str(target)), resume=True, variants=("plain",), batches=(4,))
    stored = json.loads(target.read_text())
    assert (len(stored["cells"]), stored["left_out"]) == (1, [])


def test_three_processes_may_need_all_memory(timer, monkeypatch):
    monkeypatch.setattr(matrix, "memory_estimate", lambda *_: 1_000_000_000)
    free = iter([3_000_000_000, 2_999_999_999])
    monkeypatch.setattr(host.Device, "free_memory", lambda self: next(free))
    _, out, _ = run(options(passes=("Forward",)), variants=("plain",))
    assert out[1].startswith("plain               1  Forward ")
    assert out[2] == "plain               4  left out: needs about 3.0 GB of memory, and 3.0 GB is available"
    assert timer.measured == [(1, ["torch", "onnxruntime"])]


def test_each_pass_is_taken_once_before_it_is_timed(timer, monkeypatch):
    """So that no turn has fewer steps because the first waited for a compiler; compiled ahead, in two processes."""
    taken = []
    monkeypatch.setattr(Workload, "finished_step", lambda self, name: lambda: taken.append(name))
    monkeypatch.setattr(host.Device, "compile_ahead", lambda self, run, *_: (taken.append("ahead"), run()))
    run(options(), variants=("plain",))
    passes = ["Forward", "Forward-backward"]
    assert taken == ["ahead", *passes, *passes] * 2


def test_memory_of_earlier_cells_is_given_back(timer, monkeypatch):
    events = []
    monkeypatch.setattr(host.Device, "release_memory", lambda self: events.append("released"))
    monkeypatch.setattr(host.Device, "free_memory", lambda self: events.append("asked"))
    run(options(), variants=("plain",))
    assert events == ["released", "asked"] * 2


def test_the_picture_has_the_cells_that_were_asked_for(timer, drawn, tmp_path):
    _, _, err = run(options(plot=str(tmp_path / "a.svg")), variants=("plain",))
    ((places, title, path),) = drawn
    assert places == [("plain", 1), ("plain", 4)]
    assert title.endswith(", medians of 3 rounds")
    assert err[-1] == f"wrote {path}"


def test_a_real_framework_and_real_clocks(monkeypatch, tmp_path, capsys):
    """That of ``fake_network.py``, through the command line."""
    monkeypatch.setitem(versus.PACKAGES, "fake", "fake-cpu")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(versus, "TURN_SECONDS", 0.01)
    target = tmp_path / "m.json"
    line = (
        f"--matrix --backend reference --variants plain labelled --batches 2 --rounds 2 --versus fake --json {target}"
    )
    assert bench.main([*line.split(), "--python", sys.executable, "--quiet"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in out[1:5]] == [
        [name, "2", of] for name in ("plain", "labelled") for of in ("Forward", "Forward-backward")
    ]
    assert out[5].startswith("fake 1.2, Forward: ahead in ")
    first, second = json.loads(target.read_text())["cells"]
    assert (first["variant"], second["variant"], second["batch_size"]) == ("plain", "labelled", 2)
    for cell in (first, second):
        found = cell["versus"]["fake"]
        assert found["output_difference"] < 1e-6
        assert all(value > 0 for pairs in found["seconds"].values() for pair in pairs for value in pair)
        assert [ours for ours, _ in found["seconds"]["Forward"]] == cell["seconds"]["Forward"]


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_has_what_the_times_depend_on(timer, tmp_path):
    target = tmp_path / "m.json"
    _, _, err = run(options(json=str(target)), variants=("labelled",), batches=(4,))
    assert err[-1] == f"wrote {target}"
    stored = json.loads(target.read_text())
    shared = {"backend": "reference", "algorithm": "auto", "precision": "float32", "threads": 1, "seed": 0}
    shared |= {"no_graph": False, "rounds": 3, "passes": ["Forward", "Forward-backward"]}
    assert stored["options"] == shared | {"versus": ["torch", "onnxruntime"]}
    assert {"python", "numpy", "numba", "tinyalexnet", "code"} <= set(stored["versions"])
    assert {"name", "model", "cores", "blas"} == set(stored["cpu"])
    (cell,) = stored["cells"]
    assert abs((datetime.now() - datetime.fromisoformat(cell["date"])).total_seconds()) < 600
    assert cell["seconds"] == {"Forward": [2.0, 3.0, 4.0], "Forward-backward": [2.0, 3.0, 4.0]}
    assert list(cell["versus"]) == ["torch", "onnxruntime"]
    found = cell["versus"]["torch"]
    assert (found["version"], found["ratio"]["Forward"]) == ("torch 9", [2.5, 2.5, 2.5])
    assert found["seconds"]["Forward"] == [[2.0, 5.0], [3.0, 7.5], [4.0, 10.0]]
    assert found["gradient_differences"] == {"conv1.w": 2e-6, "conv1.b": 4e-6}


def test_it_is_whole_after_every_cell(timer, tmp_path):
    target = tmp_path / "m.json"
    timer.wrong[2] = ChildProcessError("versus is 'torch', but its process ended: killed")
    with pytest.raises(ChildProcessError, match="killed"):
        run(options(json=str(target)))
    assert FakePeer.running == 0
    assert [cell["batch_size"] for cell in json.loads(target.read_text())["cells"]] == [1, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


def test_ctrl_c_keeps_the_finished_cells_and_a_later_run_measures_the_others(timer, tmp_path, drawn):
    target = tmp_path / "m.json"
    how = {"json": str(target), "plot": str(tmp_path / "a.svg")}
    _, whole, _ = run(options(json=str(tmp_path / "whole.json")))
    timer.measured.clear()
    timer.wrong[1] = KeyboardInterrupt()
    code, out, err = run(options(**how))
    assert (code, FakePeer.running, drawn) == (130, 0, [])
    assert out[:3] == whole[:3]
    assert out[3] == "torch 9, Forward: ahead in 0 of 1 cells, behind in 0; least 1.00 times as fast (plain, batch 1)"
    assert err[1:] == [f"wrote {target}", "the same command with --resume measures the cells that are not in it"]
    assert len(timer.measured) == 1
    code, out, _ = run(options(**how), resume=True)
    assert (code, out) == (0, whole)
    assert len(timer.measured) == 4
    assert len(drawn[0][0]) == 4
    undated = [
        [cell | {"date": ""} for cell in json.loads(path.read_text())["cells"]]
        for path in (target, tmp_path / "whole.json")
    ]
    assert undated[0] == undated[1]


def test_ctrl_c_before_the_first_cell_writes_nothing(timer, tmp_path, monkeypatch):
    timer.wrong[0], caught = KeyboardInterrupt(), []
    monkeypatch.setattr(matrix.interrupts, "caught", lambda: caught.append(1))
    code, out, err = run(options(json=str(tmp_path / "m.json")))
    assert (code, len(out), len(err), caught) == (130, 1, 1, [1])
    assert not list(tmp_path.iterdir())


def test_it_goes_on_with_other_cells_and_keeps_those_it_was_not_asked_for(timer, tmp_path):
    target = tmp_path / "m.json"
    run(options(json=str(target)), variants=("plain",), resume=True)
    _, out, _ = run(options(json=str(target)), variants=("labelled",), batches=(4,), resume=True)
    assert len(timer.measured) == 3
    assert [line.split()[0] for line in out[1:3]] == ["labelled"] * 2
    assert [(c["variant"], c["batch_size"]) for c in json.loads(target.read_text())["cells"]] == [
        ("plain", 1),
        ("plain", 4),
        ("labelled", 4),
    ]
    run(options(json=str(target)), variants=("plain",), batches=(1,))
    assert len(json.loads(target.read_text())["cells"]) == 1, "without --resume the file is a new one"


def test_all_cells_of_a_file_are_measured_alike(timer, tmp_path, monkeypatch):
    target = tmp_path / "m.json"
    run(options(json=str(target)), variants=("plain",), batches=(1,))
    for change, message in (
        ({"rounds": 4}, "where rounds of options is 3, but now it is 4: give another file"),
        ({"versus": (TORCH,)}, r"where versus of options is \['torch', 'onnxruntime'\], but now it is \['torch'\]"),
        ({"passes": ("Forward",)}, "where passes of options is"),
    ):
        with pytest.raises(ValueError, match=message):
            run(options(json=str(target), **change), resume=True)
    monkeypatch.setitem(FakePeer.versions, "torch", "torch 10")
    with pytest.raises(ValueError, match="whose cells have torch 9, but now it is torch 10: give another file"):
        run(options(json=str(target)), resume=True)
    assert len(timer.measured) == 1
    for part, name, value in (
        ("versions", "numpy", "0"),
        ("versions", "code", "0"),
        ("cpu", "model", "25"),
        ("cpu", "cores", 999),
    ):
        stored = json.loads(target.read_text())
        stored[part][name] = value
        (tmp_path / "other.json").write_text(json.dumps(stored))
        with pytest.raises(ValueError, match=f"where {name} of {part} is {value!r}, but now it is "):
            run(options(json=str(tmp_path / "other.json")), resume=True)


def test_what_a_file_says_at_length_is_shown_in_short(timer, tmp_path, monkeypatch):
    target = tmp_path / "m.json"
    run(options(json=str(target)), variants=("plain",), batches=(1,))
    good = target.read_text()
    monkeypatch.setitem(FakePeer.versions, "torch", "torch 10")
    for path, long in ((("versions", "numpy"), "x" * 9000), (("cells", 0, "versus", "torch", "version"), "y" * 9000)):
        stored = json.loads(good)
        place = stored
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = long
        target.write_text(json.dumps(stored))
        with pytest.raises(ValueError, match=f"{long[:199]}.*, but now it is") as caught:
            run(options(json=str(target)), resume=True)
        assert len(str(caught.value)) < 500


def damages():
    """Changes of a file with one cell, none of which may pass for a matrix."""
    inside = {
        "variant": 3,
        "batch_size": "4",
        "date": None,
        "seconds": [[], {}, {"Forward": [2.0] * 3}, {"Forward": [2.0] * 3, "Forward-backward": [2.0] * 2}],
        "versus": [[], {}, {"onnxruntime": {}, "torch": {}}, {"torch": {}, "onnxruntime": {}}],
    }
    for name, values in inside.items():
        for value in values if isinstance(values, list) else [values]:
            yield lambda cell, name=name, value=value: cell.update({name: value})
    for wrong in (0.0, -1.0, float("nan"), float("inf"), 2, "2", True, [2.0]):
        yield lambda cell, wrong=wrong: cell["seconds"]["Forward"].__setitem__(1, wrong)
        yield lambda cell, wrong=wrong: cell["versus"]["torch"]["seconds"]["Forward"][0].__setitem__(1, wrong)
    yield lambda cell: cell["versus"]["torch"]["seconds"]["Forward"].__setitem__(0, [1.0])
    for name in ("framework", "version", "seconds", "output_difference", "gradient_differences", "has_dropout"):
        yield lambda cell, name=name: cell["versus"]["torch"].update({name: None})
    yield lambda cell: cell["versus"]["torch"]["gradient_differences"].update(a="b")


def test_a_damaged_file_is_refused_in_one_sentence(timer, tmp_path):
    target = tmp_path / "m.json"
    run(options(json=str(target)), variants=("plain",), batches=(1,))
    good = target.read_text()
    texts = [
        "",
        "{",
        "[]",
        "3",
        "{}",
        "[" * 100_000,
        '{"options": 3}',
        "\udcff",
        good.replace('"cells": [', '"cells": [3,'),
    ]
    texts.append(json.dumps(json.loads(good) | {"cells": 3}))
    for damage in damages():
        stored = json.loads(good)
        damage(stored["cells"][0])
        texts.append(json.dumps(stored))
    assert len(texts) > 40
    for text in texts:
        target.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(ValueError, match=r"but must be a file of --matrix to go on from$"):
            run(options(json=str(target)), variants=("plain",), batches=(1,), resume=True)
    target.write_text(good)
    assert run(options(json=str(target)), variants=("plain",), batches=(1,), resume=True)[0] == 0
    assert len(timer.measured) == 1


def test_what_a_file_calls_a_framework_cannot_move_the_cursor(timer, tmp_path):
    target = tmp_path / "m.json"
    run(options(json=str(target)), variants=("plain",), batches=(1,))
    target.write_text(target.read_text().replace("torch 9", "torch \\u001b[2J"))
    _, out, _ = run(options(json=str(target)), variants=("plain",), batches=(1,), resume=True)
    assert out[3].startswith(r"torch \x1b[2J, Forward: ahead in 0 of 1 cells")


# --- what is said meanwhile -------------------------------------------------------------------------------------------


def test_it_says_which_cell_it_measures_and_how_long_it_will_take(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(matrix, "time", SimpleNamespace(monotonic=lambda: now[0]))
    said = []
    checked = []
    monkeypatch.setattr(matrix.interrupts, "check", lambda: checked.append(1))
    progress = _Progress(Console(io.StringIO(), False), [("a", 1), ("b", 2), ("c", 3), ("d", 4)])
    with progress.shown():
        for place, seconds in (("a", 7260), ("b", 100), ("c", 80), ("d", 1)):
            with progress.cell(place, 8, 5) as following:
                following("preparing")
                following("measuring")
                said.append(progress._text)
                now[0] += seconds
    assert said == [
        "cell 1 of 4, a, batch 8: 1 of 5, measuring",
        "cell 2 of 4, b, batch 8, about 6 h 3 min left: 1 of 5, measuring",
        "cell 3 of 4, c, batch 8, about 2 h 3 min left: 1 of 5, measuring",
        "cell 4 of 4, d, batch 8, about 41 min left: 1 of 5, measuring",
    ]
    assert len(checked) == 8
    progress = _Progress(Console(io.StringIO(), False), [("a", 1), ("b", 2)])
    for name, left in (("a", ""), ("b", ", nearly done")):
        with progress.cell(name, 8, 5):
            assert progress._text == f"cell {1 + (name == 'b')} of 2, {name}, batch 8{left}"
            now[0] += 10


@pytest.mark.parametrize("shows_bars", [True, False])
def test_where_no_bars_are_shown_it_is_said_now_and_then(shows_bars):
    said = []

    @contextmanager
    def waiting(text):
        said.append(text())
        yield

    with _Progress(SimpleNamespace(shows_bars=shows_bars, waiting=waiting), [("a", 1)]).shown():
        pass
    assert said == ([] if shows_bars else ["beginning"])


def test_a_terminal_has_a_bar_for_each_cell_whose_end_is_reached(timer, monkeypatch):
    bars = []

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    class Bar:
        def __init__(self, desc, total, **_):
            self.desc, self.total, self.at, self.notes = desc, total, 0, []
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def set_postfix_str(self, note, refresh):
            self.notes.append(note)

        def update(self):
            self.at += 1

    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Bar))
    chosen = Matrix(True, ("plain",), (1, 4))
    assert matrix.run(options(), chosen, io.StringIO(), Console(Terminal(), False)) == 0
    assert [bar.desc for bar in bars] == ["cell 1 of 2, plain, batch 1", "cell 2 of 2, plain, batch 4, nearly done"]
    assert all(bar.at == bar.total for bar in bars)
    assert bars[0].notes[:4] == [
        "preparing the network and the images",
        "starting torch",
        "starting onnxruntime",
        "loading or compiling kernels",
    ]


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--variants digits", "--variants needs --matrix"),
        ("--batches 8", "--batches needs --matrix"),
        ("--resume", "--resume needs --matrix"),
        ("--matrix --parallel mpi", "--matrix and --parallel exclude each other"),
        ("--matrix --resume", "resume is asked for, but must not be without json, the file to go on from"),
        ("--matrix --variant mnist", "variant is given, but must not be with matrix: use variants"),
        ("--matrix --batch_size 3", "batch_size is given, but must not be with matrix: use batches"),
        ("--matrix --num_batches 3", "num_batches is given, but must not be with matrix: use rounds"),
        ("--matrix --layers", "layers is given, but must not be with matrix"),
        ("--matrix --images a", "images is given, but must not be with matrix"),
        ("--matrix --legacy_stats", "legacy_stats is given, but must not be with matrix"),
        ("--matrix --plot a.svg", "plot is asked for, but must not be without versus with matrix: it shows the ratios"),
        ("--matrix --versus torch --versus jax --versus torch", "versus is 'torch' twice, but must be another one"),
        ("--matrix --batches 0", "batches is 0, but must be an int >= 1"),
        ("--matrix --batches 8 x", "argument --batches: invalid int value: 'x'"),
        ("--matrix --batches", "argument --batches: expected at least one argument"),
        ("--matrix --variants digit", "argument --variants: invalid choice: 'digit'"),
        ("--matrix --rounds 0", "rounds is 0, but must be an int >= 1"),
        ("--matrix --json nowhere/m.json", "json is 'nowhere/m.json', but must be a file in a folder"),
    ],
)
def test_what_does_not_go_together_is_one_line(line, message, capsys):
    with pytest.raises(SystemExit) as stop:
        bench.main(line.split())
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"bench.py: {message}")


def test_a_variant_that_is_unknown_is_refused_from_python_too():
    with pytest.raises(ValueError, match="variant is 'vgg'"):
        check_matrix(Options(), Matrix(True, ("vgg",)))


def test_the_flags_reach_their_options(monkeypatch):
    seen = []
    monkeypatch.setattr(matrix, "run", lambda options, chosen, out, console: seen.append((options, chosen)) or 0)
    line = "--matrix --variants mnist digits --batches 8 1 --resume --json j --forward_only --versus torch --compile"
    assert bench.main(line.split()) == 0
    assert seen == [
        (
            Options(json="j", passes=("Forward",), versus=(Choice("torch", compile=True),)),
            Matrix(True, ["mnist", "digits"], [8, 1], True),
        )
    ]
