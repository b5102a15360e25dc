"""The options of the benchmark, and their checks."""

from dataclasses import dataclass

from .. import plots
from ..alexnet import VARIANTS, check_variant
from ..command import option
from ..devices import BACKENDS, PRECISIONS, device
from ..files import check_outputs
from ..geometry import as_integer
from ..ops.checks import Shape
from ..ops.conv2d.winograd.choice import ALGORITHMS
from ..parallel import DENSE, SCHEMES, check_dense
from ..parallel.mpi import PATIENCE
from .versus import Choice, check_choice

PASSES = ("Forward", "Forward-backward")

BATCHES = (1, 8, 32, 128)
"""The batch sizes of ``--matrix``."""


@dataclass(frozen=True)
class Options:
    """The options of a run. Each field with a help text is a flag of the command line under the same name."""

    batch_size: int = option(128, "images in a batch (%(default)s)", metavar="N")
    num_batches: int = option(100, "timed steps in each run (%(default)s)", metavar="N")
    variant: str = option("tf2015", "which AlexNet (%(default)s)")
    backend: str = option("cpu", "the implementation that computes (%(default)s)", choices=BACKENDS)
    algorithm: str = option("auto", "of the convolutions (%(default)s)", choices=ALGORITHMS)
    precision: str = option("float32", "of the matrix products; tf32 on a GPU alone (%(default)s)", choices=PRECISIONS)
    threads: int | None = option(None, "threads to use (all processors)", metavar="N")
    seed: int = option(0, "of the weights and the noise (%(default)s)", metavar="N")
    legacy_stats: bool = option(False, "mean and spread as the script of 2015 computed them")
    images: str | None = option(None, "photographs (JPEG, PNG) in place of noise", metavar="FOLDER")
    json: str | None = option(None, "write configuration, versions, every duration and the statistics", metavar="FILE")
    layers: bool = option(False, "then a table of every layer's time, and of the memory")
    plot: str | None = option(None, "the same as a picture, PNG or SVG", metavar="FILE")
    no_graph: bool = option(False, "call each kernel by itself: no recorded passes, and on a GPU no CUDA graphs")
    rounds: int = option(10, "of --layers, --versus, --scaling and --matrix (%(default)s)", metavar="N")
    quiet: bool = option(False, "nothing on standard error but errors")
    passes: tuple[str, ...] = PASSES
    versus: tuple[Choice, ...] = ()

    @property
    def backward(self) -> bool:
        """If the gradients are computed."""
        return PASSES[1] in self.passes


@dataclass(frozen=True)
class Sharing:
    """How several processes share the work of a run; flags of the command line, as those of ``Options``."""

    parallel: str | None = option(
        None, "on all processes of mpiexec -n N python bench.py; docs/benchmark.md", choices=("mpi",)
    )
    shards: int | None = option(
        None, "with --parallel, parts of the batch, at least one for each process (one for each)", metavar="N"
    )
    dense: str = option(
        "rows",
        "with --parallel, split dense layers by images as the others, or by columns; docs/parallel.md (%(default)s)",
        choices=DENSE,
    )
    blocks: int = option(1, "with --parallel, parts of the columns of a dense layer (%(default)s)", metavar="N")
    scheme: str = option(
        "a", "with --parallel, the order in which dense columns take the images (%(default)s)", choices=SCHEMES
    )
    groups: int = option(
        1, "with --parallel, parts of a batch that dense columns take one after the other (%(default)s)", metavar="N"
    )
    overlap: bool = option(False, "with --parallel, exchange gradients while the layers before still compute")
    scaling: bool = option(False, "with --parallel, then a table of 1, 2, ... processes")
    patience: float = option(
        PATIENCE, "with --parallel, seconds that a process waits for the others (%(default)s)", metavar="X"
    )


