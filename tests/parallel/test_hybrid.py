"""Dense layers by columns: the bits depend on shards, blocks and scheme alone, and bytes are those of the formula."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parallel.as_threads import on
from tests.parallel.test_shards import Kept, dataset, network
from tinyalexnet import Conv2d, Dense, Dropout, Flatten, MaxPool2d, ReLU, Sequential
from tinyalexnet.console import Console
from tinyalexnet.parallel import Alone, HybridStep, Placement, Teams, cut, passes_of
from tinyalexnet.parallel.cost import activation_bytes, column_gradient_bytes, gradient_bytes
from tinyalexnet.parallel.teams import teams_of
from tinyalexnet.training import Settings, Training, train
from tinyalexnet.training import step as steps
from tinyalexnet.training.run import Files
from tinyalexnet.training.settings import check_settings

PLAIN = Settings("digits", batch_size=20, mirror=True, pad=1, colour_noise=0.1, backend="reference", epochs=10)
COLUMNS = replace(PLAIN, shards=4, dense="columns", blocks=6)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(steps, "COMPARE_EVERY", 2)
    monkeypatch.setattr(steps, "EVALUATION_BATCH", 5)


def trained(settings, count=3):
    """What a process does: the weights and velocities of one process, and what else is known."""

    def run(link):
        training = Training(settings, dataset(), link)
        moved = [training.advance(statistics=True) for _ in range(count)]
        place, sent = training.placement, dict(link.sent)
        whole = place.whole(place.params), place.whole(training.optimizer.state)
        # Of 33 images the last three are fewer than there are shards.
        return whole, moved, training.progress, training.evaluate(dataset(33).test), sent

    return run


def assert_same(found, expected):
    for one, other in zip(found[0], expected[0], strict=True):
        assert list(one) == list(other)
        for name, value in other.items():
            np.testing.assert_array_equal(one[name], value, err_msg=name)
    assert found[1:4] == expected[1:4]


GROUPS = [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 2), ("c", 2)]


@pytest.mark.parametrize(("scheme", "groups"), GROUPS)
def test_any_number_of_processes_has_the_state_of_one(scheme, groups):
    """As one team and as several: of 2 groups 4 processes are two teams of two."""
    settings = replace(COLUMNS, scheme=scheme, groups=groups)
    (alone,) = on(1, trained(settings))
    assert alone[4] == {}
    for processes in (2, 3, 4):
        for found in on(processes, trained(replace(settings, overlap=processes % 2 == 0))):
            assert_same(found, alone)


def test_groups_change_nothing_in_scheme_b():
    """A pass has the rows of one shard there, in whatever group that is."""
    found = [on(2, trained(replace(COLUMNS, scheme="b", groups=groups)))[0] for groups in (1, 2, 4)]
    for other in found[1:]:
        assert_same(other, found[0])


def test_one_shard_and_one_block_are_a_step_without_either():
    """To the last bit; and the other ways are near."""
    (plain,) = on(1, trained(PLAIN))
    (one,) = on(1, trained(replace(PLAIN, dense="columns")))
    assert_same(one, plain)
    for scheme, groups in GROUPS:
        (other,) = on(1, trained(replace(COLUMNS, scheme=scheme, groups=groups)))
        for name, value in plain[0][0].items():
            np.testing.assert_allclose(other[0][0][name], value, atol=1e-4)
        for name, moved in plain[1][-1].items():
            assert other[1][-1][name].update == pytest.approx(moved.update, rel=1e-3)


@pytest.mark.parametrize(("scheme", "groups"), GROUPS)
@pytest.mark.parametrize("processes", [2, 3, 4])
def test_bytes_are_those_of_the_formula(processes, scheme, groups):
    """Of three steps. In digits the dense layers are of 64 -> 64 -> 10 features or the like."""
    settings = replace(COLUMNS, scheme=scheme, groups=groups)
    shapes = Training(PLAIN, dataset()).placement.shapes
    dense = [shape for name, shape in shapes.items() if len(shape) == 2]
    features = [dense[0][0], *(shape[1] for shape in dense)]
    convolutions = sum(np.prod(shape) for name, shape in shapes.items() if name.startswith("conv"))

    def sent(link):
        training = Training(settings, dataset(), link)
        for _ in range(3):
            training.advance()
        return dict(link.sent)

    for rank, found in enumerate(on(processes, sent)):
        expected = activation_bytes(features, 20, 4, 6, processes, rank, scheme, groups)
        assert found.get("activations", 0) == 3 * expected
        expected = gradient_bytes(int(convolutions), 4, processes, rank)
        expected += column_gradient_bytes(features, 4, 6, processes, rank, scheme, groups)
        assert found["gradients"] == 3 * expected
        # A process of a team knows the loss of its images, and how many are right.
        of_all = {"losses", "counts"} if teams_of(processes, groups) > 1 else set()
        assert found.keys() - {"texts", "activations", "gradients"} == of_all


def test_bytes_by_hand():
    """Two processes, eight images, layers of 6 -> 4 -> 2 features in two blocks.

    Forward: 4 rows of 6, then all 8 rows of 2 columns and of 1. Backward: 8 rows of the 2 columns that the other one
    has, and the 4 rows of 6 that are the other's.
    """
    for scheme, rank in [("a", 0), ("a", 1), ("b", 0), ("c", 1)]:
        found = activation_bytes([6, 4, 2], 8, 2, 2, 2, rank, scheme)
        assert found == 4 * (4 * 6 + 8 * 2 + 8 * 1 + 8 * 2 + 4 * 6)


@pytest.mark.parametrize(("rank", "scheme", "passes"), [(0, "a", 1), (3, "a", 1), (1, "b", 2)])
def test_bytes_of_two_teams_by_hand(rank, scheme, passes):
    """Four processes in two teams of two, 16 images: in a team it is as above, with its 8 images.

    Between the teams: the gradients of 7 * 2 + 5 * 1 parameters, half of which each of two processes adds up. In scheme
    b a team sums its two passes first, one node of the tree of four.
    """
    assert activation_bytes([6, 4, 2], 16, 4, 2, 4, rank, scheme, 2) == 4 * (4 * 6 + 8 * 2 + 8 * 1 + 8 * 2 + 4 * 6)
    own = 9 + rank // 2
    assert column_gradient_bytes([6, 4, 2], 4, 2, 4, rank, scheme, 2) == 4 * (19 - own + own)
    assert len(passes_of(16, 4, 4, scheme, 2)) == 2 * passes


@pytest.mark.parametrize(("scheme", "nodes"), [("a", 1), ("b", 2), ("c", 2)])
def test_gradients_of_columns_are_those_of_a_team_s_passes(scheme, nodes):
    """Of six shards the first of two teams has three, in b and c three passes: two nodes of the tree of six. A process
    has all 7 * 4 + 5 * 2 parameters, and adds up half."""
    assert column_gradient_bytes([6, 4, 2], 6, 2, 2, 0, scheme, 2) == 4 * (nodes * 19 + 19)

    def sent(link):
        Training(replace(COLUMNS, batch_size=36, shards=6, scheme=scheme, groups=2), dataset(), link).advance()
        return dict(link.sent)

    shapes = Training(PLAIN, dataset()).placement.shapes
    dense = [shape for shape in shapes.values() if len(shape) == 2]
    convolutions = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("conv"))
    features = [dense[0][0], *(shape[1] for shape in dense)]
    for rank, found in enumerate(on(2, sent)):
        expected = gradient_bytes(convolutions, 6, 2, rank)
        assert found["gradients"] == expected + column_gradient_bytes(features, 6, 6, 2, rank, scheme, 2)


def test_one_team_sends_no_gradients_of_columns():
    assert column_gradient_bytes([6, 4, 2], 4, 2, 2, 1) == 0
    assert activation_bytes([6, 4, 2], 8, 2, 2, 2, 0, "a", 2) == 0, "and two of one process no outputs"


@given(st.integers(1, 60), st.integers(1, 6), st.integers(1, 6), st.sampled_from("abc"), st.integers(1, 6))
def test_each_image_is_in_one_pass(batch, shards, processes, scheme, groups):
    shards = min(batch, shards)
    processes, groups = min(shards, processes), min(shards, groups)
    given = batch, shards, processes, scheme, groups
    if scheme == "c" and max(group.stop - group.start for group in cut(shards, groups)) > batch // shards:
        times = f" times the {groups} groups" if groups > 1 else ""
        message = (
            f"shards is {shards}, but must be at most the {batch // shards} images of a shard{times} in scheme 'c'"
        )
        with pytest.raises(ValueError, match=message):
            passes_of(*given)
        return
    found = passes_of(*given)
    assert len(found) == (groups if scheme == "a" else shards)
    assert sorted(np.concatenate([rows for of in found for rows in of])) == list(range(batch))
    of_one = passes_of(batch, shards, 1, scheme, groups)
    for of, (alone,) in zip(found, of_one, strict=True):
        assert len(of) == processes
        # In one order, whatever the number of processes: a product may round by it.
        np.testing.assert_array_equal(np.concatenate(of), alone)
        assert (np.diff(alone) > 0).all()
        assert alone.size
    teams = [Teams(Placed(rank, processes), groups) for rank in range(processes)]
    for number, of in enumerate(found):
        members = {rank for rank, rows in enumerate(of) if rows.size}
        (team,) = {teams[rank].number for rank in members}
        assert number in range(len(found))[teams[min(members)].of(len(found))]
        assert members <= set(range(processes)[teams[min(members)].members]), team


class Placed(Alone):
    """A process whose place is known, and nothing else."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.mark.parametrize(
    ("processes", "groups", "count", "places"),
    [
        (4, 2, 2, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        (4, 1, 1, [(0, 0), (0, 1), (0, 2), (0, 3)]),
        (3, 2, 1, [(0, 0), (0, 1), (0, 2)]),
        (2, 4, 2, [(0, 0), (1, 0)]),
        (6, 4, 2, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]),
        (1, 4, 1, [(0, 0)]),
    ],
)
def test_teams_divide_the_processes_and_the_groups(processes, groups, count, places):
    def divided(link):
        teams, wanted = Teams(link, groups), (count, processes // count, processes // count, count)
        assert (teams.count, teams.size, teams.own.size, teams.across.size) == wanted
        return teams.number, teams.own.rank, teams.across.rank

    assert on(processes, divided) == [(team, place, team) for team, place in places]


def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    """Its checkpoint, its log and its picture are those of one."""

    def ran(link, name, epochs, resume=False):
        checkpoint, log, plot = (str(tmp_path / f"{name}{end}") for end in ("", ".log", ".svg"))
        settings = replace(COLUMNS, groups=2, epochs=epochs, checkpoint_every=3)
        quiet = Console(io.StringIO(), True)
        assert train(settings, dataset(), io.StringIO(), quiet, Files(checkpoint, resume, log, plot), link) == 0

    on(1, lambda link: ran(link, "whole", 12))
    on(3, lambda link: ran(link, "parts", 5))
    on(4, lambda link: ran(link, "parts", 12, resume=True))
    for end in ("", ".log"):
        assert (tmp_path / f"parts{end}").read_bytes() == (tmp_path / f"whole{end}").read_bytes()
    assert (tmp_path / "parts.svg").exists()


def small(*after):
    return Sequential([("conv", Conv2d(2, 4, 3)), ("flatten", Flatten()), ("fc", Dense(36, 4)), *after])


@pytest.mark.parametrize(
    ("net", "blocks", "message"),
    [
        (small(), 5, "blocks is 5, but must be at most the 4 columns of 'fc'"),
        (
            small(("pool", MaxPool2d(3, 2))),
            2,
            "must begin with other layers and end with dense ones, .* this one ends with 'pool'",
        ),
        (Sequential([("conv", Conv2d(2, 4, 3))]), 1, "a network must begin with other layers and end with dense ones"),
        (Sequential([("fc", Dense(3, 4))]), 1, "a network must begin with other layers and end with dense ones"),
        (
            Sequential([("fc", Dense(3, 4)), ("fc2", Dense(4, 2))]),
            1,
            "a network must begin with other layers and end with dense ones",
        ),
    ],
)
def test_networks_that_cannot_be_split(net, blocks, message):
    with pytest.raises(ValueError, match=message):
        Placement(net, Alone(), blocks)


def test_one_other_layer_is_enough():
    net = Sequential([("flatten", Flatten()), ("fc", Dense(3, 4))])
    assert [name for name, _ in Placement(net, Alone(), 2).columns.head] == ["flatten"]


def test_a_process_has_its_parts_of_what_one_process_has():
    """Of a network with a layer that every process has."""

    def parts(link):
        place = Placement(Sequential(network("reference")), link, 2)
        return place.params, place.own(place.whole(place.params))

    for params, own in on(2, parts):
        assert params.keys() == own.keys() >= {"conv.w", "conv.b"}
        for name, value in params.items():
            np.testing.assert_array_equal(own[name], value, err_msg=name)


def test_more_processes_than_blocks_are_refused():
    with pytest.raises(ValueError, match="blocks is 2, but must be at least the 3 processes that share the columns"):
        on(3, lambda link: Placement(small(), link, 2))


def test_each_team_needs_as_many_blocks_as_it_has_processes():
    assert [place.columns.own for place in on(4, lambda link: Placement(small(), link, 2, 2))] == cut(2, 2) * 2
    with pytest.raises(ValueError, match="blocks is 2, but must be at least the 4 processes that share the columns"):
        on(4, lambda link: Placement(small(), link, 2))


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_dropout_and_relu_between_dense_layers(rng, blocks):
    """Of one process, against the layers themselves, with a mask that is not all true."""
    net, other = (
        Sequential(
            [
                *network("reference"),
                ("relu2", ReLU(True, "reference")),
                ("drop2", Dropout(0.5, rng=4, backend="reference")),
                ("fc2", Dense(3, 5, "reference", rng=6)),
            ]
        )
        for _ in range(2)
    )
    x, dout = rng.integers(-3, 4, (6, 36)).astype(np.float32), rng.integers(-3, 4, (6, 5)).astype(np.float32)
    for value in (*net.params.values(), *other.params.values()):
        value[...] = np.random.default_rng(value.size).integers(-2, 3, value.shape)
    columns = Placement(net, Alone(), blocks).columns
    columns.draw()
    out = columns.forward(x, np.arange(6), 6)
    assert 0 < np.count_nonzero(columns.stages[0].layers[2].mask((6, 3))) < 18
    dx, grads = columns.backward(dout, [6])
    tail = Sequential(list(other)[-4:])
    np.testing.assert_array_equal(out, tail.forward(x))
    np.testing.assert_array_equal(dx, tail.backward(dout))
    for name, gradient in tail.grads.items():
        layer, key = name.split(".")
        np.testing.assert_array_equal(columns.joined(layer, key, grads), gradient, err_msg=name)
        own = columns.split(layer, key, gradient)
        assert columns.mean(layer, key, {each: part.mean() for each, part in own.items()}) == pytest.approx(
            gradient.mean()
        )
        assert own.keys() == {f"{layer}.{number}.{key}" for number in range(blocks)}
    for layer in (net["drop2"], other["drop2"]):
        layer.train = False
    np.testing.assert_array_equal(columns.forward(x, np.arange(6), 6), tail.forward(x))


@pytest.mark.parametrize("scheme", "abc")
def test_dropout_before_the_dense_layers_draws_for_each_batch(rng, scheme):
    """Of two shards each takes its part of the mask, and the next batch has another one. The loss is of all passes."""
    net, other = network("reference"), network("reference")
    x, labels = rng.standard_normal((6, 7, 7, 2)).astype(np.float32), np.zeros(6, int)

    def loss(out, labels, batch):
        return float(len(out)), np.zeros_like(out)

    step = HybridStep(Placement(net, Alone(), 1).columns, loss, Kept(), 2, Teams(Alone(), 1), scheme)
    with pytest.raises(ValueError, match="x has 5 images, but must have the 6 that this process computes of the 6"):
        step(x[:5], labels)
    first, second = step(x, labels), step(x, labels)
    for found in (first, second):
        # Products of 3 and of 6 rows may round by it.
        np.testing.assert_allclose(found.out, other.forward(x), atol=1e-5)
        assert found.loss == 6
    assert np.abs(first.out - second.out).max() > 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dense": "cubes"}, "dense is 'cubes', but must be one of 'rows', 'columns'"),
        ({"scheme": "d", "dense": "columns"}, "scheme is 'd', but must be one of 'a', 'b', 'c'"),
        ({"scheme": "b"}, "scheme is 'b', but must be 'a' if dense is 'rows'"),
        ({"blocks": 2}, "blocks is 2, but must be 1 if dense is 'rows'"),
        ({"groups": 2}, "groups is 2, but must be 1 if dense is 'rows'"),
        ({"dense": "columns", "groups": 0}, "groups is 0, but must be an int >= 1"),
        ({"dense": "columns", "groups": 4, "shards": 3}, "groups is 4, but must be at most the 3 shards"),
        (
            {"dense": "columns", "scheme": "c", "shards": 9, "groups": 4},
            "at most the 2 images of a shard times the 4 groups in",
        ),
        ({"dense": "columns", "blocks": 0}, "blocks is 0, but must be an int >= 1"),
        (
            {"dense": "columns", "scheme": "c", "shards": 5},
            "shards is 5, but must be at most the 4 images of a shard in",
        ),
        ({"dense": "columns", "blocks": 11}, "blocks is 11, but must be at most the 10 columns of"),
    ],
)
def test_settings_that_do_not_fit_together(changes, message):
    with pytest.raises(ValueError, match=message):
        Training(replace(PLAIN, **changes), dataset())


def test_columns_are_not_for_a_gpu_yet(monkeypatch):
    monkeypatch.setattr("tinyalexnet.parallel.placement.device", lambda _: SimpleNamespace(on_host=False))
    settings = replace(PLAIN, backend="cuda")
    assert check_settings(settings, dataset()) == settings
    with pytest.raises(ValueError, match="dense is 'columns', but must be 'rows' on the backend 'cuda'"):
        check_settings(replace(settings, dense="columns"), dataset())
