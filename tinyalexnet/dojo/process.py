"""Runs the code of a learner's file in a process of its own, with limits of time and memory.

The program of that process is child.py. Nothing of the learner's is executed or unpickled here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from . import child
from .runner import Code, Limits, StoppedError, shortened, stopped_by

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables of libraries that start threads. One thread starts sooner, and its times vary less."""


class Process(Code):
    """The code of a file, in a process of its own that ends with the ``with`` block.

    If it is ``graded``, it may use only NumPy and Python's own modules, and no files (guard.py).
    """

    def __init__(self, path: str | Path, limits: Limits | None = None, graded: bool = False) -> None:
        self.path = str(path)
        self.graded = graded
        self.limits = limits or Limits()
        self.seconds_left = self.limits.seconds

    def __enter__(self) -> Process:
        limits = json.dumps({"AS": self.limits.memory, "FSIZE": self.limits.written, "CORE": 0})
        # Appended to, so that to read here does not move the place where the process writes.
        self.output: IO[bytes] = tempfile.TemporaryFile("a+b")
        self.shown_to = 0
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-X", "utf8", child.__file__, self.path, limits, "graded" if self.graded else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.output,
            env={**os.environ, **dict.fromkeys(THREADS, "1")},
            start_new_session=True,  # Ctrl-C reaches this process alone
        )
        self.replies: queue.Queue[bytes] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self._start()
            self.ask({"do": "load"})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self.reader.join(1.0)
        for pipe in (self.process.stdin, self.process.stdout, self.output):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        begin = time.monotonic()
        pipe: IO[bytes] = self.process.stdin  # type: ignore[assignment]
        with contextlib.suppress(OSError):  # a dead process is found by its missing reply
            pipe.write(json.dumps(request).encode() + b"\n")
            pipe.flush()
        reply = self._reply(self.seconds_left)
        self.seconds_left -= time.monotonic() - begin
        printed = self._printed()
        if "failed" in reply:
            raise stopped_by(reply["failed"], self.limits, printed)
        return {**reply, "printed": printed}

    def _start(self) -> None:
        try:
            if self._reply(self.limits.start):  # not the sign that it is ready, but what stands for a late reply
                raise StoppedError(f"it gave no sign within {self.limits.start:g} s")
        except StoppedError as stopped:
            raise OSError(f"the process for your code could not be started: {stopped.printed or stopped}") from None

    def _reply(self, seconds: float) -> dict[str, Any]:
        """The next reply, within so many seconds."""
        try:
            line = self.replies.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            line = self._interrupted()
        if not line:
            raise StoppedError(self._end(), self._printed())
        try:
            reply: dict[str, Any] = json.loads(line)
        except ValueError:
            raise StoppedError(
                "Your code wrote to a file that it did not open: leave that out.", self._printed()
            ) from None
        return reply

    def _interrupted(self) -> bytes:
        """Ctrl-C for the process: its reply has the line at which it was. If it does not stop, it is killed later."""
        with contextlib.suppress(ValueError, OSError):
            self.process.send_signal(signal.SIGINT)
        try:
            return self.replies.get(timeout=1.0)
        except queue.Empty:
            failed = {"type": "KeyboardInterrupt", "message": "", "line": None, "source": ""}
            return json.dumps({"failed": failed}).encode()

    def _end(self) -> str:
        """Why there are no more replies."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        code = self.process.poll()
        if code is None:
            return "Your code closed a file that it did not open: leave that out."
        if code >= 0:
            return f"Your code ended its process with exit code {code}: leave that out, because the check must go on."
        name = signal.Signals(-code).name
        return f"The process of your code was ended by {name}: it crashed, or used too much memory."

    def _printed(self) -> str:
        """What was printed since the last time."""
        size = os.fstat(self.output.fileno()).st_size
        self.output.seek(self.shown_to)
        text = self.output.read(4 * self.limits.printed).decode("utf-8", "replace")
        left_out = size - self.output.tell()
        self.shown_to = size
        return shortened(text, self.limits.printed, left_out)

    def _read(self) -> None:
        """Takes replies from the pipe, so that the wait for one can end. The last is empty."""
        pipe: IO[bytes] = self.process.stdout  # type: ignore[assignment]
        while line := pipe.readline(3 * child.MOST_BYTES):
            self.replies.put(line)
        self.replies.put(b"")

    def _kill(self) -> None:
        """Ends the process and all that it has started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (AttributeError, OSError):  # Windows; or all of them have ended
            self.process.kill()
        self.process.wait()
