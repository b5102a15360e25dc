"""Energy that this machine's processors and GPUs have used, where the system lets one read it."""

import contextlib
import importlib
import re
from pathlib import Path
from typing import Any

_POWERCAP = Path("/sys/class/powercap")


class ProcessorEnergy:
    """The energy of all processor packages, by the kernel's RAPL counters; on many machines only root may read them.

    Source
        The Linux kernel's documentation, "Power Capping Framework": ``energy_uj`` counts microjoules, and begins again
        at ``max_energy_range_uj``.
    """

    def __init__(self) -> None:
        packages = [path for path in _POWERCAP.glob("*") if re.fullmatch(r"[a-z]+-rapl:\d+", path.name)]
        self._counters = [(path / "energy_uj", _number(path / "max_energy_range_uj")) for path in sorted(packages)]
        self._last: list[int] = []
        self._total = 0

    def joules(self) -> float | None:
        """Joules since some time; None if nobody tells. To be asked at least once a minute: the counters go round."""
        now = [_number(path) for path, _ in self._counters]
        if not now or None in now:
            return None
        readings = [reading for reading in now if reading is not None]
        for (_, most), before, after in zip(self._counters, self._last, readings, strict=False):
            self._total += after - before if after >= before else after - before + (most or 0)
        self._last = readings
        return self._total / 1e6


class GpuEnergy:
    """The energy of one GPU, by NVIDIA's management library (package ``nvidia-ml-py``), as a whole board."""

    def __init__(self, bus_id: str) -> None:
        self._nvml: Any = None
        # Without the package, the library or the right there is no figure.
        with contextlib.suppress(Exception):
            nvml = importlib.import_module("pynvml")
            nvml.nvmlInit()
            self._gpu = nvml.nvmlDeviceGetHandleByPciBusId(bus_id.encode())
            self._nvml = nvml

    def joules(self) -> float | None:
        """Joules since some time; None if nobody tells."""
        if self._nvml is None:
            return None
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1e3
        except self._nvml.NVMLError:
            return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
