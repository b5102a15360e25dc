"""This machine: its processors, its BLAS and its memory, as the operating system tells them."""

import os
import platform
import sys
from pathlib import Path
from types import ModuleType

from threadpoolctl import threadpool_info

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None

at_fork = getattr(os, "register_at_fork", lambda **handlers: None)
"""``os.register_at_fork``, which a system without fork lacks."""

_MEMINFO = Path("/proc/meminfo")
_STATUS = Path("/proc/self/status")
_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    for line in _lines(_CPUINFO):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_memory() -> int | None:
    """Bytes that can still be allocated without swapping, or None if the system does not tell.

    On Linux the kernel's own estimate, or the rest of a control group's limit, if that is less.
    """
    limits = [int(line.split()[1]) * 1024 for line in _lines(_MEMINFO) if line.startswith("MemAvailable:")]
    limit, used = _lines(_CGROUP / "memory.max"), _lines(_CGROUP / "memory.current")
    if limit and used and limit[0] != "max":
        limits.append(int(limit[0]) - int(used[0]))
    return min(limits) if limits else None


def peak_memory() -> int | None:
    """The most bytes this process has held at once, or None if the system does not tell."""
    for line in _lines(_STATUS):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    # Second best: on Linux this figure is inherited from the process that started this one, if that was larger.
    if resource is None:
        return None
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def blas_names() -> list[str]:
    """Each BLAS in this process: name, version and the family of processors that its code is made for."""
    return [
        " ".join(filter(None, (library["internal_api"], library["version"], library.get("architecture"))))
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
