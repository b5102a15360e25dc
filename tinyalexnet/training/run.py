"""A whole run: the steps of all epochs, with a log, checkpoints, printed lines and a picture."""

import io
import math
import os
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, TextIO

from .. import interrupts
from ..alexnet import check_variant
from ..command import INTERRUPTED
from ..console import Console, Write, printable
from ..devices import device, to_host
from ..files import check_outputs, is_stream
from ..parallel import Alone, Link, first
from ..plots import check as check_plot
from . import checkpoint, plots
from .data import Dataset, with_channels
from .log import Append, appending, check_log, read_log
from .optimizer import Statistics
from .progress import Pace, Sums
from .settings import Settings
from .step import Training
from .timings import Timings

LOG_EVERY = 20
"""Steps per line of the log."""

SHOWN_IMAGES = 20
"""Test images in the picture."""


@dataclass(frozen=True)
class Files:
    """The files of a run, those that it should have: the state, the log, the picture, and the machine's seconds."""

    checkpoint: str | None = None
    resume: bool = False
    log: str | None = None
    plot: str | None = None
    timings: str | None = None

    def check(self) -> None:
        """What ``train`` checks of them. It needs no images, so it can be asked before they are read.

        Errors
            ValueError if a file cannot be written, two are one file, or a log would lose its records; ImportError if a
            package is missing.
        """
        logs = {"log": self.log, "timings": self.timings}
        check_outputs({"checkpoint": self.checkpoint, "plot": self.plot, **logs})
        if self.checkpoint is not None:
            checkpoint.check()
        if self.plot is not None:
            check_plot(self.plot)
        for name, path in logs.items():
            if path is not None:
                check_log(name, path, self.checkpoint, self.resume)


def train(
    settings: Settings,
    dataset: Dataset,
    out: TextIO,
    console: Console,
    files: Files = Files(),
    link: Link | None = None,
) -> int:
    """Trains, prints a line for each epoch, and returns the exit code: 0, or INTERRUPTED after Ctrl-C.

    If there is no checkpoint yet, one is written before the first step, so that a run with ``resume`` can be killed at
    any moment, and given again. After Ctrl-C none is written, because a step may be half done; the last one remains.

    With a ``link`` to other processes, each of them calls this with the same arguments; process 0 prints, and reads and
    writes the files.

    Errors
        As ``Training``, ``Training.restore`` and ``Files.check``. All are raised before anything is computed.
    """
    link = link or Alone()
    first(link, files.check)
    draws = files.plot is not None
    if link.rank:
        out, files = io.StringIO(), replace(files, log=None, plot=None, timings=None)
    dataset = _in_colours(settings.variant, dataset, console)
    with console.waiting("preparing the network and the images"):
        training, goes_on = _prepared(settings, dataset, link, files, console)
    settings, hardware = training.settings, device(settings.backend)
    if launching := hardware.launching(not settings.no_graph):
        console.line(f"GPU {hardware.processor(1)}{launching}")
    code, records = 0, []
    with appending(files.log, goes_on) as log, appending(files.timings, goes_on) as log_timings:

        def record(values: dict[str, Any]) -> None:
            log(values)
            records.append(values)

        try:
            _compile_ahead(training, settings, console)
            _steps(training, record, log_timings, out, console, files.checkpoint)
        except KeyboardInterrupt:
            interrupts.caught()
            code = INTERRUPTED
    for path in (files.checkpoint, files.log, files.timings):
        if path is not None:
            console.wrote(path)
    # Where one of several processes was interrupted, the others may not be asked for anything more.
    if draws and (not code or (records and link.size == 1)):
        with console.waiting("drawing"):
            _picture(training, records, files)
        if files.plot is not None:
            console.wrote(files.plot)
    return code


def _prepared(
    settings: Settings, dataset: Dataset, link: Link, files: Files, console: Console
) -> tuple[Training, int | None]:
    """A training, and the step of the checkpoint that it goes on from, if there is one."""
    training, path = Training(settings, dataset, link), files.checkpoint
    if path is not None and not _exists(link, path):
        training.save(path)
    elif path is not None and files.resume:
        training.restore(path)
        console.line(f"goes on after step {training.progress.step} of {printable(path)}")
        return training, training.progress.step
    return training, None


def _compile_ahead(training: Training, settings: Settings, console: Console) -> None:
    """Compiles the kernels of the steps that are left: one process does it, for all that share its disk."""

    def compile_ahead() -> None:
        console.compile_ahead(device(settings.backend), training.rehearse)

    if training.progress.step < settings.epochs * training.steps_an_epoch:
        first(training.link, compile_ahead)


