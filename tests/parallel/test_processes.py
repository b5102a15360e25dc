"""Processes of mpiexec train to the bytes of one, and whatever happens to one of them, all end, with one line."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.parallel.faulty import FAULTS, PIXELS

ROOT = Path(__file__).parents[2]
BESIDE = Path(sys.executable).with_name("mpiexec")
FOUND = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
MPIEXEC = [FOUND, *os.environ.get("MPIEXEC_FLAGS", "").split()] if FOUND else None
SECONDS = 120
"""For a run; it takes about three, on a busy machine ten times as long."""


def is_open_mpi():
    """If that is the launcher; one that does not run is none, and the tests then say so."""
    if MPIEXEC is None:
        return False
    done = subprocess.run([*MPIEXEC, "--version"], capture_output=True, text=True, check=False)
    return "Open MPI" in done.stdout


IS_OPEN_MPI = is_open_mpi()

needs_signals = pytest.mark.skipif(IS_OPEN_MPI, reason="Open MPI's mpiexec keeps Ctrl-C, and ends the processes itself")

KILLED = 9
"""mpiexec returns this if it has killed a process before that ended by itself: which is first, nobody can say."""

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        MPIEXEC is None or importlib.util.find_spec("mpi4py") is None, reason="needs the extra parallel"
    ),
]

FLAGS = ["--data=digits", "--backend=reference", "--shards=8", "--pad=1", "--mirror", "--colour_noise=0.1"]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Runs a module or a script in an empty folder, on some processes."""
    monkeypatch.chdir(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1"}

    def run(size, *command, **changes):
        launcher = [*MPIEXEC, "-n", str(size)] if size else []
        how = [] if str(command[0]).endswith(".py") else ["-m"]
        command = [*launcher, sys.executable, *how, *map(str, command)]
        return subprocess.run(
            command, env=environment | changes, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    return run


def files(name):
    return f"--checkpoint={name}", f"--log={name}.log"


def without_speed(out):
    return [line.rpartition(";")[0] for line in out.splitlines()]


def said(err):
    """The lines of standard error, without what Open MPI's launcher adds: its own stand between two rules, or
    are warnings of its event loop, and the processes that it ends by SIGTERM say so."""
    lines, is_ours = [], True
    for line in err.splitlines():
        if line and set(line) == {"-"}:
            is_ours = not is_ours
        elif line.strip("\0") and is_ours and not (IS_OPEN_MPI and line.startswith(("terminated", "[warn] Epoll"))):
            lines.append(line)
    return lines


def same(one, other):
    assert Path(one).read_bytes() == Path(other).read_bytes()
    assert Path(f"{one}.log").read_bytes() == Path(f"{other}.log").read_bytes()


@pytest.mark.parametrize("sizes", [(1, 2, 3), (4, 5, 6, 7)])
def test_checkpoint_log_and_output_are_those_of_one_process(runs, sizes):
    alone = runs(0, "tinyalexnet", "train", *FLAGS, "--epochs=2", *files("alone"))
    assert alone.returncode == 0, alone.stderr
    for size in sizes:
        found = runs(
            size, "tinyalexnet", "train", *FLAGS, "--epochs=2", "--parallel=mpi", "--quiet", *files(f"on{size}")
        )
        assert (found.returncode, found.stderr) == (0, "")
        assert without_speed(found.stdout) == without_speed(alone.stdout)
        same("alone", f"on{size}")


@pytest.mark.parametrize(("scheme", "groups"), [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2)])
def test_dense_layers_by_columns(runs, scheme, groups):
    flags = [*FLAGS, "--epochs=1", "--shards=4", "--dense=columns", "--blocks=8"]
    flags += [f"--scheme={scheme}", f"--groups={groups}"]
    assert runs(0, "tinyalexnet", "train", *flags, *files("alone")).returncode == 0
    for size in (1, 2, 3, 4):
        found = runs(size, "tinyalexnet", "train", *flags, "--parallel=mpi", *files(f"on{size}"))
        assert found.returncode == 0, found.stderr
        same(f"on{size}", "alone")


@pytest.mark.compiled
def test_compiled_kernels_too(runs):
    for number, changes in enumerate([[], ["--overlap"], ["--dense=columns", "--blocks=4", "--scheme=c"]]):
        flags = ["tinyalexnet", "train", *FLAGS, "--backend=cpu", "--epochs=1", *changes]
        alone, both = f"alone{number}", f"both{number}"
        assert runs(0, *flags, *files(alone)).returncode == 0
        assert runs(2, *flags, "--parallel=mpi", *files(both)).returncode == 0
        same(alone, both)
    # When gradients are exchanged decides no bit of the weights; the checkpoint says what the setting was.
    assert Path("alone0.log").read_bytes() == Path("alone1.log").read_bytes()


@pytest.mark.parametrize("variant", ["mnist", "cifar"])
def test_larger_networks_have_one_digest(runs, variant):
    found = set()
    for size in (1, 2, 3, 4, 5, 7):
        run = runs(size, "tests.parallel.some_steps", "reference", variant, 8)
        assert run.returncode == 0, run.stderr
        every, _ = json.loads(run.stdout)
        assert len(every) == size
        found |= {digest for _, digest in every}
    assert len(found) == 1


@pytest.mark.cuda
def test_each_process_has_a_gpu_of_its_own(runs, request):
    """Weights alike to the last bit on all, and near those of the host."""
    kind = "emulated" if request.config.getoption("--emulated-gpu") else "cuda"
    steps = "tests.parallel.some_steps"
    found = runs(2, steps, kind, "digits", 2)
    assert found.returncode == 0, found.stderr
    ((name, digest), (other_name, other)), weights = json.loads(found.stdout)
    alone = runs(1, steps, kind, "digits", 2)
    assert json.loads(alone.stdout)[0] == [[name, digest]]
    assert other == digest
    host = json.loads(runs(2, steps, "reference", "digits", 2).stdout)[1]
    for key, value in weights.items():
        np.testing.assert_allclose(value, host[key], atol=1e-5, err_msg=key)
    if kind == "emulated":
        assert (name, other_name) == ("emulated GPU 0, sm_90", "emulated GPU 1, sm_90")


@pytest.mark.cuda
@pytest.mark.parametrize("flags", [["--scaling"], ["--overlap", "--no_graph"]])
def test_the_benchmark_on_gpus(runs, request, flags):
    emulated = request.config.getoption("--emulated-gpu")
    command = [ROOT / "tests/gpu/emulator.py"] * emulated + [ROOT / "bench.py"]
    small = ["--variant=digits", "--batch_size=2", "--num_batches=1", "--rounds=1", "--json=run"]
    found = runs(2, *command, "--backend=cuda", "--parallel=mpi", *small, *flags)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("sec / batch") == 2
    parallel = json.loads(Path("run").read_text())["parallel"]
    assert (parallel["processes"], parallel["shards"], parallel["machines"]) == (2, 2, 1)
    for row in parallel["scaling"]:
        assert row["sent"] == row["expected"]
    assert len(parallel["scaling"]) == 2 * ("--scaling" in flags)


def test_one_is_killed_and_the_run_goes_on_with_another_number(runs):
    flags = [*FLAGS, "--epochs=2", "--checkpoint_every=5"]
    assert runs(0, "tinyalexnet", "train", *flags, *files("alone")).returncode == 0
    killed = runs(2, "tests.parallel.faulty", "kill", 13, *flags, *files("parts"))
    assert killed.returncode != 0
    on_three = ["tinyalexnet", "train", *flags, "--parallel=mpi", "--resume", *files("parts")]
    found = runs(3, *on_three)
    assert found.returncode == 0
    assert "goes on after step 11 of parts\n" in found.stderr
    same("alone", "parts")


LINES = {
    "hang": "process 0 of 2 has waited 2 seconds for the others, but at least one of them is slow, stuck or gone",
    "refuse": "process 1 of 2: Input/output error: '7.jpg'",
    "stumble": "KeyError: 'generators'",
    "leave": "",
    "end": "process 1 of 2 has ended before the others",
    "flip": "the digest of the weights after step 4 of process 1 is ",
    "pixel": "data of process 1 is digits, 1438 images, sha256 ",
    "test pixel": "test_images of process 1 is 359 images, sha256 ",
    "full": "No space left on device: 'run'",
}
CODES = {"leave": 3, "stumble": 1, "end": 75}


@pytest.mark.parametrize("fault", LINES)
def test_a_fault_of_one_ends_all_with_one_line(runs, fault):
    begin = time.monotonic()
    flags = [*FLAGS, "--epochs=2", "--checkpoint_every=2", "--patience=2", "--quiet", *files("run")]
    found = runs(2, "tests.parallel.faulty", fault, 4 if fault == "full" else 3, *flags)
    assert time.monotonic() - begin < 60
    lines = said(found.stderr)
    assert found.returncode in (CODES.get(fault, 2), KILLED), found.stderr
    if fault == "stumble":
        assert lines[0].startswith("Traceback")
        assert lines[-2] == LINES[fault]
        assert lines[-1].startswith("this is a bug of tinyalexnet")
    elif fault == "leave":
        assert lines == []
    else:
        (line,) = lines
        assert LINES[fault] in line
    # The checkpoint is that of a step before.
    again = runs(1, "tinyalexnet", "train", *FLAGS, "--epochs=1", "--parallel=mpi", "--resume", "--checkpoint=run")
    assert again.returncode == 0
    assert "goes on after step 2 of run\n" in again.stderr or fault in PIXELS


def test_one_line_where_several_lose_patience(runs):
    flags = [*FLAGS, "--epochs=2", "--patience=2", "--quiet"]
    found = runs(4, "tests.parallel.faulty", "hang", 3, *flags)
    assert found.returncode in (2, KILLED)
    (line,) = said(found.stderr)
    assert "of 4 has waited 2 seconds for the others" in line


def test_what_is_wrong_in_all_is_said_once(runs):
    flags = ["tinyalexnet", "train", *FLAGS, "--parallel=mpi", "--quiet"]
    found = runs(3, *flags, "--shards=2")
    assert found.returncode == 2
    assert said(found.stderr) == ["python -m tinyalexnet: shards is 2, but must be at least the 3 processes there are"]
    found = runs(2, *flags, "--learning_rate=1e30", "--epochs=1")
    assert found.returncode == 2
    (line,) = said(found.stderr)
    assert "the loss of step" in line


@needs_signals
def test_ctrl_c(runs):
    command = [
        *MPIEXEC,
        "-n",
        "2",
        sys.executable,
        "-m",
        "tinyalexnet",
        "train",
        "--parallel=mpi",
        *FLAGS,
        "--epochs=999",
    ]
    with subprocess.Popen(
        [*command, *files("run")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline().startswith(b"epoch 1")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    own = [line for line in err.decode().splitlines() if line.startswith(("interrupted", "Traceback", "python"))]
    assert own == ["interrupted"]


def test_the_launcher_of_another_mpi_is_refused(runs):
    found = runs(0, "tinyalexnet", "train", *FLAGS, "--parallel=mpi", OMPI_COMM_WORLD_SIZE="2")
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert line.startswith("python -m tinyalexnet: OMPI_COMM_WORLD_SIZE is 2, but must be 1, the processes that mpi4py")


@pytest.mark.parametrize("other", [["sleep", "1"], [sys.executable, "-c", "import sys; sys.exit(1)"]])
def test_a_process_that_ends_before_mpi_starts_ends_the_others(runs, other):
    """They wait in MPI's own code, unless the launcher sees it, as that of Open MPI does."""
    begin = time.monotonic()
    found = runs(1, "tests.parallel.faulty", "start", 0, *FLAGS, "--patience=3", ":", "-n", "1", *other)
    assert time.monotonic() - begin < 60
    assert found.returncode != 0
    late = "MPI has not started within 3 seconds: at least one process is slow, stuck or gone"
    assert found.stderr.count(late) == (not IS_OPEN_MPI)
    assert "Traceback" not in found.stderr


def test_processes_that_know_nothing_of_each_other_write_nothing(runs):
    found = runs(2, "tinyalexnet", "train", *FLAGS, *files("run"))
    assert found.returncode == 2
    assert "trainings would write the same files" in found.stderr
    assert not Path("run").exists()


def test_a_bad_patience_is_refused(runs):
    found = runs(1, "tinyalexnet", "train", *FLAGS, "--parallel=mpi", "--patience=-1")
    assert (found.returncode, found.stderr) == (
        2,
        "python -m tinyalexnet: patience is -1.0, but must be a finite number >= 0\n",
    )


BENCH = ["tinyalexnet", "bench", "--parallel=mpi", "--backend=reference", "--variant=digits", "--batch_size=8"]


def test_the_benchmark_of_a_team(runs):
    """Process 0 alone prints; teams of one, two and three processes send what the formula says."""
    flags = ["--num_batches=3", "--shards=4", "--scaling", "--rounds=1", "--threads=1", "--json=run.json", "--quiet"]
    found = runs(3, *BENCH, *flags)
    assert (found.returncode, found.stderr) == (0, "")
    lines = found.stdout.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["conv1", "pool1", "conv2", "pool2", "fc3", "fc4"]
    assert [line.split()[2:6] for line in lines[6:8]] == [
        ["Forward", "across", "3", "steps,"],
        ["Forward-backward", "across", "3", "steps,"],
    ]
    assert lines[8] == "Forward-backward of digits, batch 8 in 4 shards, 1 thread each, one round"
    assert [line.split()[0] for line in lines[10:]] == ["1", "2", "3"]
    parallel = json.loads(Path("run.json").read_text())["parallel"]
    assert [row["sent"] for row in parallel["scaling"]] == [row["expected"] for row in parallel["scaling"]]
    shares = parallel["shares"]["Forward-backward"]
    assert [share["sent"] for share in shares] == parallel["scaling"][-1]["sent"]
    assert all(share["exchanging"] > 0 < share["waiting"] for share in shares)


@needs_signals
def test_ctrl_c_in_the_benchmark_of_a_team():
    with subprocess.Popen(
        [*MPIEXEC, "-n", "2", sys.executable, "-m", *BENCH, "--num_batches=1000000", "--quiet"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert any(": step 10," in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Forward across " in out.splitlines()[-1]
    own = [line for line in err.splitlines() if line.startswith(("interrupted", "Traceback", "python"))]
    assert own == ["interrupted"]


def test_every_fault_is_tried():
    assert {*FAULTS, *PIXELS, "end", "flip", "full"} == {*LINES, "kill"}
