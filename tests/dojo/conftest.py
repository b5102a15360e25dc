"""A path of six exercises, one of each kind, so that what is printed about a path can be compared to the letter."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tinyalexnet.dojo import command, folder, guide, path

SIX = "inner_product", "relu_backward", "fast_dense", "maxpool_backward", "catch_overlap", "which_windows"


@pytest.fixture(autouse=True)
def activated(monkeypatch):
    """The commands that are printed begin with ``python``, as in an environment that is activated."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def six(monkeypatch):
    short = tuple(path.EXERCISES[name] for name in SIX)
    for module in (path, folder, guide, command):
        monkeypatch.setattr(module, "PATH", short)
    return short
