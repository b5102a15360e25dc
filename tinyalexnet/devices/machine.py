"""This machine: its processors, its BLAS and its memory, as the operating system tells them."""

import os
import platform
import sys
from collections.abc import Iterator
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
_GROUPS_OF_PROCESS = Path("/proc/self/cgroup")


def processors() -> list[int]:
    """The numbers of the processors that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def cores() -> int:
    """How many processors this process may use."""
    return len(processors())


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    for line in _lines(_CPUINFO):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_model() -> str:
    """What tells apart processors of one name: family, model and stepping, as "25.17.1"; "" if nobody tells."""
    found: dict[str, str] = {}
    for line in _lines(_CPUINFO):
        name, _, value = (part.strip() for part in line.partition(":"))
        found.setdefault(name, value)
    return ".".join(found[name] for name in ("cpu family", "model", "stepping") if name in found)


def available_memory() -> int | None:
    """Bytes that can still be allocated without swapping, or None if the system does not tell.

    On Linux the kernel's own estimate, or the rest of a control group's limit, if that is less.
    """
    limits = [int(line.split()[1]) * 1024 for line in _lines(_MEMINFO) if line.startswith("MemAvailable:")]
    return min([*limits, *_rests_of_groups()], default=None)


def _rests_of_groups() -> Iterator[int]:
    """What is left to each control group that this process is in, of version 1 or 2; a container is one, too."""
    for line in [*_lines(_GROUPS_OF_PROCESS), "0::/", "0:memory:/"]:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, limit, used, cached = _CGROUP, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used = _CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = "total_inactive_file"
        else:
            continue
        # A container has the path of its group outside, and sees it as the root.
        group = root / path.lstrip("/")
        for folder in (group, *group.parents[: len(group.relative_to(root).parts)]):
            limits, uses = _lines(folder / limit), _lines(folder / used)
            if limits and uses and limits[0] != "max":
                # Files that were read some time ago are given up first.
                files = [line.split()[1] for line in _lines(folder / "memory.stat") if line.startswith(f"{cached} ")]
                yield int(limits[0]) - int(uses[0]) + sum(map(int, files))


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
