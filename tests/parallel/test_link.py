"""What ``MPILink`` makes of a communicator, and what a command makes of a link."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from tests.parallel.as_threads import SECONDS, Comm, World, on
from tinyalexnet.parallel import Alone, MPILink, mpi, part
from tinyalexnet.parallel.link import begun


def test_what_is_exchanged_comes_from_each_in_order():
    """Process p sends q + 1 elements p to process q."""

    def exchanged(link):
        pieces = [np.full((q + 1, 2), link.rank, np.float32)[:, 1] for q in range(3)]
        found = link.now(lambda: link.exchange("pieces", pieces, [link.rank + 1] * 3))
        return found.tolist(), link.sent["pieces"]

    found = on(3, exchanged)
    assert [values for values, _ in found] == [[q for q in range(3) if q != p for _ in range(p + 1)] for p in range(3)]
    assert [sent for _, sent in found] == [4 * (6 - (p + 1)) for p in range(3)]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_get_all(size):
    def gathered(link):
        mine = np.arange(link.rank, dtype=np.float64) + link.rank
        every = link.now(lambda: link.gather("numbers", mine, list(range(size))))
        same = np.full(every.size, -1.0)
        start = sum(range(link.rank))
        same[start : start + link.rank] = mine
        link.now(lambda: link.complete("state", same, list(range(size))))
        assert same.tolist() == every.tolist()
        state = np.full((2, 3), link.rank, np.int64)
        link.now(lambda: link.broadcast(state))
        texts = link.now(lambda: link.texts(f"ünï {link.rank} \udcff" * link.rank))
        return every.tolist(), link.sent["numbers"], state.tolist(), texts, link.sent["state"]

    for rank, (every, sent, state, texts, broadcast) in enumerate(on(size, gathered)):
        assert every == [p + i for p in range(size) for i in range(p)]
        assert sent == 8 * rank * (size - 1)
        assert state == [[0] * 3] * 2
        assert texts == [f"ünï {p} \udcff" * p for p in range(size)]
        assert broadcast == (48 * (size - 1) if rank == 0 else 8 * rank * (size - 1))


def test_jobs_run_in_order_beside_the_caller():
    def ordered(link):
        order, released = [], threading.Event()

        def slow():
            released.wait(10)
            order.append("slow")
            return 1

        waits = [link.later(slow), link.later(lambda: order.append("quick"))]
        assert order == []
        released.set()
        assert waits[0]() == 1
        waits[1]()
        assert link.waited > 0
        return order

    assert on(2, ordered) == [["slow", "quick"]] * 2
    alone = Alone()
    assert (alone.later(lambda: 5)(), alone.now(lambda: 6), alone.waited) == (5, 6, 0)
    assert alone.exchange("pieces", [np.arange(2)], [2]).tolist() == []
    alone.close()


def test_a_job_of_now_runs_here_after_those_before_it():
    def ordered(link):
        order, released = [], threading.Event()
        link.later(lambda: released.wait(10) and order.append("first"))
        threading.Timer(0.01, released.set).start()
        link.now(lambda: order.append("second"))
        here = link.now(threading.get_ident)
        return order, here == threading.get_ident()

    assert on(2, ordered) == [(["first", "second"], True)] * 2


@pytest.mark.parametrize("size", [1, 2])
def test_a_job_begins_at_once_or_when_it_is_asked_for(size):
    def begins(link):
        there = link.now(threading.get_ident)
        early = begun(link, threading.get_ident, beside=True)()
        order = []
        late = begun(link, lambda: order.append("asked"), beside=False)
        assert order == []
        late()
        return order, early == there

    assert on(size, begins) == [(["asked"], size == 1)] * size


def test_an_exchange_runs_beside_the_caller_too():
    def gathered(link):
        return link.later(lambda: link.gather("ranks", np.array([link.rank]), [1] * 3))().tolist()

    assert on(3, gathered) == [[0, 1, 2]] * 3


def test_seconds_of_exchanges_are_counted_by_what_they_were(monkeypatch):
    """On a clock of each thread that only what goes to others moves on, by two seconds."""
    finish, clock = MPILink._finish, threading.local()

    def now():
        return getattr(clock, "now", 1.0)

    def later(link, requests):
        clock.now = now() + 2.0
        finish(link, requests)

    def exchanged(link):
        link.now(lambda: link.gather("numbers", np.zeros(3), [3] * link.size))
        for _ in range(3):
            link.now(lambda: link.exchange("pieces", [np.zeros(1)] * link.size, [1] * link.size))
        link.now(lambda: link.broadcast(np.zeros(3)))
        return dict(link.exchanging)

    monkeypatch.setattr(MPILink, "_finish", later)
    monkeypatch.setattr(part, "time", SimpleNamespace(**vars(time) | {"perf_counter": now}))
    assert on(3, exchanged) == [{"numbers": 2.0, "pieces": 6.0, "state": 2.0}] * 3
    assert on(1, exchanged) == [{}]


@pytest.mark.parametrize("parts", [[7, 7, 7], [0, 1, 0], [2, 1, 1], [0, 1, 2]])
def test_some_processes_have_a_link_of_their_own(parts):
    """Those that ask with the same number. What goes over it counts in both."""

    def divided(link):
        some = link.split(parts[link.rank])
        numbers = some.now(lambda: some.gather("numbers", np.array([link.rank]), [1] * some.size)).tolist()
        link.now(lambda: link.gather("all", np.zeros(1), [1] * 3))
        some.rest()
        some.close()
        return some.rank, some.size, numbers, isinstance(some, Alone), some.sent, link.sent

    for rank, found in enumerate(on(3, divided)):
        of = [other for other in range(3) if parts[other] == parts[rank]]
        counted = {"numbers": 8 * (len(of) - 1)} if len(of) > 1 else {}
        assert found == (of.index(rank), len(of), of, len(of) == 1, counted, counted | {"all": 16})
    alone = Alone().split(1)
    assert (alone.rank, alone.size) == (0, 1)


def test_the_parts_of_a_part_count_in_all_of_them():
    def divided(link):
        half = link.split(link.rank // 2)
        smaller = half.split(5)
        before = [each.waited for each in (smaller, half, link)]
        smaller.now(lambda: smaller.broadcast(np.zeros(3)))
        assert smaller.exchanging == half.exchanging == link.exchanging
        assert all(each.waited > was for each, was in zip((smaller, half, link), before, strict=True))
        return smaller.sent["state"], half.sent["state"], link.sent["state"]

    assert on(4, divided) == [(24, 24, 24), (0, 0, 0)] * 2


def test_jobs_of_all_parts_run_in_one_order():
    """The thread of the link runs them: what begins first is through first, whichever part it is of."""

    def ordered(link):
        order, released = [], threading.Event()
        one, other = link.split(0), link.split(1)
        waits = [one.later(lambda: released.wait(10) and order.append("first"))]
        waits += [link.later(lambda: order.append("second")), other.later(lambda: order.append("third"))]
        assert order == []
        released.set()
        for wait in waits:
            wait()
        return order

    assert on(2, ordered) == [["first", "second", "third"]] * 2


def test_a_rest_ends_when_all_are_here(monkeypatch):
    """Each time anew. Who is early sleeps, and says in between what the others do."""
    naps, arrived = [], [threading.Event() for _ in range(2)]
    monkeypatch.setattr(part, "NAP", 0.001)
    sleep = time.sleep

    def nap(seconds):
        naps.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(part, "time", SimpleNamespace(**vars(time) | {"sleep": nap}))

    def resting(link):
        early = []
        for event in arrived:
            if link.rank:
                while len(naps) < 3:
                    sleep(0.001)
                event.set()
            link.rest()
            early.append(event.is_set())
            link.now(lambda: link.texts(""))
            naps.clear()
            link.now(lambda: link.texts(""))
        return early

    assert on(2, resting) == [[True, True]] * 2
    Alone().rest()


def gather_in_vain(link):
    """An exchange to which the other process does not come."""
    return link.gather("numbers", np.zeros(1), [1, 1])


@pytest.mark.parametrize("beside", [True, False])
def test_patience_has_an_end(beside):
    stuck = threading.Event()
    link = MPILink(0.05, Comm(World(2), 1))
    job = stuck.wait if beside else lambda: gather_in_vain(link)
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"process 1 of 2 has waited 0\.05 seconds for the others, but at least one"):
        begun(link, job, beside)()
    assert time.monotonic() - begin >= 0.075, "who has ended loses patience first, and says more"
    assert link.waited > 0
    stuck.set()


@pytest.mark.parametrize("patience", [1e10, 1e300])
def test_a_patience_may_be_longer_than_a_thread_can_wait(patience):
    assert on_link(patience, lambda link: link.later(lambda: 5)()) == 5
    assert on_link(patience, lambda link: link.now(lambda: 6)) == 6


def on_link(patience, function):
    link = MPILink(patience, Comm(World(1), 0))
    found = function(link)
    link.close()
    return found


@pytest.mark.parametrize(("patience", "seconds"), [(0, 0), (1, 1.5), (2, 3), (300, 301)])
def test_who_waits_in_an_exchange_gives_others_a_moment_to_say_why(monkeypatch, patience, seconds):
    asked, clock = [], [0.0]

    def now():
        clock[0] += 0.25
        return clock[0]

    link = MPILink(patience, Comm(World(2), 1))
    with monkeypatch.context() as patched:
        patched.setattr(mpi.futures.Future, "result", lambda self, timeout: asked.append(timeout))
        link.later(int)()
    assert asked == [seconds]
    monkeypatch.setattr(mpi, "time", SimpleNamespace(**vars(time) | {"monotonic": now}))
    with pytest.raises(TimeoutError):
        link.now(lambda: gather_in_vain(link))
    assert seconds < clock[0] - 0.25 <= seconds + 0.5


def test_who_waits_leaves_its_processor_to_others(monkeypatch):
    """Each time that the messages are not there: the other one sends its own after five times."""
    world, left = World(2), []
    one, other = (MPILink(SECONDS, Comm(world, rank)) for rank in range(2))

    def leave():
        left.append(1)
        if len(left) == 5:
            other.now(lambda: gather_in_vain(other))

    monkeypatch.setattr(mpi, "YIELD", leave)
    assert one.now(lambda: gather_in_vain(one)).tolist() == [0, 0]
    assert len(left) == 5


@pytest.mark.parametrize("beside", [True, False])
def test_seconds_of_waiting_add_up(monkeypatch, beside):
    clock = iter([5.0, 7.0, 10.0, 10.5])
    monkeypatch.setattr(part, "time", SimpleNamespace(**vars(time) | {"perf_counter": lambda: next(clock)}))
    link = MPILink(1, Comm(World(1), 0))
    for _ in range(2):
        begun(link, int, beside)()
    assert link.waited == 2.5
    link.close()


@pytest.mark.parametrize("patience", [-1, float("nan"), "long"])
def test_patience_is_a_number(patience):
    with pytest.raises(ValueError, match="patience is "):
        MPILink(patience, Comm(World(1), 0))


def test_errors_of_a_job_are_raised_where_it_is_waited_for():
    def failing(link):
        with pytest.raises(ZeroDivisionError):
            link.now(lambda: 1 / 0)
        return True

    assert on(2, failing) == [True, True]


class AbortedError(Exception):
    """In place of the end of the process."""


def said_(said):
    return lambda *given: said.append(given)


@pytest.fixture
def ends(monkeypatch):
    """What ``abort`` does to the process."""
    said = []
    monkeypatch.setattr(os, "dup2", lambda *given: said.append("silent"))

    def exit_(code):
        raise AbortedError(code, *said)

    monkeypatch.setattr(os, "_exit", exit_)
    # A clock that would end the tests.
    monkeypatch.setattr(mpi, "signal", SimpleNamespace(SIGALRM=14, SIG_DFL=0, signal=said_(said), alarm=said_(said)))
    return said


def test_who_is_left_alone_ends_all(ends, capsys):
    world = World(2)
    link = MPILink(0.02, Comm(world, 1))
    with pytest.raises(AbortedError, match=re.escape("(75, 'silent'")):
        link.close()
    assert capsys.readouterr().err == "process 1 of 2 has ended before the others\n"
    assert world.copies[1].aborted == [(1, 75)]
    assert ends[-2:] == [(14, 0), (mpi.ENDING,)]
    link.close()  # a second time it is nothing


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyError("a bug"), 1, "KeyError: 'a bug'\n"),
        (KeyboardInterrupt(), 1, "KeyboardInterrupt\n"),
        (SystemExit(3), 3, ""),
        (SystemExit("a word"), 1, "a word\n"),
    ],
)
def test_an_error_under_a_link_ends_all(ends, capsys, error, code, said):
    world = World(2)
    with pytest.raises(AbortedError), MPILink(1, Comm(world, 1)):
        raise error
    assert world.copies[1].aborted == [(1, code)]
    err = capsys.readouterr().err
    assert err.endswith(said)
    assert err.startswith("Traceback") or err == said


@pytest.mark.parametrize("error", [None, SystemExit(0), SystemExit()])
def test_an_end_without_error_closes_the_link(error):
    link = MPILink(1, Comm(World(1), 0))
    try:
        with link:
            if error is not None:
                raise error
    except SystemExit:
        assert error is not None
    with pytest.raises(RuntimeError, match="shutdown"):
        link.later(print)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_was_said_is_written_before_the_end(ends, monkeypatch, stream):
    """No buffer is flushed after that, and stderr leads nowhere."""
    ends.clear()
    monkeypatch.setattr(sys, stream, SimpleNamespace(flush=lambda: ends.append("written")))
    with pytest.raises(AbortedError) as end:
        MPILink(1, Comm(World(1), 0)).abort(3)
    assert end.value.args[:3] == (3, "written", "silent")


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_a_closed_output_keeps_no_process_from_ending_all(ends, monkeypatch, error):
    def closed():
        raise error

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(flush=closed))
    world = World(2)
    with pytest.raises(AbortedError, match="3"):
        MPILink(1, Comm(world, 1)).abort(3)
    assert world.copies[1].aborted == [(1, 3)]


def test_a_close_does_not_wait_for_a_job_that_does_not_end(ends, capsys):
    """Its thread waits for who has gone."""
    stuck, world = threading.Event(), World(2)
    link = MPILink(0.02, Comm(world, 1))
    link.later(stuck.wait)
    with pytest.raises(AbortedError):
        link.close()
    assert "has ended before the others" in capsys.readouterr().err
    assert world.copies[1].aborted == [(1, 75)]
    stuck.set()


@pytest.mark.parametrize("beside", [True, False])
def test_who_has_lost_the_others_says_so(monkeypatch, beside):
    """A process on another machine may have died; mpi4py's errors are RuntimeErrors."""

    class Request:
        @staticmethod
        def Testall(requests):  # noqa: N802
            raise RuntimeError("Other MPI error, error stack:\ninternal_Testall(90): MPI_Testall(count=2)")

        Waitall = Testall

        def Test(self):  # noqa: N802
            Request.Testall([self])

    link = MPILink(1, Comm(World(2), 1))
    monkeypatch.setattr(Comm, "Isend", lambda self, message, to: Request())
    monkeypatch.setattr(Comm, "Irecv", lambda self, target, source: Request())
    message = (
        "process 1 of 2 has lost the others: one of them has died, or exchanges something else "
        r"\(Other MPI error, error stack:\)$"
    )
    with pytest.raises(ConnectionError, match=message):
        begun(link, lambda: gather_in_vain(link), beside)()
    assert beside or not link.all_end(SECONDS)  # at once


