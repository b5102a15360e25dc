"""The energy of processors and GPUs: read where the system has it, unknown elsewhere."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from tinyalexnet.benchmark import report, timing
from tinyalexnet.benchmark.timing import TimedRun
from tinyalexnet.console import Console
from tinyalexnet.devices import energy


@pytest.fixture
def counters(tmp_path, monkeypatch):
    """Two processors, and a part of the first, which is counted in it."""
    monkeypatch.setattr(energy, "_POWERCAP", tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl", "dtpm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "max_energy_range_uj").write_text("10000000\n")
        (tmp_path / name / "energy_uj").write_text("4000000\n")
    return tmp_path


def test_the_energy_of_all_processors_is_summed(counters):
    found = energy.ProcessorEnergy()
    start = found.joules()
    (counters / "intel-rapl:0" / "energy_uj").write_text("5500000\n")
    (counters / "intel-rapl:0:0" / "energy_uj").write_text("9000000\n")
    assert found.joules() - start == 1.5
    (counters / "intel-rapl:1" / "energy_uj").write_text("6000000\n")
    assert found.joules() - start == 3.5


def test_a_counter_that_begins_again_goes_on(counters):
    found = energy.ProcessorEnergy()
    start = found.joules()
    (counters / "intel-rapl:0" / "energy_uj").write_text("1000000\n")
    assert found.joules() - start == 7.0


def test_what_cannot_be_read_is_unknown(counters):
    (counters / "intel-rapl:0" / "energy_uj").write_text("\n")
    assert energy.ProcessorEnergy().joules() is None
    (counters / "intel-rapl:1" / "energy_uj").unlink()
    assert energy.ProcessorEnergy().joules() is None


def test_a_machine_without_counters(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "_POWERCAP", tmp_path / "none")
    assert energy.ProcessorEnergy().joules() is None


class NVMLError(Exception):
    pass


def library(millijoules):
    """What ``nvidia-ml-py`` has."""

    begun = []

    def read(gpu):
        assert begun
        assert gpu == b"0000:1b:00.0"
        if millijoules is None:
            raise NVMLError
        return millijoules

    return SimpleNamespace(
        nvmlInit=lambda: begun.append(1),
        nvmlDeviceGetHandleByPciBusId=lambda bus_id: bus_id,
        nvmlDeviceGetTotalEnergyConsumption=read,
        NVMLError=NVMLError,
    )


@pytest.mark.parametrize(("millijoules", "joules"), [(2500, 2.5), (None, None)])
def test_the_energy_of_a_gpu(monkeypatch, millijoules, joules):
    monkeypatch.setitem(sys.modules, "pynvml", library(millijoules))
    assert energy.GpuEnergy("0000:1b:00.0").joules() == joules


def test_a_gpu_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy.GpuEnergy("0000:1b:00.0").joules() is None


@pytest.mark.parametrize(
    ("least", "reading", "known"), [(0.0, [3.0, 7.0], 4.0), (60.0, [3.0, 7.0], None), (0.0, [None, 7.0], None)]
)
def test_a_run_has_energy_if_it_is_long_enough_to_be_counted(monkeypatch, least, reading, known):
    """The counter is read before the first step that counts and after the last."""
    readings = iter(reading)
    hardware = SimpleNamespace(joules=lambda: next(readings), seconds_of=lambda step: step() or 0.1)
    work = SimpleNamespace(device=hardware, step=lambda name: lambda: None)
    monkeypatch.setattr(timing, "ENERGY_SECONDS", least)
    run = TimedRun("Forward")
    timing.time_steps(run, work, 3, io.StringIO(), Console(io.StringIO(), quiet=True))
    assert run.joules == known
    assert run.durations == [0.1] * 3


def test_the_report_has_watts_and_joules_or_one_word():
    run = TimedRun("Forward", [0.5, 0.5], joules=256.0, wall_seconds=2.0)
    assert run.watts == 128
    assert report._power(run, 64) == "128 W, 2 J / image"
    assert report._power(TimedRun("Forward", [0.5]), 64) == "power unknown"
