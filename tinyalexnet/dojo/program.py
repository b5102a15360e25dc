"""The command of the dojo, as a learner can type it."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

WORDS = "-m tinyalexnet dojo"


def command() -> str:
    """``python -m tinyalexnet dojo``, if ``python`` is the program that runs here; else with its path.

    A virtual environment that is not activated has another ``python`` than the shell, or the shell has none.
    """
    return f"{_python()} {WORDS}"


def _python() -> str:
    own = Path(sys.executable)
    for name in ("python", "python3"):
        found = shutil.which(name)
        if found and Path(found).parent == own.parent:
            return name
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))