def test_whose_messages_fail_speaks(monkeypatch):
    """To nobody: the others cannot say that they have."""

    def dead(comm, source):
        raise RuntimeError("Other MPI error")

    monkeypatch.setattr(Comm, "Iprobe", dead)
    assert MPILink(1, Comm(World(2), 1)).is_first_to_speak()


def test_the_first_to_speak_is_one_of_those_that_ask():
    world = World(3)
    links = [MPILink(1, Comm(world, rank)) for rank in range(3)]
    assert [links[rank].is_first_to_speak() for rank in (1, 0, 2, 1)] == [True, False, False, True]
    assert MPILink(1, Comm(World(1), 0)).is_first_to_speak()


def test_a_system_without_alarms_ends_all_too(ends, monkeypatch):
    monkeypatch.setattr(mpi, "signal", SimpleNamespace())
    world = World(2)
    with pytest.raises(AbortedError, match="3"):
        MPILink(1, Comm(world, 0)).abort(3)
    assert world.copies[1].aborted == [(0, 3)]


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'mpi4py'"), RuntimeError("libmpi.so.12:\n cannot open")]
)
def test_without_mpi_it_says_what_to_install(monkeypatch, error):
    class Missing:
        def __getattr__(self, name):
            raise error

    monkeypatch.setitem(sys.modules, "mpi4py", Missing())
    reason = re.escape(" ".join(str(error).split()))
    with pytest.raises(
        ImportError, match=rf"need mpi4py and an MPI: pip install 'tinyalexnet\[parallel\]'.*\({reason}\)"
    ):
        MPILink()