@dataclass(frozen=True)
class Matrix:
    """The cells of ``--matrix``; flags of the command line, as those of ``Options``."""

    matrix: bool = option(False, "every variant at several batch sizes, in one table; docs/benchmark.md")
    variants: tuple[str, ...] | None = option(None, "with --matrix, the variants (all)", nargs="+", metavar="NAME")
    batches: tuple[int, ...] | None = option(
        None, f"with --matrix, the batch sizes ({' '.join(map(str, BATCHES))})", nargs="+", type=int, metavar="N"
    )
    resume: bool = option(False, "with --matrix, keep the cells that the file of --json has")


def check_matrix(options: Options, matrix: Matrix) -> list[tuple[str, int]]:
    """The variants and batch sizes of the cells; ValueError or ImportError if an option cannot be used."""
    others = {"variant": "variants", "batch_size": "batches", "num_batches": "rounds"}
    for name in (*others, "legacy_stats", "images", "layers"):
        if getattr(options, name) != getattr(Options, name):
            instead = f": use {others[name]}" if name in others else ""
            raise ValueError(f"{name} is given, but must not be with matrix{instead}")
    if matrix.resume and options.json is None:
        raise ValueError("resume is asked for, but must not be without json, the file to go on from")
    if options.plot is not None and not options.versus:
        raise ValueError("plot is asked for, but must not be without versus with matrix: it shows the ratios")
    names = [choice.name for choice in options.versus]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"versus is {doubled[0]!r} twice, but must be another one each time with matrix")
    batches = [as_integer("batches", size, 1) for size in matrix.batches or BATCHES]
    variants = matrix.variants or tuple(VARIANTS)
    checked_shape(options)
    for name in variants:
        check_variant(name)
    return [(variant, size) for variant in dict.fromkeys(variants) for size in dict.fromkeys(batches)]


def check_sharing(options: Options, sharing: Sharing, processes: int) -> int:
    """The number of shards; ValueError if some options do not go together."""
    for name, given, reason in (
        ("versus", options.versus, "the other framework is one process"),
        ("layers", options.layers, "it is of one process, which can be timed alone"),
    ):
        if given:
            raise ValueError(f"{name} is asked for, but must not be with parallel: {reason}")
    if (sharing.scaling or options.plot is not None) and not options.backward:
        raise ValueError("scaling is asked for, but must not be without the forward-backward pass, which it times")
    if sharing.shards is None:
        shards = processes
    elif (shards := as_integer("shards", sharing.shards, 1)) < processes:
        raise ValueError(f"shards is {shards}, but must be at least the {processes} processes there are")
    if shards > options.batch_size:
        raise ValueError(f"shards is {shards}, but must be at most the batch_size of {options.batch_size}")
    for name in ("blocks", "groups"):
        as_integer(name, getattr(sharing, name), 1)
    dense = sharing.dense, sharing.blocks, sharing.scheme, sharing.groups
    check_dense(*dense, shards, options.batch_size, options.backend)
    return shards


def checked_shape(options: Options) -> Shape:
    """The shape of the images (N, H, W, C); ValueError or ImportError if an option cannot be used."""
    for name in ("batch_size", "num_batches", "rounds"):
        as_integer(name, getattr(options, name), 1)
    as_integer("seed", options.seed, 0)
    on_gpu = not device(options.backend).on_host
    for choice in options.versus:
        check_choice(choice, on_gpu)
        if not any(map(choice.computes, options.passes)):
            raise ValueError(f"versus is {choice.framework!r}, but must not be with the backward alone: it has none")
    check_outputs({"json": options.json, "plot": options.plot})
    if options.plot is not None:
        plots.check(options.plot)
    return options.batch_size, *check_variant(options.variant).image_shape


def checked_threads(options: Options) -> int:
    """The number of threads; ValueError if there are not that many."""
    most = device(options.backend).most_threads()
    if options.threads is None:
        return most
    if as_integer("threads", options.threads, 1) > most:
        raise ValueError(f"threads is {options.threads}, but must be at most {most} here")
    return options.threads
