"""A command that all processes run: who speaks, how it ends, and what processes of one machine share."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from tests.parallel.as_threads import Comm, World, on
from tinyalexnet.__main__ import main
from tinyalexnet.command import Parser
from tinyalexnet.devices import device
from tinyalexnet.parallel import Alone, MPILink, command


@pytest.fixture
def linked(monkeypatch):
    """Links of a command, without others or as process 1 of 2, that remember how they ended."""
    ended = []

    class Known(MPILink):
        rank_ = 0

        def __init__(self, patience):
            super().__init__(patience, Comm(World(1 + self.rank_), self.rank_))

        def abort(self, code):
            ended.append(code)

        def close(self):
            ended.append("closed")

    monkeypatch.setattr(command, "MPILink", Known)
    monkeypatch.setattr(command, "GRACE", 0.01)
    # The other process is not there.
    monkeypatch.setattr(command, "own_gpu", lambda link: None)
    monkeypatch.setattr(command, "fair_threads", lambda link, backend: nullcontext())
    return Known, ended


def parser():
    return Parser(prog="program")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_command_that_goes_well(linked, rank, monkeypatch):
    known, ended = linked
    known.rank_ = rank

    chosen = []
    monkeypatch.setattr(command, "own_gpu", lambda link: chosen.append(link.rank))

    def run(console, link):
        assert console.quiet is bool(rank)
        assert chosen == [rank], "before anything is on a GPU"
        return 0

    assert command.together(parser(), run, 5.0) == 0
    assert ended == ["closed"]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyError("a bug"), 130])
def test_a_command_that_fails_ends_all(linked, rank, error, capsys):
    known, ended = linked
    known.rank_ = rank

    def run(console, link):
        if isinstance(error, int):
            return error
        raise error

    begin = time.monotonic()
    code = command.together(parser(), run, 5.0)
    assert time.monotonic() - begin >= 0.011 * rank
    err = capsys.readouterr().err
    name = "program: process 1 of 2" if rank else "program"
    if isinstance(error, OSError):
        assert (code, err) == (2, f"{name}: the disk is full\n")
    elif isinstance(error, KeyError):
        assert code == 1
        assert "KeyError: 'a bug'\nthis is a bug of tinyalexnet" in err
    else:
        assert code == 130
    # Alone it may end by itself; where the other one has not failed, it ends both.
    assert ended == ([code] if rank else [])


@pytest.mark.parametrize(
    ("error", "code"), [(OSError("the disk is full"), 2), (KeyboardInterrupt(), 130), (130, 130), (7, 7)]
)
def test_where_all_fail_process_0_speaks(linked, error, code, monkeypatch, capsys):
    known, ended = linked
    known.rank_ = 1
    monkeypatch.setattr(known, "all_end", lambda self, seconds: True)

    def run(console, link):
        if isinstance(error, int):
            return error
        raise error

    assert command.together(parser(), run, 5.0) == code
    assert (ended, capsys.readouterr().err) == ([], "")


@pytest.mark.parametrize("rank", [0, 1])
def test_where_another_has_spoken_a_process_keeps_quiet(linked, rank, monkeypatch, capsys):
    """As where several lose patience with one that hangs; and it does not end that one before its line is written."""
    known, ended = linked
    known.rank_ = rank
    monkeypatch.setattr(known, "is_first_to_speak", lambda self: False)

    def run(console, link):
        raise TimeoutError("process 2 of 3 hangs")

    monkeypatch.setattr(command, "GRACE", 0.05)
    begin = time.monotonic()
    assert command.together(parser(), run, 5.0) == 2
    assert time.monotonic() - begin >= 0.1 * rank
    assert capsys.readouterr().err == ""
    assert ended == [2] * rank


@pytest.mark.parametrize(
    ("rank", "expected"), [(0, [1.0]), (1, [1.1, 0]), (4, [1.4, 0]), (10, [2.0, 0]), (99, [2.0, 0])]
)
def test_how_long_a_process_keeps_its_error_to_itself(linked, rank, expected, monkeypatch):
    """Process 0, and the others in turn, so that not all speak if it has not failed. Then they have waited already."""
    known, ended = linked
    known.rank_, asked = rank, []
    monkeypatch.setattr(command, "GRACE", 1.0)
    monkeypatch.setattr(known, "all_end", lambda self, seconds: bool(asked.append(seconds)))
    assert command.together(parser(), lambda console, link: 7, 5.0) == 7
    assert asked == pytest.approx(expected)
    assert ended == [7]


@pytest.mark.parametrize("rank", [0, 1])
def test_train_has_a_link_if_it_is_asked_for(linked, rank, monkeypatch):
    pytest.importorskip("sklearn")
    known, ended = linked
    seen = []
    monkeypatch.setattr("tinyalexnet.training.train", lambda *given: seen.append(given[-1]) or 0)
    monkeypatch.setattr("tinyalexnet.parallel.first", lambda link, job: job())
    known.rank_ = rank
    assert main(["train", "--data=digits", "--parallel=mpi", "--patience=3"]) == 0
    assert main(["train", "--data=digits", "--quiet"]) == 0
    assert [(link.rank, link.size) for link in seen] == [(rank, 1 + rank), (0, 1)]
    assert ended == ["closed"]


@pytest.mark.parametrize("fetches", [True, False])
def test_who_fetches_images_goes_ahead(fetches, monkeypatch):
    ahead, given = [], []
    monkeypatch.setattr("tinyalexnet.training.train", lambda *given: 0)
    monkeypatch.setattr("tinyalexnet.training.data.load", lambda *arguments: given.append(arguments) or "the images")
    monkeypatch.setattr("tinyalexnet.parallel.after_first", lambda link, job: ahead.append(link.rank) or job())
    assert main(["train", "--data=mnist", "--quiet", *["--download"] * fetches]) == 0
    assert given == [("mnist", None, None, fetches, False)]
    assert ahead == [0] * fetches


@pytest.mark.parametrize("error", [TimeoutError, ConnectionError, OSError])
def test_a_process_says_its_number_once(linked, error, capsys):
    known, _ = linked
    known.rank_ = 1

    def run(console, link):
        raise error("process 1 of 2 has waited" if error is not OSError else "the disk is full")

    command.together(parser(), run, 5.0)
    own = "program: process 1 of 2 has waited" if error is not OSError else "program: process 1 of 2: the disk is full"
    assert capsys.readouterr().err == f"{own}\n"


def test_train_alone_needs_no_patience_and_no_launcher(monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--data=digits", "--patience=3"])
    assert capsys.readouterr().err.endswith(": --patience needs --parallel mpi\n")
    monkeypatch.setenv("PMI_SIZE", "3")
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--data=digits"])
    assert "PMI_SIZE is 3, but must be 1 without --parallel mpi" in capsys.readouterr().err


def test_without_a_link_a_command_fails_as_others_do(monkeypatch, capsys):
    def missing(patience):
        raise {"import": ImportError("no MPI"), "bug": KeyError("a bug")}[patience]

    monkeypatch.setattr(command, "MPILink", missing)
    assert command.together(parser(), None, "import") == 2
    assert capsys.readouterr().err == "program: no MPI\n"
    with pytest.raises(KeyError):
        command.together(parser(), None, "bug")


def test_processes_share_their_processors(monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    held = []

    class Many:
        def most_threads(self):
            return 8

        def limit_threads(self, count):
            held.append(count)

    monkeypatch.setattr(command, "device", lambda _: Many())
    on(3, lambda link: command.fair_threads(link, "cpu"))
    assert held == [2] * 3
    with command.fair_threads(Alone(), "cpu"):
        assert held == [2] * 3
    # Of four, two are bound to other processors, and have those alone.
    places = iter([[0, 1], [0, 1], [2], [3]])
    lock = threading.Lock()

    def own():
        with lock:
            return next(places)

    monkeypatch.setattr(command.machine, "processors", own)
    held.clear()
    on(4, lambda link: command.fair_threads(link, "cpu"))
    assert sorted(held) == [4, 4, 8, 8]
    monkeypatch.setattr(command.machine, "processors", lambda: [0])
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    held.clear()
    on(2, lambda link: command.fair_threads(link, "cpu").__enter__())
    assert held == []
    monkeypatch.undo()
    assert device("cpu").most_threads() >= 1


def test_processes_of_one_machine_have_a_gpu_each(monkeypatch):
    own = threading.local()
    monkeypatch.setattr(command.platform, "node", lambda: own.node)
    monkeypatch.setattr(command, "choose_gpu", lambda number: setattr(own, "gpu", number))

    def chosen(link):
        own.node = "abaab"[link.rank]
        command.own_gpu(link)
        return own.gpu

    assert on(5, chosen) == [0, 0, 1, 2, 1]
    own.node = "c"
    command.own_gpu(Alone())
    assert own.gpu == 0


@pytest.mark.parametrize(("threads", "share"), [(8, 2), (3, 1), (2, 1)])
def test_processes_of_one_machine_share_its_threads(monkeypatch, threads, share):
    """Each has one at least."""
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setattr(command, "device", lambda backend: SimpleNamespace(most_threads=lambda: threads))
    assert on(3, lambda link: command.fair_share(link, "cpu")) == [share] * 3
    assert command.fair_share(Alone(), "cpu") is None


def test_a_variable_that_some_processes_have_changes_no_exchange(monkeypatch):
    """NUMBA_NUM_THREADS is set in process 1 alone: what all exchange next is what they meant."""
    own = threading.local()
    monkeypatch.setattr(command, "device", lambda backend: SimpleNamespace(most_threads=lambda: 8))
    environment = Environment(lambda: {"NUMBA_NUM_THREADS": "1"} if own.rank else {})
    monkeypatch.setattr(command, "os", SimpleNamespace(environ=environment))

    def asked(link):
        own.rank = link.rank
        return command.fair_share(link, "cpu"), link.now(lambda: link.texts(f"next of {link.rank}"))

    assert on(2, asked) == [(4, ["next of 0", "next of 1"]), (None, ["next of 0", "next of 1"])]


class Environment:
    """What each thread has in it."""

    def __init__(self, of):
        self._of = of

    def __contains__(self, name):
        return name in self._of()