@pytest.mark.parametrize("name", mpi.LAUNCHERS)
@pytest.mark.parametrize(("said", "count"), [("1", 1), ("2", 2), ("", 1), ("many", 1)])
def test_several_processes_that_know_nothing_of_each_other_are_refused(monkeypatch, name, said, count):
    for each in mpi.LAUNCHERS:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, said)
    if count == 1:
        mpi.check_alone()
        return
    with pytest.raises(ValueError, match=f"{name} is 2, but must be 1 without --parallel mpi: 2 trainings would write"):
        mpi.check_alone()


class EndedError(Exception):
    """In place of the end of a process."""


@pytest.mark.parametrize("starts", [True, False])
def test_who_watches_the_start_ends_it(monkeypatch, capfd, starts):
    """The process that ``fork`` makes, in place of the other one."""
    ended, killed, asked = [], [], []

    def closed(*given):
        asked.append(given[3])
        return given[0] if starts else [], [], []

    def exit_(code):
        ended.append(code)
        raise EndedError

    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "getppid", lambda: 77)
    monkeypatch.setattr(os, "kill", lambda *given: killed.append(given))
    monkeypatch.setattr(os, "_exit", exit_)
    monkeypatch.setattr(mpi.select, "select", closed)
    with pytest.raises(EndedError), mpi._watched(0.01):
        pass
    assert (ended, asked) == ([0], [0.01])
    late = "MPI has not started within 0.01 seconds: at least one process is slow, stuck or gone\n"
    assert (killed, capfd.readouterr().err) == (([], "") if starts else ([(77, signal.SIGKILL)], late))


