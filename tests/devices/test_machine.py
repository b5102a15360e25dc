"""Facts of the machine, where the operating system tells them and where it does not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tinyalexnet.devices import machine


def test_what_the_machine_is(monkeypatch, tmp_path):
    assert machine.cores() >= 1
    assert machine.cpu_name()
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "none")
    assert machine.cpu_name()
    monkeypatch.delattr(machine.os, "sched_getaffinity", raising=False)
    assert machine.cores() >= 1


def test_memory_that_is_available(monkeypatch, tmp_path):
    meminfo, group = tmp_path / "meminfo", tmp_path / "group"
    meminfo.write_text("MemTotal: 2000 kB\nMemAvailable:    1000 kB\n")
    group.mkdir()
    monkeypatch.setattr(machine, "_MEMINFO", meminfo)
    monkeypatch.setattr(machine, "_CGROUP", group)
    assert machine.available_memory() == 1000 * 1024
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("100\n")
    assert machine.available_memory() == 1000 * 1024
    (group / "memory.max").write_text("5100\n")
    assert machine.available_memory() == 5000
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "none")
    assert machine.available_memory() is None


def test_peak_memory(monkeypatch):
    peak = machine.peak_memory()
    monkeypatch.setattr(machine, "_STATUS", Path("none"))
    for found in (peak, machine.peak_memory()):
        assert found is None or 10_000_000 < found < 10**12
    if machine.resource is not None:
        monkeypatch.setattr(machine.sys, "platform", "darwin")
        assert machine.peak_memory() == machine.resource.getrusage(machine.resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(machine, "resource", None)
    assert machine.peak_memory() is None


def test_a_system_without_the_resource_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    importlib.reload(machine)
    assert machine.resource is None
    monkeypatch.undo()
    importlib.reload(machine)
