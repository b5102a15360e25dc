"""The same network, weights and images in other frameworks, timed in turn with this package's.

Each framework runs in a process of its own (``peers/worker.py``), so that neither disturbs the other's threads and
memory, and possibly under an interpreter of its own.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..devices import to_host
from ..files import naming
from ..network import Sequential
from ..ops.checks import Shape
from .timing import Workload

PACKAGES = {"torch": "torch", "tensorflow": "tensorflow-cpu", "jax": "jax", "onnxruntime": "onnxruntime onnx"}
"""The frameworks, and the packages that install each of them for a CPU."""

ON_GPU = {"torch"}
"""The frameworks that can be compared with on a GPU."""

COMPILED = {"torch"}
"""The frameworks that compile the network only if they are asked to."""

FORWARD_ONLY = {"onnxruntime"}
"""The frameworks that compute no gradients."""

WAYS = ("tf32", "graph", "compile")
"""How a framework can be run: the fields of ``Choice`` that are True or False."""

COUNTERPARTS = ("conv", "pool", "relu", "lrn", "flatten", "dense", "dropout")
"""The kinds of layers that the other frameworks have too."""

TURN_SECONDS = 0.5
"""Each side runs for about this many seconds per round, or for one step if that takes longer."""

LAST_WORDS_SECONDS = 10
"""A process that has closed its answers has this long to end by itself."""

WORKER = Path(__file__).parent / "peers" / "worker.py"


@dataclass(frozen=True)
class Choice:
    """A framework to compare with, one of PACKAGES, and how to run it."""

    framework: str
    python: str | None = None
    """The interpreter, or None for this one."""
    tf32: bool = False
    """If a GPU may round the factors of float32 products to 10 bits behind the point (TensorFloat-32)."""
    graph: bool = False
    """If the framework's own CUDA graphs run the steps on a GPU."""
    compile: bool = False
    """If the framework's own compiler makes the steps."""

    @property
    def name(self) -> str:
        """The framework and how it is run, as on the command line."""
        return " ".join([self.framework, *(f"--{how}" for how in WAYS if getattr(self, how))])

    def computes(self, name: str) -> bool:
        """If the framework has the pass ``name``."""
        return name == "Forward" or self.framework not in FORWARD_ONLY