@pytest.mark.parametrize(("patience", "seconds"), [(0, 60), (2, 60), (300, 300)])
def test_a_start_has_a_minute_at_least(monkeypatch, patience, seconds):
    given = []
    monkeypatch.setattr(mpi, "_watched", lambda seconds: given.append(seconds) or nullcontext())
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=library(1, 0)))
    for each in mpi.LAUNCHERS:
        monkeypatch.delenv(each, raising=False)
    assert MPILink(patience).size == 1
    assert given == [seconds]


def test_who_is_watched_ends_its_watcher(monkeypatch):
    waited = []
    monkeypatch.setattr(os, "waitpid", lambda *given: waited.append(given))
    monkeypatch.setattr(os, "fork", lambda: 5)
    with pytest.raises(ZeroDivisionError), mpi._watched(1):
        raise ZeroDivisionError
    assert waited == [(5, 0)]
    monkeypatch.delattr(os, "fork")  # as on Windows
    with mpi._watched(1):
        pass
    assert len(waited) == 1


def library(size, rank, threads=2):
    """mpi4py's MPI."""
    return SimpleNamespace(
        COMM_WORLD=Comm(World(size), rank),
        Query_thread=lambda: threads,
        THREAD_SERIALIZED=2,
        Get_library_version=lambda: "An MPI, 1.0\nof today",
    )


