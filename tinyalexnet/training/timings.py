"""What depends on the machine and on the number of processes, and so has no place in the log: seconds and bytes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from ..parallel import Link


class Timings:
    """The seconds of each process in its steps, and what it has sent, since it was asked last."""

    steps: int
    """How many of them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.begin()

    def begin(self) -> None:
        """Begins anew."""
        self._seconds, self._waited, self.steps = 0.0, 0.0, 0
        self._sent = Counter(self._link.sent)

    def took(self, seconds: float, waited: float) -> None:
        """Says that a step has ended, and how long it has waited for the others."""
        self._seconds, self._waited, self.steps = self._seconds + seconds, self._waited + waited, self.steps + 1

    def taken(self) -> dict[str, Any]:
        """Of all processes, for a line of JSON, and begins anew. All processes must ask for it."""
        own = {
            "seconds": round(self._seconds, 6),
            "waited": round(self._waited, 6),
            "sent": dict(sorted((self._link.sent - self._sent).items())),
        }
        found = {"steps": self.steps, "processes": [json.loads(text) for text in self._texts(json.dumps(own))]}
        self.begin()
        return found

    def _texts(self, own: str) -> list[str]:
        return self._link.now(lambda: self._link.texts(own))
