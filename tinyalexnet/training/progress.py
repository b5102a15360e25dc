"""How far a training is: steps taken, and the sums from which the log's means are made."""

import statistics
from dataclasses import dataclass, field
from typing import Any

LARGEST_LOSS = 3.5e38
"""Above every float32, so the sum of as many losses as there are steps is at most so many times this."""

MOST_STEPS = 1 << 53
"""More steps than any run takes; up to here a float holds every int."""


@dataclass
class Sums:
    """Sums over some steps, for the means in the log."""

    steps: int = 0
    loss: float = 0.0
    right: int = 0
    images: int = 0

    def add(self, loss: float, right: int, images: int) -> None:
        self.steps, self.loss = self.steps + 1, self.loss + loss
        self.right, self.images = self.right + right, self.images + images

    @property
    def means(self) -> dict[str, float]:
        """Loss and accuracy."""
        return {"loss": self.loss / self.steps, "accuracy": self.right / self.images}


@dataclass
class Pace:
    """The seconds of the steps since it was asked last."""

    batch_size: int
    seconds: list[float] = field(default_factory=list)

    def taken(self) -> int | None:
        """Images a second in the median step, and begins anew; None if there was no step."""
        seconds, self.seconds = self.seconds, []
        return round(self.batch_size / statistics.median(seconds)) if seconds else None


@dataclass
class Progress:
    """The number of steps taken, and the sums since the last line of the log and since the last epoch."""

    step: int = 0
    logged: Sums = field(default_factory=Sums)
    epoch: Sums = field(default_factory=Sums)


def progress_from(value: Any, batch_size: int) -> Progress | None:
    """The progress whose ``asdict`` is ``value``, in steps of ``batch_size`` images; None if it cannot be one."""
    match value:
        case {"step": step, "logged": logged, "epoch": epoch} if len(value) == 3 and _is_count(step, MOST_STEPS):
            sums = [_sums_from(part, step, batch_size) for part in (logged, epoch)]
            if sums[0] and sums[1]:
                return Progress(step, sums[0], sums[1])
    return None


def _sums_from(value: Any, most: int, batch_size: int) -> Sums | None:
    match value:
        case {"steps": steps, "loss": float(loss), "right": right, "images": images} if len(value) == 4:
            in_range = _is_count(steps, most) and abs(loss) <= steps * LARGEST_LOSS
            if in_range and _is_count(images, steps * batch_size) and _is_count(right, images):
                return Sums(steps, loss, right, images) if images == steps * batch_size else None
    return None


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most
