"""The benchmark on several processes, here threads: its lines, what each process does, and what is refused."""

from __future__ import annotations

import io
import json
import re
import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import bench
from tests.benchmark.at_once import AtOnce
from tests.parallel.as_threads import on
from tinyalexnet import alexnet, l2_loss
from tinyalexnet.alexnet import VARIANTS, Variant
from tinyalexnet.alexnet.variants import Conv, Drop, Flat, Full, Pool, Relu
from tinyalexnet.benchmark import Options, command, run, shared, team, timing
from tinyalexnet.benchmark.memory import memory_estimate
from tinyalexnet.benchmark.options import Sharing, check_sharing
from tinyalexnet.console import Console
from tinyalexnet.devices import device
from tinyalexnet.parallel import Alone
from tinyalexnet.parallel.cost import gradient_bytes
from tinyalexnet.parallel.runs import Run

TABLES = {
    "tiny": Variant(
        (7, 7, 3), (Conv("conv1", 4, 3, 2, "VALID"), Pool("pool1", 2, 1), Relu("relu1"), Conv("conv2", 2, 3))
    ),
    "classes": Variant(
        (7, 7, 3), (Conv("conv1", 4, 3, 2), Relu("relu1"), Flat(), Drop("drop2"), Full("fc2")), num_classes=3
    ),
    "deep": Variant(
        (7, 7, 3),
        (Conv("conv1", 4, 3, 2), Relu("relu1"), Flat(), Full("fc2", 8), Relu("relu2"), Drop("drop3"), Full("fc3")),
        num_classes=3,
    ),
}
BATCH, SHARDS = 7, 3
SHARING = Sharing("mpi", SHARDS)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Networks that take no time, as others of their kind, whatever the environment says."""
    for name, table in TABLES.items():
        monkeypatch.setitem(VARIANTS, name, table)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)


def options(**changes):
    plain = {"batch_size": BATCH, "num_batches": 12, "variant": "tiny", "backend": "reference", "rounds": 2}
    return Options(**plain | changes)


def ran(size, sharing=SHARING, **changes):
    """The code and the two outputs of each process, whose lines are shown at once."""

    def one(link):
        out, err = AtOnce(), io.StringIO()
        code = team.run(options(**changes), sharing, out, Console(err, changes.get("quiet", link.rank > 0)), link)
        assert out.waiting == ""
        return code, out.getvalue(), err.getvalue()

    return on(size, one)


def without_numbers(text):
    return re.sub(r"\d+", "#", re.sub(r"\S+ \S+: ", "", text))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_standard_output_is_that_of_one_process(size):
    out = io.StringIO()
    run(options(), out, io.StringIO())
    (code, found, err), *others = ran(size)
    assert code == 0
    assert found.startswith("conv1   [7, 3, 3, 4]\npool1   [7, 2, 2, 4]\nconv2   [7, 2, 2, 2]\n")
    assert without_numbers(found) == without_numbers(out.getvalue())
    assert others == [(0, "", "")] * (size - 1)
    head, *lines = err.splitlines()
    assert head.endswith(f"| {size} such process{'es' * (size > 1)}, {SHARDS} shards")
    assert f"{max(1, device('reference').most_threads() // size)} threads" in head
    for name, part in (("Forward", lines[: 3 + size]), ("Forward-backward", lines[3 + size :])):
        assert part[0].startswith(f"{name}: CPU utilisation ")
        assert part[1] == f"{name}, a step of each process: seconds, and bytes sent"
        assert part[2].split() == ["process", "computing", "waiting", "exchanging", "sent", "CPU"]
        assert [int(line.split()[0]) for line in part[3:]] == list(range(size))
        assert all(re.fullmatch(r" +\d( +\d\.\d{4}){3} +[\d,]+ +\d+%", line) for line in part[3:])
    assert len(lines) == 2 * (3 + size)


def test_one_shard_for_each_process_and_so_many_threads():
    for size in (2, 3):
        (_, _, err), *_ = ran(size, Sharing("mpi"), threads=1, passes=("Forward",))
        assert f"{size} such processes, {size} shards" in err
        assert "backend reference, 1 threads" in err
        assert "Forward-backward" not in err


def test_quiet():
    assert [err for _, _, err in ran(2, quiet=True)] == [""] * 2


@pytest.mark.parametrize(("size", "variant"), [(1, "tiny"), (2, "classes"), (3, "tiny")])
def test_json_has_the_share_of_each_process_and_the_table(size, variant, tmp_path):
    file = tmp_path / "run.json"
    (_, out, err), *_ = ran(size, Sharing("mpi", SHARDS, scaling=True), json=str(file), variant=variant)
    assert err.endswith(f"wrote {file}\n")
    found = json.loads(file.read_text())
    assert [item["name"] for item in found["runs"]] == ["Forward", "Forward-backward"]
    assert found["layers"] == {}
    assert found["versus"] == []
    assert found["interrupted"] is False
    parallel = found["parallel"]
    assert (parallel["kind"], parallel["processes"], parallel["machines"], parallel["shards"]) == ("mpi", size, 1, 3)
    elements = sum(value.size for value in alexnet(variant, "reference").params.values())
    expected = [gradient_bytes(elements, SHARDS, size, rank) if size > 1 else 0 for rank in range(size)]
    for item in found["runs"]:
        shares = parallel["shares"][item["name"]]
        assert [share["sent"] for share in shares] == (expected if item["name"] != "Forward" else [0] * size)
        mean = item["statistics"]["mean"]
        assert shares[0]["computing"] + shares[0]["waiting"] == pytest.approx(mean)
        utilisations = [share["cpu_utilisation"] for share in shares]
        assert item["cpu_utilisation"] == pytest.approx(np.mean(utilisations))
        if size > 1:
            assert all(share["waiting"] > 0 for share in shares)
            assert all((share["exchanging"] > 0) == (item["name"] != "Forward") for share in shares)
    rows = parallel["scaling"]
    assert [row["processes"] for row in rows] == list(range(1, size + 1))
    for row in rows:
        assert row["sent"] == row["expected"]
        assert len(row["sent"]) == row["processes"]
        assert len(row["seconds"]) == 2
    assert rows[0]["sent"] == [0]
    assert rows[-1]["sent"] == expected
    title, _, *lines = out.splitlines()[-2 - size :]
    threads = found["options"]["threads"]
    assert title == (
        f"Forward-backward of {variant}, batch 7 in 3 shards, "
        f"{threads} thread{'s' * (threads > 1)} each, medians of 2 rounds"
    )
    assert [int(line.split()[0]) for line in lines] == list(range(1, size + 1))


def test_the_bytes_of_several_buckets_are_expected(monkeypatch):
    """Of which each is cut for itself."""
    monkeypatch.setattr("tinyalexnet.parallel.exchange.buckets.__defaults__", (1,))
    net = alexnet("classes", "reference")
    sizes = [sum(value.size for value in layer.params.values()) for _, layer in net if layer.params]
    assert len(sizes) == 2
    expected = [sum(gradient_bytes(size, SHARDS, 2, rank) for size in sizes) for rank in range(2)]
    assert [shared.expected_bytes(net, BATCH, SHARDS, SHARING, 2, rank) for rank in range(2)] == expected

    def sent(link):
        work = works("classes")(link)
        work.step("Forward-backward")()
        return link.sent["gradients"]

    assert on(2, sent) == expected


def works(variant, sharing=SHARING):
    """Makes the work of a process, on the images that it needs."""

    def work(link):
        net = alexnet(variant, "reference")
        rows = team._rows(link, BATCH, SHARDS, False)
        chosen = options(variant=variant)
        labels = np.random.default_rng(3).integers(0, 3, BATCH) if variant == "classes" else None
        batch = team._batch(chosen, (BATCH, 7, 7, 3), rows, labels, Console(io.StringIO(), True))
        return shared.SharedWork(net, batch, labels is not None, SHARDS, sharing, link, "reference")

    return work


COLUMNS = [Sharing("mpi", SHARDS, dense="columns", blocks=3, scheme=scheme, groups=groups) for scheme, groups in
           [("a", 1), ("b", 1), ("a", 3)]]  # fmt: skip


@pytest.mark.parametrize("sharing", COLUMNS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_dense_layers_in_columns_send_what_the_formulas_say(sharing, size, tmp_path):
    file = tmp_path / "run.json"
    flags = {"variant": "deep", "batch_size": 9, "num_batches": 2, "json": str(file)}
    (code, out, _), *_ = ran(size, replace(sharing, scaling=True), **flags)
    assert code == 0
    assert "Forward-backward of deep, batch 9 in 3 shards, dense columns in 3 blocks, " in out
    found = json.loads(file.read_text())["parallel"]
    kept = {name: found[name] for name in ("dense", "blocks", "scheme", "groups", "overlap")}
    assert kept == {
        "dense": "columns",
        "blocks": 3,
        "scheme": sharing.scheme,
        "groups": sharing.groups,
        "overlap": False,
    }
    for row in found["scaling"]:
        assert row["sent"] == row["expected"]
        assert (min(row["sent"]) > 0) == (row["processes"] > 1)
    assert [share["sent"] for share in found["shares"]["Forward-backward"]] == found["scaling"][-1]["sent"]
    in_rows = shared.expected_bytes(alexnet("deep", "reference"), 9, SHARDS, SHARING, size, 0)
    # In three teams of one process each, all have all columns.
    assert (found["scaling"][-1]["sent"][0] == in_rows) == (size == 1 or size == sharing.groups)


@pytest.mark.parametrize("sharing", [SHARING, *COLUMNS])
def test_a_forward_has_the_output_of_one_process(sharing):
    """With dropout; each process has that of its own images, or of those of its team."""

    def outputs(link):
        work = works("deep", sharing)(link)
        step = work._step
        return step.out_rows(BATCH), step.outputs(work._batch.part(step.rows(BATCH)), BATCH)

    ((_, alone),) = on(1, outputs)
    assert (alone == 0).any()
    for rows, out in (*on(2, outputs), *on(3, outputs)):
        np.testing.assert_array_equal(out, alone[rows])


@pytest.mark.parametrize("variant", TABLES)
def test_all_have_the_gradients_of_the_batch(variant, monkeypatch):
    """To the last bit those of one process that has all images; its own are those of half the sum of squares."""
    moved = threading.local()

    def move(_, grads, loss):
        moved.grads = {name: gradient.copy() for name, gradient in grads.items()}

    def gradients(link):
        work = works(variant)(link)
        net = work._step._net
        before = {name: value.copy() for name, value in net.params.items()}
        for name in ("Forward", "Forward-backward"):
            work.step(name)()
        assert all(np.array_equal(value, before[name]) for name, value in net.params.items())
        return moved.grads

    # A run as it is moves nothing and keeps nothing.
    works(variant)(Alone()).step("Forward-backward")()
    monkeypatch.setattr(shared._NoUpdate, "move", move)
    (alone,) = on(1, gradients)
    assert all(np.abs(gradient).max() > 0 for gradient in alone.values())
    for found in (*on(2, gradients), *on(3, gradients)):
        assert found.keys() == alone.keys()
        for name, gradient in alone.items():
            np.testing.assert_array_equal(found[name], gradient, err_msg=name)
    if variant == "tiny":
        net = alexnet("tiny", "reference")
        x = team._batch(options(), (BATCH, 7, 7, 3), slice(0, BATCH), None, Console(io.StringIO(), True)).images
        net.backward(l2_loss(net.forward(x), "reference")[1])
        for name, gradient in net.grads.items():
            # Rounding of sums of at most 7 * 3 * 3 * 27 terms: gamma of 1701 is 1.0e-4.
            np.testing.assert_allclose(alone[name], gradient, atol=1.0e-4 * np.abs(gradient).max(), err_msg=name)


def test_a_share_is_of_the_timed_steps_and_without_what_was_waited():
    work = works("tiny")(Alone())
    work._taken = [(9.0, 9.0, 9), (1.0, 2.0, 30), (3.0, 4.0, 50)]  # in a step: exchanging, waiting, bytes
    timed = SimpleNamespace(durations=[10.0, 20.0], cpu_utilisation=lambda threads: threads / 4)
    assert work.share(timed, 2) == shared.Share(15.0 - 3.0, 2.0, 3.0, 40.0, 0.5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_forward_is_of_each_image_once_and_ends_when_all_are_done(size, monkeypatch):
    seen, lock, forward = [], threading.Lock(), Run.forward

    def noted(run, x):
        with lock:
            seen.append(x.copy())
        return forward(run, x)

    monkeypatch.setattr(Run, "forward", noted)

    def forwards(link):
        works("tiny")(link).step("Forward")()
        return len(seen)

    assert on(size, forwards) == [SHARDS] * size
    whole = team._batch(options(), (BATCH, 7, 7, 3), slice(0, BATCH), None, Console(io.StringIO(), True)).images
    assert 0.05 < whole.std() < 0.15
    found = {images[0].tobytes(): images for images in seen}
    parts = [found[whole[first].tobytes()] for first in (0, 2, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_dropout_draws_the_mask_of_the_batch(monkeypatch):
    """In the forward too: each shard takes its part of it."""
    outs, lock, forward = {}, threading.Lock(), Run.forward

    def noted(run, x):
        out = forward(run, x)
        with lock:
            outs[x[0].tobytes()] = out
        return out

    monkeypatch.setattr(Run, "forward", noted)
    net = alexnet("classes", "reference")
    whole = team._batch(options(), (BATCH, 7, 7, 3), slice(0, BATCH), None, Console(io.StringIO(), True)).images
    expected = net.forward(whole)
    on(2, lambda link: works("classes")(link).step("Forward")())
    found = np.concatenate([outs[whole[first].tobytes()] for first in (0, 2, 4)])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("rank", "alone", "scaled"), [(0, (0, 2), (0, 8)), (1, (2, 4), (2, 8)), (2, (4, 6), (4, 8)), (3, (6, 8), (6, 8))]
)
def test_the_images_that_a_process_needs(rank, alone, scaled):
    """Of 8 in 4 shards; process 1 of two has the second half, process 1 of three the second shard."""
    link = SimpleNamespace(rank=rank, size=4)
    assert team._rows(link, 8, 4, False) == slice(*alone)
    assert team._rows(link, 8, 4, True) == slice(*scaled)


def test_the_images_are_those_of_the_batch_and_no_more():
    say = Console(io.StringIO(), True)
    whole, part = (team._batch(options(), (9, 7, 7, 3), rows, None, say) for rows in (slice(0, 9), slice(2, 9)))
    np.testing.assert_array_equal(part.images, whole.images[2:])
    assert (part.first, part.labels.tolist()) == (2, [0] * 9)


def test_a_part_of_a_batch_is_found_by_the_numbers_of_its_images():
    """Of the last five of eight that one process has."""
    batch = shared.Batch(3, np.arange(3, 8), np.zeros(8))
    for rows, images in ((slice(3, 5), [3, 4]), (slice(4, 8), [4, 5, 6, 7])):
        assert batch.part(rows).tolist() == images


def test_photographs(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, shade in (("a.png", 20), ("b.png", 200)):
        image.fromarray(np.full((9, 9, 3), shade, np.uint8)).save(tmp_path / name)
    say = Console(io.StringIO(), True)
    found = team._batch(options(images=str(tmp_path)), (4, 7, 7, 3), slice(1, 4), None, say)
    assert (found.first, found.labels.tolist()) == (1, [0, 0, 0, 0])
    # Half the distance from their mean: the second, the first and the second once more.
    expected = np.array([90, -90, 90]).reshape(3, 1, 1, 1) / 255
    np.testing.assert_allclose(found.images, np.broadcast_to(expected, (3, 7, 7, 3)), rtol=1e-5)
    assert ran(2, images=str(tmp_path))[0][0] == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"dense": "columns", "blocks": 4}, ", dense columns in 4 blocks"),
        (
            {"dense": "columns", "blocks": 4, "scheme": "b", "groups": 2},
            ", dense columns in 4 blocks, scheme b, 2 groups",
        ),
    ],
)
def test_a_title_has_what_changes_the_figures(changes, expected):
    given = options(threads=2), Sharing("mpi", **changes), io.StringIO(), Console(io.StringIO(), True), Alone(), 3
    assert (
        team._Team(*given, 2, None, None, False, 1, 1).title == f"tiny, batch 7 in 3 shards{expected}, 2 threads each"
    )


def test_a_picture_is_of_the_table(tmp_path, monkeypatch):
    """So it has one measured, and printed, without --scaling; process 0 alone draws."""
    drawn, file = [], str(tmp_path / "a.svg")
    monkeypatch.setattr(team.plots, "scaling", lambda *given: drawn.append(given))
    (_, out, err), _ = ran(2, plot=file, threads=1)
    ((rows, shares, title, path),) = drawn
    assert [row.processes for row in rows] == [1, 2]
    assert [share.sent for share in shares] == rows[-1].sent
    assert title == "tiny, batch 7 in 3 shards, 1 thread each"
    assert path == file
    assert f"Forward-backward of {title}, medians of 2 rounds\n" in out
    assert err.endswith(f"wrote {file}\n")


def test_each_bar_is_full_at_the_end(bars_moved):
    ran(2, Sharing("mpi", SHARDS, scaling=True))
    steps = timing.BURN_IN_STEPS + 12
    # Two rounds of two sizes; each bar is in both processes.
    assert Counter(bars_moved) == {(name, total): 2 * total for name, total in [
        ("Forward", steps), ("Forward-backward", steps), ("scaling", 4)]}  # fmt: skip


@pytest.mark.parametrize(
    ("machines", "places", "power"),
    [("aa", ("", ""), "W, "), ("ab", ("", ""), "power unknown"), ("aa", ("0000:01", "0000:02"), "power unknown")],
)
def test_power_is_that_of_one_machine_and_of_one_gpu(machines, places, power, monkeypatch):
    own, joules = threading.local(), iter(range(10**6))

    monkeypatch.setattr(team.platform, "node", lambda: machines[own.rank])
    monkeypatch.setattr(type(device("reference")), "place", lambda _: places[own.rank])
    monkeypatch.setattr(timing, "ENERGY_SECONDS", 0)
    monkeypatch.setattr(type(device("reference")), "joules", lambda _: next(joules))

    def one(link):
        own.rank, err = link.rank, io.StringIO()
        assert team.run(options(threads=1), SHARING, io.StringIO(), Console(err, False), link) == 0
        return err.getvalue()

    for err in on(2, one):
        assert all(power in line for line in err.splitlines() if "CPU utilisation" in line)


def needed(monkeypatch, machines, places, sharing, batch_size):
    """The bytes that each process asks for, if they are on these machines and have these devices of them."""
    own, found = threading.local(), {}

    def refuse(count, *_):
        found[own.rank] = count
        raise ValueError("too large")

    monkeypatch.setattr(team.platform, "node", lambda: machines[own.rank])
    monkeypatch.setattr(type(device("reference")), "place", lambda _: places[own.rank])
    monkeypatch.setattr(team, "refuse_too_large", refuse)

    def one(link):
        own.rank, say = link.rank, Console(io.StringIO(), True)
        with pytest.raises(ValueError, match="too large"):
            team.run(options(threads=1, batch_size=batch_size), sharing, io.StringIO(), say, link)

    on(len(machines), one)
    return [found[rank] for rank in range(len(machines))]


@pytest.mark.parametrize(("machines", "times"), [("aaa", (3, 3, 3)), ("aba", (2, 1, 2))])
def test_the_memory_of_all_processes_of_a_machine_must_be_there(machines, times, monkeypatch):
    found = needed(monkeypatch, machines, ("", "", ""), SHARING, 10)
    net = alexnet("tiny", "reference")
    elements, images = 28 * 4 + 37 * 2, (3, 3, 4)
    for rank in range(3):
        # A tree of 3 shards holds at most 2 sums, and two more are on their way.
        run = memory_estimate(net, (images[rank], 7, 7, 3), "reference", True)
        own_bytes = run + 4 * images[rank] * 147 + 4 * 4 * elements
        assert found[rank] == times[rank] * own_bytes


@pytest.mark.parametrize(("places", "times"), [(("0000:01", "0000:01"), 2), (("0000:01", "0000:02"), 1)])
@pytest.mark.parametrize(("sharing", "graphs"), [(SHARING, 2), (replace(SHARING, scaling=True), 4)])
def test_a_gpu_has_a_graph_of_each_pass_and_team_of_all_its_processes(sharing, graphs, places, times, monkeypatch):
    monkeypatch.setattr(type(device("reference")), "on_host", False)
    a_shard = memory_estimate(alexnet("tiny", "reference"), (3, 7, 7, 3), "reference", True)
    assert needed(monkeypatch, "aa", places, sharing, 9) == [times * graphs * a_shard] * 2


@pytest.mark.parametrize(
    ("sharing", "changes", "message"),
    [
        ({}, {"versus": ("torch",)}, "versus is asked for, but must not be with parallel: the other framework is one"),
        ({}, {"layers": True}, "layers is asked for, but must not be with parallel: it is of one process, which can"),
        ({"shards": 1}, {}, "shards is 1, but must be at least the 2 processes there are"),
        ({"shards": 0}, {}, "shards is 0, but must be an int >= 1"),
        ({"shards": 8}, {}, "shards is 8, but must be at most the batch_size of 7"),
        ({}, {"batch_size": 1}, "shards is 2, but must be at most the batch_size of 1"),
        ({"scaling": True}, {"passes": ("Forward",)}, "scaling is asked for, but must not be without the forward-back"),
        ({}, {"plot": "a.svg", "passes": ("Forward",)}, "scaling is asked for, but must not be without the forward-"),
        ({"blocks": 2}, {}, "blocks is 2, but must be 1 if dense is 'rows'"),
        ({"groups": 0}, {}, "groups is 0, but must be an int >= 1"),
        (
            {"dense": "columns", "blocks": 2},
            {},
            "dense is 'columns', but a network must begin with other layers and end with dense",
        ),
        ({"dense": "columns"}, {"variant": "deep"}, "blocks is 1, but must be at least the 2 processes that share the"),
        ({"dense": "columns", "blocks": 2, "groups": 3}, {}, "groups is 3, but must be at most the 2 shards"),
        ({}, {"plot": "a.gif"}, r"plot is 'a.gif', but must end in \.png or \.svg"),
        ({}, {"json": "/no/such/folder/file"}, "json is '/no/such/folder/file', but must be a file in a folder"),
        ({}, {"threads": 10**6}, "threads is 1000000, but must be at most"),
    ],
)
def test_what_cannot_be_is_refused_by_all(sharing, changes, message):
    def one(link):
        out = io.StringIO()
        with pytest.raises(ValueError, match=message):
            team.run(options(**changes), Sharing("mpi", **sharing), out, Console(io.StringIO(), True), link)
        return out.getvalue()

    assert on(2, one) == [""] * 2


def test_each_image_may_be_a_shard():
    assert check_sharing(options(), Sharing("mpi", BATCH), 2) == BATCH


def test_columns_are_not_for_a_gpu(monkeypatch):
    monkeypatch.setattr(type(device("reference")), "on_host", False)
    with pytest.raises(ValueError, match="dense is 'columns', but must be 'rows' on the backend 'reference'"):
        ran(1, COLUMNS[0], variant="deep")


def test_options_that_differ_are_named():
    def one(link):
        with pytest.raises(ValueError, match=r"options of process 1 is \(Options\(.*seed=1.* as of process 0"):
            team.run(options(seed=link.rank), SHARING, io.StringIO(), Console(io.StringIO(), True), link)

    on(2, one)


@pytest.mark.parametrize("finished", [0, 1, 11, 12])
def test_an_interrupt_counts_what_was_finished(finished, monkeypatch, tmp_path):
    """And has nothing of the processes, unless all steps of a run were finished."""
    count = finished and timing.BURN_IN_STEPS + finished
    taken, step = iter(range(count)), shared.SharedWork.step

    def interrupted(work, name):
        run = step(work, name)

        def one():
            if next(taken, None) is None:
                raise KeyboardInterrupt
            run()

        return one

    caught = []
    monkeypatch.setattr("tinyalexnet.interrupts.caught", lambda: caught.append(1))
    monkeypatch.setattr(shared.SharedWork, "step", interrupted)
    ((code, out, err),) = ran(1, json=str(tmp_path / "run.json"))
    assert (code, caught) == (130, [1])
    assert out.count(" across ") == bool(finished)
    assert f"Forward across {finished} steps" in out or not finished
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["interrupted"] is True
    assert list(found["parallel"]["shares"]) == ["Forward"] * (finished == 12)
    assert found["parallel"]["scaling"] == []
    assert "a step of each process" in err or finished < 12


def test_a_backend_that_compiles():
    """On one process: threads must not call compiled kernels at the same time."""
    ((code, _, err),) = ran(1, backend="cpu", num_batches=1, passes=("Forward",))
    assert code == 0
    assert "functions compiled" in err


# --- the command line -------------------------------------------------------------------------------------------------


def test_every_flag_reaches_its_option(monkeypatch):
    seen = []

    def together(parser, run, patience, quiet):
        seen.append((patience, quiet))
        return run("console", "link")

    monkeypatch.setattr(command, "together", together)
    monkeypatch.setattr(team, "run", lambda *given: seen.append(given) or 7)
    flags = "--parallel mpi --shards 8 --dense columns --blocks 4 --scheme b --groups 2 --overlap --scaling"
    flags += " --patience 5 --quiet --batch-size 3 --forward_only"
    assert bench.main(flags.split()) == 7
    given, (chosen, sharing, _, console, link) = seen
    assert given == (5.0, True)
    assert chosen == Options(batch_size=3, quiet=True, passes=("Forward",))
    assert sharing == Sharing("mpi", 8, "columns", 4, "b", 2, True, True, 5.0)
    assert (console, link) == ("console", "link")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--shards=2"], "--shards needs --parallel mpi"),
        (["--scaling"], "--scaling needs --parallel mpi"),
        (["--dense=columns"], "--dense needs --parallel mpi"),
        (["--patience=3"], "--patience needs --parallel mpi"),
        (["--parallel=ucx"], "argument --parallel: invalid choice: 'ucx' (choose from 'mpi')"),
    ],
)
def test_flags_that_are_refused(flags, message, capsys):
    with pytest.raises(SystemExit) as caught:
        bench.main(flags)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"bench.py: {message}\n"