@pytest.mark.parametrize(("threads", "fits"), [(0, False), (1, False), (2, True), (3, True)])
def test_an_mpi_for_one_thread_is_refused(monkeypatch, threads, fits):
    for each in mpi.LAUNCHERS:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=library(1, 0, threads)))
    if fits:
        assert MPILink().size == 1
        return
    with pytest.raises(ValueError, match=r"An MPI, 1\.0 allows no exchange beside the main thread"):
        MPILink()


def test_what_mpi4py_warns_of_is_said_once(monkeypatch):
    """A launcher of another MPI, which is refused in a sentence. Until then the system ends the process at Ctrl-C."""
    while_it_starts, before = [], signal.getsignal(signal.SIGINT)

    class Warns:
        @property
        def MPI(self):  # noqa: N802
            warnings.warn("the launcher is of another MPI", RuntimeWarning, stacklevel=2)
            while_it_starts.append(signal.getsignal(signal.SIGINT))
            return library(1, 0)

    for each in mpi.LAUNCHERS:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setitem(sys.modules, "mpi4py", Warns())
    assert MPILink().size == 1
    assert while_it_starts == [signal.SIG_DFL]
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("name", mpi.LAUNCHERS)
@pytest.mark.parametrize(("started", "fits"), [("3", True), ("2", False), ("", True), ("many", True)])
def test_the_launcher_must_be_that_of_the_library(monkeypatch, name, started, fits):
    for each in mpi.LAUNCHERS:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, started)
    known = library(3, 2)
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=known))
    if fits:
        assert (MPILink().rank, MPILink().size) == (2, 3)
        return
    with pytest.raises(ValueError, match=f"{name} is 2, but must be 3, .* belongs to another MPI than An MPI, 1.0$"):
        MPILink()


def test_all_must_be_there_to_end_together():
    assert on(3, lambda link: link.all_end(20) and link.all_end(20)) == [True] * 3
    link, stuck = MPILink(0.01, Comm(World(1), 0)), threading.Event()
    wait = link.later(stuck.wait)
    assert not link.all_end(0.02)  # a job is not done, and may never be
    stuck.set()
    wait()
    assert link.all_end(0)


def test_who_is_interrupted_in_an_exchange_waits_for_its_messages():
    """Where they come after all, all may end together."""
    world = World(2)
    one, other = (MPILink(0.01, Comm(world, rank)) for rank in range(2))
    with pytest.raises(TimeoutError):
        one.now(lambda: gather_in_vain(one))
    assert not one.all_end(0.02)
    assert other.now(lambda: gather_in_vain(other)).tolist() == [0, 0]
    assert not other.all_end(0)
    assert one.all_end(0)
    assert other.all_end(0)
