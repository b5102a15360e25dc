"""Processes as threads of this one: a communicator with the few calls of mpi4py that ``MPILink`` makes."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from concurrent.futures import ThreadPoolExecutor

from tinyalexnet.parallel import Alone, MPILink

SECONDS = 200
"""For which a collective waits until the others come too: on a busy machine one may draw a picture meanwhile."""


class World:
    """What the communicators of all ranks share."""

    def __init__(self, size):
        self.size = size
        self.barrier = threading.Barrier(size)
        self.slots = [None] * size
        self.copies = {}
        self.halves = {}
        self.here = Counter()
        self.messages = defaultdict(deque)
        self.lock = threading.Lock()
        self.aborted = []


class Comm:
    """The communicator of one rank."""

    def __init__(self, world, rank):
        self.world, self.rank = world, rank
        self.number_of_copies = self.number_of_halves = self.number_of_barriers = 0

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.world.size

    def Dup(self):
        with self.world.lock:
            self.number_of_copies += 1
            world = self.world.copies.setdefault(self.number_of_copies, World(self.world.size))
        return Comm(world, self.rank)

    def Split(self, colour, key):
        assert key == self.rank
        colours = self.of_all(colour)
        with self.world.lock:
            self.number_of_halves += 1
            world = self.world.halves.setdefault((self.number_of_halves, colour), World(colours.count(colour)))
        return Comm(world, colours[: self.rank].count(colour))

    def Isend(self, message, to):
        assert message.flags.c_contiguous
        self.world.messages[self.rank, to].append(message.copy())
        return Request(self.world, lambda: True)

    def Irecv(self, target, source):
        assert target.flags.c_contiguous
        arrived = self.world.messages[source, self.rank]

        def received():
            if not arrived:
                return False
            sent = arrived.popleft()
            assert (sent.size, sent.dtype) == (target.size, target.dtype)  # MPI converts nothing, and repeats nothing
            target[...] = sent.reshape(target.shape)
            return True

        return Request(self.world, received)

    def Iprobe(self, source):
        return bool(self.world.messages[source, self.rank])

    def Ibcast(self, array):
        array[...] = self.of_all(array.copy())[0]
        return Request(self.world, lambda: True)

    def Ibarrier(self):
        self.number_of_barriers += 1
        number = self.number_of_barriers
        with self.world.lock:
            self.world.here[number] += 1
        return Request(self.world, lambda: self.world.here[number] == self.world.size)

    def Abort(self, code):
        self.world.aborted.append((self.rank, code))
        self.world.barrier.abort()

    def of_all(self, value):
        self.world.slots[self.rank] = value
        self.world.barrier.wait(SECONDS)
        values = list(self.world.slots)
        self.world.barrier.wait(SECONDS)
        return values


class Request:
    """What is under way until ``ends`` has been true."""

    def __init__(self, world, ends):
        self.world, self.ends, self.done = world, ends, False

    def Test(self):
        if self.world.barrier.broken:
            raise threading.BrokenBarrierError
        self.done = self.done or self.ends()
        return self.done

    @staticmethod
    def Testall(requests):
        return all(request.Test() for request in requests)

    @staticmethod
    def Waitall(requests):
        until = time.monotonic() + SECONDS
        while not Request.Testall(requests):
            assert time.monotonic() < until
            time.sleep(0.0001)


def on(size, function):
    """``function(link)`` on so many ranks at once; the values in their order."""
    if size == 1:
        return [function(Alone())]
    world = World(size)

    def run(rank):
        link = MPILink(SECONDS, Comm(world, rank))
        value = function(link)
        link.close()
        return value

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(run, range(size)))
