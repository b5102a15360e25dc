"""A training on several processes, here threads, has the state of one on one process."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.parallel.as_threads import on
from tests.parallel.test_shards import dataset
from tinyalexnet.console import Console
from tinyalexnet.parallel.cost import gradient_bytes
from tinyalexnet.training import Settings, Training, read_log, train
from tinyalexnet.training import step as steps
from tinyalexnet.training.augment import mirror
from tinyalexnet.training.run import Files

SETTINGS = {"batch_size": 10, "shards": 4, "mirror": True, "pad": 1, "colour_noise": 0.1, "backend": "reference"}


def trained(count=3, before=lambda training: None, **changes):
    """What a process does: some steps; the training, what it has sent, and its evaluation."""

    def run(link):
        training = Training(Settings("digits", **SETTINGS | changes), dataset(), link)
        for _ in range(count):
            before(training)
            training.advance()
        return training, training.evaluate(dataset(33).test)

    return run


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Weights are compared, and images evaluated, a few at a time."""
    monkeypatch.setattr(steps, "COMPARE_EVERY", 2)
    monkeypatch.setattr(steps, "EVALUATION_BATCH", 5)


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_weights_progress_and_evaluation_are_those_of_one(processes):
    ((alone, evaluated),) = on(1, trained())
    for training, found in on(processes, trained()):
        assert training.digest() == alone.digest()
        assert training.progress == alone.progress
        assert found == evaluated
        for name, value in alone.optimizer.state.items():
            np.testing.assert_array_equal(training.optimizer.state[name], value)


def test_two_shards_are_those_of_two_processes():
    def run(link):
        training = Training(Settings("digits", **SETTINGS | {"shards": 2}), dataset(), link)
        training.advance()
        return training.digest()

    (alone,) = on(1, run)
    assert on(2, run) == [alone, alone]


def test_each_process_prepares_its_images_alone(monkeypatch):
    """Which are rows of the whole batch, whatever is drawn at random. The labels are all, which none needs to send."""
    asked = []
    batch = Training.batch
    monkeypatch.setattr(Training, "batch", lambda self, step, rows=None: asked.append(rows) or batch(self, step, rows))
    (training, _), *_ = on(3, trained(1))
    monkeypatch.undo()
    assert sorted((rows.start, rows.stop) for rows in asked) == [(0, 2), (2, 5), (5, 10)]
    images, labels = training.batch(2)
    for rows in asked:
        part, of_part = training.batch(2, rows)
        np.testing.assert_array_equal(part, images[rows])
        np.testing.assert_array_equal(of_part, labels)


@pytest.mark.parametrize("first", [-1, 4, 9])
def test_a_part_lies_in_its_batch(first, rng):
    with pytest.raises(ValueError, match=f"first is {first}, but must be from 0 to 3, as 2 images follow"):
        mirror(np.zeros((2, 3, 3, 1)), rng, first, 5)


def test_a_state_is_saved_and_restored_by_all(tmp_path):
    """Written by two, read by three: the file and the run are those of one process."""

    def saved(link):
        training, _ = trained(2)(link)
        training.save(tmp_path / f"on{link.size}")
        return training

    def restored(link):
        training = Training(Settings("digits", **SETTINGS), dataset(), link)
        training.restore(tmp_path / "on2")
        training.advance()
        return training

    on(1, saved)
    on(2, saved)
    assert (tmp_path / "on1").read_bytes() == (tmp_path / "on2").read_bytes()
    ((alone, _),) = on(1, trained(3))
    for training in on(3, restored):
        assert training.digest() == alone.digest()
        assert training.progress == alone.progress

    def refused(link):
        training = Training(Settings("digits", **SETTINGS | {"seed": 9}), dataset(), link)
        with pytest.raises(ValueError, match="seed is 9, but must be 0 as in"):
            training.restore(tmp_path / "on2")

    on(3, refused)


