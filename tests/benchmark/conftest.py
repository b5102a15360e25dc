"""What several tests of the benchmark watch."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from tinyalexnet.console import Console


@pytest.fixture
def bars_moved(monkeypatch):
    """For each time that a bar moves, its name and its total."""
    moved, plain = [], Console.bar

    @contextmanager
    def bar(say, name, total):
        with plain(say, name, total) as (advance, write):
            yield lambda: (advance(), moved.append((name, total))), write

    monkeypatch.setattr(Console, "bar", bar)
    return moved