def _exists(link: Link, path: str) -> bool:
    """If process 0 has the file."""
    return bool(link.now(lambda: link.texts("yes" if os.path.exists(path) else ""))[0])


def _in_colours(variant: str, dataset: Dataset, console: Console) -> Dataset:
    """The data set with as many channels as the network takes, if it is 1 or 3; says so if that changes them."""
    found, wanted = dataset.train.pixels.shape[3], check_variant(variant).image_shape[2]
    if (found, wanted) not in ((1, 3), (3, 1)):
        return dataset
    grey, coloured = "takes grey images: colours are read as grey", "takes colours: grey becomes three equal channels"
    console.line(f"{variant} {grey if wanted == 1 else coloured}")
    return with_channels(dataset, wanted)


def _picture(training: Training, records: list[dict[str, Any]], files: Files) -> None:
    """Draws it if this process has the file; all of them compute the probabilities."""
    test = training.dataset.test
    shown = test.pixels[:SHOWN_IMAGES]
    filters, found = to_host(training.net.params["conv1.w"]), training.probabilities(shown)
    if files.plot is not None:
        # The log also has what was recorded before this run went on; a stream cannot be read again.
        known = records if files.log is None or is_stream(files.log) else read_log(files.log)
        plots.training(known, filters, shown, found, test.labels[:SHOWN_IMAGES], test.classes, files.plot)


def _steps(
    training: Training, log: Append, log_timings: Append, out: TextIO, console: Console, checkpoint_path: str | None
) -> None:
    """Takes the steps that are left."""
    progress, an_epoch, settings = training.progress, training.steps_an_epoch, training.settings
    first, total = progress.step, settings.epochs * training.steps_an_epoch
    since_log, since_epoch = Pace(settings.batch_size), Pace(settings.batch_size)
    timings = Timings(training.link)

    def take(write: Write) -> str:
        """A step and what follows from it; returns what the bar shows, if that is new."""
        is_first, is_last = progress.step == first, (progress.step + 1) % an_epoch == 0
        start, waited = time.perf_counter(), training.link.waited
        moved = training.advance(statistics=is_last)
        seconds, waited = time.perf_counter() - start, training.link.waited - waited
        if is_first:  # which compiles the kernels, or loads them
            timings.begin()
        else:
            since_log.seconds.append(seconds)
            since_epoch.seconds.append(seconds)
            timings.took(seconds, waited)
        record = {"step": progress.step, "epoch": math.ceil(progress.step / an_epoch)}
        note = ""
        if progress.logged.steps == LOG_EVERY:
            means, speed = progress.logged.means, since_log.taken()
            log(record | {"rate": training.schedule(progress.step - 1), **means})
            log_timings(record | {"images_a_second": speed, **timings.taken()})
            note = f"loss {means['loss']:.3f}, accuracy {means['accuracy']:.1%}{_in_words(speed, ', ')}"
            progress.logged = Sums()
        if is_last:
            results = progress.epoch.means | training.evaluate(training.dataset.test)
            log(record | {"whole_epoch": True, **results, "layers": _layers(moved)})
            write(f"epoch {record['epoch']}: {_results(results)}{_in_words(since_epoch.taken(), '; ')}", out)
            progress.epoch = Sums()
        if progress.step == total and timings.steps:  # the last ones, before the next line of the log would come
            log_timings(record | {"images_a_second": since_log.taken(), **timings.taken()})
        if checkpoint_path is not None and (is_last or progress.step % settings.checkpoint_every == 0):
            training.save(checkpoint_path)
        return note

    if progress.step < total:
        with console.compiling(device(settings.backend)):
            take(lambda line, file: print(line, file=file, flush=True))
    with console.bar("training", total, done=progress.step) as (advance, write):
        while progress.step < total:
            advance(take(write))


def _layers(moved: dict[str, Statistics]) -> dict[str, dict[str, float | None]]:
    """The statistics of each parameter for the log. If every weight is 0, the ratio is NaN, which JSON lacks: None."""
    return {name: asdict(value) | {"ratio": value.ratio if value.weight else None} for name, value in moved.items()}


def _in_words(speed: int | None, before: str) -> str:
    return "" if speed is None else f"{before}{speed} images/s"


def _results(results: dict[str, float]) -> str:
    return (
        f"loss {results['loss']:.4f}, accuracy {results['accuracy']:.2%}; "
        f"test loss {results['test_loss']:.4f}, accuracy {results['test_accuracy']:.2%}"
    )