@dataclass
class Comparison:
    """One framework against this package: seconds of a step by pass, a pair (ours, theirs) for each round."""

    framework: str
    version: str
    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    output_difference: float = math.nan
    gradient_differences: dict[str, float] = field(default_factory=dict)
    has_dropout: bool = False
    """The differences are then without dropout; the times are always those of training."""

    def ratio(self, name: str) -> tuple[float, float, float]:
        """Their seconds over ours: the lower quartile over the rounds, the median, the upper quartile."""
        low, median, high = np.percentile([theirs / ours for ours, theirs in self.seconds[name]], [25, 50, 75])
        return float(low), float(median), float(high)

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain data, with the ratios."""
        return asdict(self) | {"ratio": {name: self.ratio(name) for name in self.seconds}}

    def lines(self) -> list[str]:
        """The comparison as text."""
        rounds = max(map(len, self.seconds.values()))
        lines = [f"versus {self.version}, medians of {rounds} rounds"]
        for name in self.seconds:
            ours, theirs = np.median(self.seconds[name], axis=0)
            low, median, high = self.ratio(name)
            lines.append(
                f"{name:<18} {ours:.4g} s against {theirs:.4g} s: "
                f"{median:.2f} times as fast (quartiles {low:.2f} and {high:.2f})"
            )
        text = f"relative difference {'without dropout ' * self.has_dropout}of the output {self.output_difference:.1e}"
        if self.gradient_differences:
            worst = max(self.gradient_differences, key=self.gradient_differences.__getitem__)
            text += f", of the gradients at most {self.gradient_differences[worst]:.1e} ({worst})"
        return [*lines, text]


def describe(net: Sequential, x_shape: Shape) -> list[dict[str, Any]]:
    """The network as plain data, each ReLU right behind its convolution, as other frameworks have it.

    Here a ReLU may come behind the pool, which computes the same (docs/relu.md); they can merge it with the
    convolution. It moves in front of a max-pool and of nothing else: with a normalisation it does not commute.
    """
    layers: list[dict[str, Any]] = []
    for name, layer in net:
        if layer.kind not in COUNTERPARTS:
            raise ValueError(f"versus is asked for, but has no counterpart of {type(layer).__name__}, layer {name!r}")
        at = len(layers)
        if layer.kind == "relu" and layers and layers[-1]["kind"] == "pool":
            at -= 1
        layers.insert(at, {"name": name} | layer.description(x_shape))
        x_shape = layer.output_shape(x_shape)
    return layers


def check_choice(choice: Choice, on_gpu: bool) -> None:
    """ValueError if the framework is not known, or cannot be run like that."""
    known = [name for name in PACKAGES if not on_gpu or name in ON_GPU]
    if choice.framework not in known:
        where = " with backend 'cuda'" * on_gpu
        raise ValueError(f"versus is {choice.framework!r}, but must be one of {', '.join(map(repr, known))}{where}")
    for name in ("tf32", "graph"):
        if getattr(choice, name) and not on_gpu:
            raise ValueError(f"{name} is asked for, but must not be unless the backend is 'cuda': only a GPU has it")
    if choice.compile and (on_gpu or choice.framework not in COMPILED):
        allowed = " or ".join(map(repr, sorted(COMPILED)))
        raise ValueError(f"compile is asked for, but must not be unless versus is {allowed}, on a CPU")


class Peer:
    """A framework's process, as a context: it starts on entering, with the network, and ends on leaving.

    If the images are on a GPU, the framework computes there too.

    Shapes
        images (N, H, W, C); with labels (N,) the loss is the mean softmax cross-entropy, else half the sum of squares.
    Errors
        ValueError if the framework is not one of PACKAGES, or cannot be compared with there; ImportError if the
        interpreter does not have it, or cannot be run; ChildProcessError if the process ends early, with its last
        words.
    """

    def __init__(
        self, choice: Choice, threads: int, net: Sequential, images: np.ndarray, labels: np.ndarray | None = None
    ) -> None:
        on_gpu = not isinstance(images, np.ndarray)
        check_choice(choice, on_gpu)
        self.choice = choice
        self.framework = self.version = choice.framework
        self._python = sys.executable if choice.python is None else choice.python
        self._threads = threads
        self._device = "-".join(["cuda" if on_gpu else "cpu", *(how for how in WAYS if getattr(choice, how))])
        self._layers = describe(net, images.shape)
        self._arrays = {name: to_host(array) for name, array in {"images": images, **net.params}.items()}
        if labels is not None:
            self._arrays["labels"] = labels
        self._stack = ExitStack()

    def __enter__(self) -> Peer:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tinyalexnet-")))
            with naming(self._folder):
                (self._folder / "network.json").write_text(json.dumps(self._layers))
                np.savez(self._folder / "arrays.npz", **self._arrays)  # type: ignore[arg-type]
            self._errors = stack.enter_context((self._folder / "errors").open("w+"))
            self._process = self._started()
            stack.callback(self._end)
            first = self._answer()
            if "missing" in first:
                raise ImportError(
                    f"versus is {self.framework!r}, but {self._python} has no {first['missing']}: "
                    f"{self._python} -m pip install {PACKAGES[self.framework]}"
                )
            self.version = first["version"]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._stack.close()

    def step(self, name: str) -> float:
        """Runs one step of the pass ``name`` and returns its seconds, measured over there."""
        return float(self._ask(name)["seconds"])

    def results(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The network's output, and the gradients by the parameters' names, both without dropout."""
        self._ask("results")
        with np.load(self._folder / "results.npz", allow_pickle=False) as stored:
            arrays = dict(stored)
        return arrays.pop("output"), arrays

    def _started(self) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                [self._python, WORKER, self.framework, self._folder, str(self._threads), self._device],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                # Ctrl-C is for this process, which then ends the other one.
                start_new_session=True,
            )
        except OSError as error:
            raise ImportError(f"python is {self._python!r}, but must be an interpreter: {error.strerror}") from None

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # no answer will follow
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            # The answers' pipe is closed before the last words are written: they are whole when the process has ended.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LAST_WORDS_SECONDS)
            self._errors.seek(0)
            words = [words for line in self._errors if (words := line.strip())] or ["without a word"]
            raise ChildProcessError(f"versus is {self.framework!r}, but its process ended: {words[-1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def compare(
    peers: Sequence[Peer], work: Workload, passes: Sequence[str], rounds: int, done: Callable[[], object]
) -> list[Comparison]:
    """Times each pass in turn, and then compares the results; ``done`` is called after each round.

    The peers compute the loss of ``work``.
    """
    _, comparisons = time_in_turn(peers, work, passes, rounds, done)
    compare_results(peers, work, comparisons)
    return comparisons


def time_in_turn(
    peers: Sequence[Peer], work: Workload, passes: Sequence[str], rounds: int, done: Callable[[], object]
) -> tuple[dict[str, list[float]], list[Comparison]]:
    """Times each pass in ``rounds`` rounds, in each of which every side that has the pass takes its turn.

    Returns the seconds of this package too, by pass, one for each round.
    """
    own: dict[str, list[float]] = {name: [] for name in passes}
    comparisons = [Comparison(peer.framework, peer.version) for peer in peers]
    for name in passes:
        step = work.step(name)
        for _ in range(rounds):
            ours = _turn(lambda step=step: work.device.seconds_of(step))  # type: ignore[misc]
            own[name].append(ours)
            for peer, comparison in zip(peers, comparisons, strict=True):
                if peer.choice.computes(name):
                    theirs = _turn(lambda peer=peer, name=name: peer.step(name))  # type: ignore[misc]
                    comparison.seconds.setdefault(name, []).append((ours, theirs))
            done()
    return own, comparisons


def compare_results(peers: Sequence[Peer], work: Workload, comparisons: Sequence[Comparison]) -> None:
    """Writes into ``comparisons`` how far the outputs and the gradients differ.

    Every side draws its own dropout, so the results that are compared are those without.
    """
    net = work.net
    has_dropout = any(layer.rng is not None for _, layer in net.leaves())
    train, net.train = net.train, False
    output = net.forward(work.images)
    net.backward(work.loss(output)[1])
    net.train = train
    for peer, comparison in zip(peers, comparisons, strict=True):
        comparison.has_dropout = has_dropout
        their_output, their_grads = peer.results()
        comparison.output_difference = _relative(to_host(output), their_output)
        comparison.gradient_differences = {
            name: _relative(to_host(net.grads[name]), their_grads[name]) for name in their_grads
        }


def _turn(step: Callable[[], float]) -> float:
    """The median seconds of a side's steps in its turn, after one that only warms up caches and threads."""
    steps = max(1, round(TURN_SECONDS / max(step(), 1e-6)))
    return float(np.median([step() for _ in range(steps)]))


def _relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm((ours - theirs).ravel()) / np.linalg.norm(theirs.ravel()))
