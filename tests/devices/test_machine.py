"""Facts of the machine, where the operating system tells them and where it does not."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest

from tinyalexnet.devices import machine


def test_the_processors_that_this_process_may_use(monkeypatch):
    """Those that it is bound to; all of them on a system that does not bind; one if it does not count them."""
    assert machine.cores() >= 1
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 6)
    monkeypatch.setattr(machine.os, "sched_getaffinity", {0: {1, 2, 5}}.get, raising=False)
    assert machine.cores() == 3
    monkeypatch.delattr(machine.os, "sched_getaffinity")
    assert machine.cores() == 6
    monkeypatch.setattr(machine.os, "cpu_count", lambda: None)
    assert machine.cores() == 1


def test_the_name_of_the_processor(monkeypatch, tmp_path):
    assert machine.cpu_name()
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    for told, name in (("a name", "a name"), ("", "x86_64")):
        monkeypatch.setattr(machine.platform, "processor", lambda told=told: told)
        assert machine.cpu_name() == name
    machine._CPUINFO.write_text("model\t\t: 17\nmodel name\t: A CPU: the second\nmodel name\t: another\n")
    assert machine.cpu_name() == "A CPU: the second"


@pytest.fixture
def group(monkeypatch, tmp_path):
    """The folder of control groups; the machine itself has 1000 kB."""
    meminfo, group = tmp_path / "meminfo", tmp_path / "group"
    meminfo.write_text("MemTotal: 2000 kB\nMemAvailable:    1000 kB\n")
    monkeypatch.setattr(machine, "_MEMINFO", meminfo)
    monkeypatch.setattr(machine, "_CGROUP", group)
    monkeypatch.setattr(machine, "_GROUPS_OF_PROCESS", tmp_path / "of_process")
    return group


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(f"{text}\n")


def test_memory_that_is_available(monkeypatch, group):
    assert machine.available_memory() == 1000 * 1024
    write(group, max="max", current=100)
    assert machine.available_memory() == 1000 * 1024
    write(group, max=5100)
    assert machine.available_memory() == 5000
    monkeypatch.setattr(machine, "_MEMINFO", group / "none")
    assert machine.available_memory() == 5000
    monkeypatch.setattr(machine, "_CGROUP", group / "none")
    assert machine.available_memory() is None


def test_a_limit_of_any_group_that_the_process_is_in(group):
    machine._GROUPS_OF_PROCESS.write_text("0::/user.slice/job\n")
    write(group / "user.slice", max=9000, current=1000)
    assert machine.available_memory() == 8000
    write(group / "user.slice" / "job", max=7000, current=1000)
    assert machine.available_memory() == 6000
    write(group / "user.slice", current=5000, stat="anon 3\ninactive_file 500\ninactive_anon 7")
    assert machine.available_memory() == 4500


@pytest.mark.parametrize(
    ("path", "inside"), [("/", ""), ("/docker/0123", ""), ("/docker/a:b", "docker/a:b")], ids=["root", "outside", "own"]
)
def test_a_limit_of_control_groups_of_version_1(group, path, inside):
    machine._GROUPS_OF_PROCESS.write_text(f"5:cpu,cpuacct:/\n4:memory:{path}\n1:name=systemd:/\n")
    own = group / "memory" / inside
    write(own, limit_in_bytes=2**63 - 4096, usage_in_bytes=100)
    assert machine.available_memory() == 1000 * 1024
    write(own, limit_in_bytes=5100, usage_in_bytes=2100, stat="inactive_file 1\ntotal_inactive_file 1000")
    assert machine.available_memory() == 4000


def test_of_version_1_only_the_group_of_the_memory_counts(group):
    machine._GROUPS_OF_PROCESS.write_text("5:cpu,cpuacct:/jobs\n4:hugetlb,memory:/own\n")
    write(group / "memory" / "jobs", limit_in_bytes=900, usage_in_bytes=100)
    assert machine.available_memory() == 1000 * 1024
    write(group / "memory" / "own", limit_in_bytes=5100, usage_in_bytes=2100)
    assert machine.available_memory() == 3000


def test_peak_memory(monkeypatch, tmp_path):
    """By /proc; else by the resource module, in kB or, on macOS, in bytes; or nobody tells."""
    peak = machine.peak_memory()
    assert peak is None or 10_000_000 < peak < 10**12
    status = tmp_path / "status"
    monkeypatch.setattr(machine, "_STATUS", status)
    used = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=500))
    monkeypatch.setattr(machine, "resource", used)
    for platform, expected in (("linux", 500 * 1024), ("darwin", 500)):
        monkeypatch.setattr(machine.sys, "platform", platform)
        assert machine.peak_memory() == expected
    monkeypatch.setattr(machine, "resource", None)
    assert machine.peak_memory() is None
    status.write_text("Name:\tpython\nVmPeak:\t  900 kB\nVmHWM:\t  700 kB\n")
    assert machine.peak_memory() == 700 * 1024


def test_the_names_of_the_libraries_with_blas(monkeypatch):
    own = {"user_api": "blas", "internal_api": "openblas", "version": "0.3.30", "architecture": "Zen"}
    others = [{"user_api": "openmp", "internal_api": "openmp", "version": None}]
    others += [{"user_api": "blas", "internal_api": "mkl", "version": None}]
    monkeypatch.setattr(machine, "threadpool_info", lambda: [own, *others])
    assert machine.blas_names() == ["openblas 0.3.30 Zen", "mkl"]


def test_a_system_without_the_resource_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    importlib.reload(machine)
    assert machine.resource is None
    monkeypatch.undo()
    importlib.reload(machine)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n\ncpu family\t: 6\n", "25.17.1"),
        ("CPU implementer\t: 0x41\n", ""),
    ],
)
def test_the_model_is_that_of_the_first_processor(text, model, tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", file)
    assert machine.cpu_model() == model