@pytest.mark.parametrize("last", [1, 2])
def test_what_processes_do_not_have_in_common_is_named(last):
    """The last of two, or of three, differs from the others."""

    def flip(training):
        if training.link.rank == last and training.progress.step == 1:
            training.net.params["conv1.w"].view("u4")[0, 0, 0, 0] ^= 1

    digest = "[0-9a-f]{64}"
    for run, message in (
        (
            trained(before=flip),
            f"the digest of the weights after step 2 of process {last} is {digest}, but must be {digest} as of",
        ),
        (
            lambda link: trained(seed=link.rank // last)(link),
            f"seed of process {last} is 1, but must be 0 as of process 0",
        ),
    ):

        def refused(link, run=run, message=message):
            with pytest.raises(ValueError, match=message):
                run(link)

        on(last + 1, refused)


@pytest.mark.parametrize("step", [2, 4])
def test_a_wrong_weight_is_found_before_a_checkpoint_and_after_an_epoch(tmp_path, monkeypatch, step):
    """However seldom processes compare else. An epoch has four steps, and after two there is a checkpoint."""
    monkeypatch.setattr(steps, "COMPARE_EVERY", 100)

    def flip(training):
        if training.link.rank == 1 and training.progress.step == step - 1:
            training.net.params["conv1.w"].view("u4")[0, 0, 0, 0] ^= 1 << 20  # more than a step rounds away

    def saved(link):
        training, _ = trained(step, before=flip)(link)
        training.save(tmp_path / "run")

    def refused(link):
        with pytest.raises(ValueError, match=f"the digest of the weights after step {step} of process 1 is "):
            saved(link)

    on(2, refused)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [0, 2, 3])
def test_teams_compare_their_columns(wrong):
    """Of four processes in two teams 0 and 2 have the same columns, and 1 and 3."""

    def flip(training):
        if training.link.rank == wrong and training.progress.step == 1:
            (name, *_) = training.placement.columns.params
            training.placement.columns.params[name].view("u4")[0, 0] ^= 1

    named, right = (2, 0) if wrong == 0 else (wrong, wrong - 2)
    message = f"the digest of the weights after step 2 of process {named} is .* as of process {right}"

    def refused(link):
        with pytest.raises(ValueError, match=message):
            trained(before=flip, dense="columns", blocks=2, groups=2)(link)

    on(4, refused)


def names(size):
    return f"run{size}", f"log{size}", f"plot{size}.svg", f"timings{size}"


def test_process_0_alone_prints_and_writes(tmp_path):
    """The same lines and the same bytes as one process; what depends on the machine is in a file of its own."""

    def ran(link):
        out, said = io.StringIO(), io.StringIO()
        run, log, plot, timings = (str(tmp_path / name) for name in names(link.size))
        files = Files(run, False, log, plot, timings)
        quiet = Console(said, quiet=link.rank > 0)
        settings = Settings("digits", **SETTINGS | {"epochs": 5})
        assert train(settings, dataset(), out, quiet, files, link) == 0
        return out.getvalue(), said.getvalue()

    ((alone, _),) = on(1, ran)
    (first, said), second = on(2, ran)
    without_speed = [[line.rpartition(";")[0] for line in out.splitlines()] for out in (alone, first)]
    assert without_speed[0] == without_speed[1]
    assert len(without_speed[0]) == 5
    assert second == ("", "")
    assert [line.rpartition("/")[2] for line in said.splitlines()] == ["run2", "log2", "timings2", "plot2.svg"]
    for name in ("run", "log"):
        assert (tmp_path / f"{name}1").read_bytes() == (tmp_path / f"{name}2").read_bytes()
    (timed,) = read_log(tmp_path / "timings2")
    elements = sum(value.size for value in Training(Settings("digits", **SETTINGS), dataset()).net.params.values())
    for rank, process in enumerate(timed["processes"]):
        assert process["sent"]["gradients"] == 19 * gradient_bytes(elements, 4, 2, rank)
        assert process["waited"] > 0
