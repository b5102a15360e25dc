"""What a user has without asking for it: the values of flags and arguments that are left out, and limits.

A run without a flag, and a file at a limit, are the same with every version: a change of one of these is for the
changelog. Sizes that fix in which order numbers are added are here too, because they fix the bits of a result.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import fields

import pytest

from tinyalexnet.dojo.runner import Limits
from tinyalexnet.layers import AvgPool2d, Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d, ReLU

FLAGS = {
    "benchmark.options:Options": {
        "batch_size": 128,
        "num_batches": 100,
        "variant": "tf2015",
        "backend": "cpu",
        "algorithm": "auto",
        "precision": "float32",
        "threads": None,
        "seed": 0,
        "legacy_stats": False,
        "images": None,
        "json": None,
        "layers": False,
        "plot": None,
        "no_graph": False,
        "rounds": 10,
        "quiet": False,
        "versus": (),
        "passes": ("Forward", "Forward-backward"),
    },
    "benchmark.options:Sharing": {"parallel": None, "shards": None, "scaling": False, "patience": 300.0},
    "benchmark.timing:Workload": {"graph": True},
    "benchmark.versus:Choice": {"python": None, "tf32": False, "graph": False},
    "explorer.options:Options": {"seed": 0},
    "gradcheck.whole:Options": {"batch_size": 1, "seed": 0, "directions": 1},
    "training.run:Files": {"resume": False},
    "training.settings:Settings": {
        "variant": "mnist",
        "epochs": 10,
        "batch_size": 128,
        "shards": 1,
        "dense": "rows",
        "blocks": 1,
        "scheme": "a",
        "groups": 1,
        "overlap": False,
        "learning_rate": 0.02,
        "reference_batch": 0,
        "schedule": "constant",
        "warmup": 0,
        "momentum": 0.9,
        "momentum_correction": False,
        "weight_decay": 5e-4,
        "bias_rate_factor": 2.0,
        "pad": 0,
        "mirror": False,
        "colour_noise": 0.0,
        "views": 1,
        "seed": 0,
        "backend": "cpu",
        "precision": "float32",
        "no_graph": False,
        "checkpoint_every": 500,
    },
    "dojo.exercise:Exercise": {"points": 1},
    "dojo.runner:Limits": {"seconds": 10.0, "start": 60.0, "memory": 2 << 30, "written": 16 << 20, "printed": 2000},
    "gradcheck.slopes:Check": {"compared": 0, "vacuous": 0, "uneven": 0},
    "layers.base:Cost": {"multiply_adds": 0, "performed": 0},
    "strategies:Geometry": {"groups": 1},
    "ops.terms:Terms": {"roundings": 0, "absolute_roundings": 0, "bounded": True},
}
"""Fields of dataclasses. Where only some are named the others have no default, or one of another kind."""

ARGUMENTS = {
    "alexnet:alexnet": {"seed": 0},
    "geometry:Window": {"stride": 1, "padding": "VALID"},
    "images:read_image": {"shorter": None, "channels": 3},
    "captured:CapturedStep": {"graph": True},
    "network:Sequential.captured": {"loss": None, "optimizer": None, "graph": True},
    "layers:Conv2d": {"stride": 1, "groups": 1, "needs_dx": True},
    "layers:Dense": {"needs_dx": True},
    "layers:LocalResponseNorm": {"radius": 5, "bias": 1.0, "alpha": 1.0, "beta": 0.5},
    "layers:LocalResponseNorm.from_paper": {"n": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75},
    "layers:LocalResponseNorm.from_caffe": {"local_size": 5, "alpha": 1.0, "beta": 0.75, "k": 1.0},
    "layers:ReLU": {"inplace": False},
    "layers:Dropout": {"rate": 0.5, "train": True, "rng": None},
    "ops.conv2d:conv2d_forward": {"groups": 1},
    "ops.conv2d:conv2d_backward_input": {"groups": 1},
    "ops.conv2d:conv2d_backward_params": {"groups": 1},
    "ops.dropout:dropout_mask": {"first": 0},
    "gradcheck:diagnose": {"rng": 0, "directions": 3, "needs_dx": True},
    "gradcheck:assert_gradients": {"rng": 0, "directions": 3, "needs_dx": True},
    "gradcheck:directional_derivatives": {"rng": 0, "directions": 3, "needs_dx": True},
    "gradcheck:adjoint_identities": {"rng": 0, "needs_dx": True},
    "gradcheck:assert_same_function": {"examples": 100, "seed": 0},
    "gradcheck.slopes:separated_values": {"rng": 0, "gap": 0.01},
    "gradcheck.explain:element_map": {"name": "", "channels_first": False},
    "gradcheck.explain:map_axes": {"channels_first": False},
    "gradcheck.explain:map_title": {"channels_first": False},
    "parallel:ShardedStep": {"overlap": False},
    "parallel:HybridStep": {"scheme": "a", "overlap": False},
    "parallel.cost:gradient_bytes": {"itemsize": 4},
    "parallel.cost:activation_bytes": {"itemsize": 4},
    "strategies:integer_arrays": {"largest": 4},
    "training.augment:random_crop": {"first": 0, "batch": None},
    "training.augment:mirror": {"first": 0, "batch": None},
    "training.augment:colour_noise": {"first": 0},
    "training.data:load": {"download": False, "progress": False},
    "training.download:fetch": {"progress": False},
    "training.optimizer:SGD.step": {"statistics": False},
    "training.step:Training.advance": {"statistics": False},
    "weights.classify:classify": {"top": 5, "force": False},
    "weights.pretrained:load": {"variant": None, "force": False},
    "dojo.check:examine": {"untouched": False},
    "dojo.gates:FailedError": {"evidence": None, "telling": False},
    "dojo.runner:StoppedError": {"printed": "", "refused": False, "raised": False},
    "dojo.words:planes": {"channels_first": False},
    "dojo.words:pool_lines": {"most": 48, "channels_first": False},
    "dojo.guide:check_and_show": {"watching": False},
    "dojo.process:Process": {"limits": None, "graded": False},
    "command:exit_code": {"quiet": False},
    "console:Console.bar": {"done": 0},
    "parallel.command:together": {"quiet": False},
}

LIMITS = {
    # What is read.
    "images": {"MOST_PIXELS": 50_000_000, "MOST_SCANS": 100, "MOST_ELONGATED": 100},
    "training.idx": {
        "MOST_DIMENSIONS": 64,
        "MOST_BYTES": 268_435_456,
        "TYPES": {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"},
    },
    "training.checkpoint": {
        "FORMAT": 1,
        "MOST_HEADER": 4_194_304,
        "DTYPES": (
            *("bool", "float16", "float32", "float64"),
            *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        ),
    },
    "training.progress": {"MOST_STEPS": 9_007_199_254_740_992},
    "training.cifar10": {"RECORDS": 10_000, "RECORD_BYTES": 3073},
    "weights.labels": {"MOST_BYTES": 16_777_216},
    "weights.storage": {"MOST_DIMENSIONS": 64},
    "weights.torch_file": {"MOST_PICKLE": 4_194_304, "MOST_INSTRUCTIONS": 262_144},
    "weights.pretrained": {"SHORTER": 256},
    "geometry": {"LARGEST": 9_223_372_036_854_775_807},
    "files": {"LONGEST_NAME": 255},
    "explorer.pages": {"MOST_BYTES": 96_000_000},
    "explorer.passes": {"MIDDLE": 128, "SPREAD": 64},
    "dojo.child": {"MOST_BYTES": 16_777_216, "ITEM_BYTES": 16, "DEEPEST": 8},
    "dojo.tasks": {"LARGEST": 100},
    "dojo.teacher.submissions": {"MOST_BYTES": 4_194_304},
    # What is tried, and how much is said.
    "dojo.gates": {"RANDOM": 12, "TRIED": 3},
    "dojo.teacher.key": {"HIDDEN": 8, "DRAWS": 120},
    "dojo.teacher.grade": {"LIMITS": Limits(seconds=5.0, memory=1_073_741_824)},
    "dojo.report": {"MOST_VARIED": 64, "MOST_LINES": 20},
    "dojo.show": {"MOST_ELEMENTS": 200, "MOST_WINDOWS": 24},
    "dojo.words": {"MOST_INLINE": 16, "MOST_PRINTED": 48},
    "dojo.page": {"WIDTH": 88},
    "dojo.terminal": {"MARK_WIDTH": 8},
    "gradcheck.contract": {"AGAIN": 3},
    "gradcheck.diagnosis": {"MOST_ELEMENTS": 1000},
    "gradcheck.explain": {"MOST_ROWS": 12, "MOST_COLUMNS": 24, "MOST_TERMS": 12},
    "gradcheck.slopes": {"DOUT_LARGEST": 4},
    "strategies": {"ELEMENTWISE": 64},
    "tracing.text": {"MOST": 12},
    "training.contents": {"NAMED": 40},
    "training.run": {"LOG_EVERY": 20, "SHOWN_IMAGES": 20},
    "training.step": {"COMPARE_EVERY": 100},
    "weights.classify": {"NAMED": 12, "SHOWN_IMAGES": 20},
    "benchmark.timing": {"BURN_IN_STEPS": 10},
    "benchmark.scaling": {"EVERY_SIZE": 4},
    # How a command ends.
    "command": {"INTERRUPTED": 130, "PIPE_CLOSED": 141, "WRONG_USE": 2, "BUG": 1},
    "gradcheck.command": {"WRONG": 1},
    "parallel.mpi": {"STUCK": 75, "ENDING": 5, "PATIENCE": 300.0, "HEAD_START": 1.0, "STARTING": 60.0},
    # What is sent at a time.
    "parallel.exchange": {"BUCKET_BYTES": 1_048_576},
    # The order of sums, and so their bits.
    "ops.conv2d.cpu": {"BLOCK_PIXELS": 448, "PARTIAL_SUMS": 16},
    "ops.conv2d.winograd.choice": {
        "TRANSFORMED_ELEMENT": 40,
        "MANY_FILTERS": 3 << 17,
        "CACHED_ELEMENT": 13,
        "FILTER_MULTIPLE": 64,
        "FEW_MULTIPLY_ADD": {"out": 0.85, "dw": 0.9, "dx": 0.95},
        "LOOPS": 5_000_000,
        # Chooses by itself, takes strides, when smaller tiles are used, what runs in place of Winograd, how many
        # windows have a schedule of their own, and the cost of an element of U of many filters.
        "ABILITIES": {
            "reference": (False, True, None, "direct", 0, 40),
            "cpu": (True, True, (0, 1.0), "gemm", 800, 13),
            "cuda": (True, False, (512, 0.9), "gemm", 0, 40),
        },
    },
    "ops.conv2d.cpu_few": {"FILTERS": 64, "DEPTH": 96},
    "ops.dense.cpu": {"SLICES": 16},
    "ops.l2_loss.cpu": {"SLICES": 64, "LANES": 64},
    "ops.lrn.terms": {"OF_A_POWER": 12},
    "ops.softmax_cross_entropy.terms": {"OF_AN_EXPONENTIAL": 12},
}


def found(path):
    """What "module:name" or "module:class.name" is in the package."""
    module, _, names = path.partition(":")
    thing = importlib.import_module(f"tinyalexnet.{module}")
    for name in names.split(".") if names else ():
        thing = getattr(thing, name)
    return thing


@pytest.mark.parametrize("path", FLAGS)
def test_a_flag_that_is_left_out(path):
    defaults = {field.name: field.default for field in fields(found(path))}
    assert {name: defaults[name] for name in FLAGS[path]} == FLAGS[path]


@pytest.mark.parametrize("path", ["benchmark.options:Options", "training.settings:Settings"])
def test_no_flag_is_forgotten_here(path):
    assert {field.name for field in fields(found(path))} == FLAGS[path].keys()


@pytest.mark.parametrize("path", ARGUMENTS)
def test_an_argument_that_is_left_out(path):
    parameters = inspect.signature(found(path)).parameters
    assert {name: parameters[name].default for name in ARGUMENTS[path]} == ARGUMENTS[path]


@pytest.mark.parametrize("module", LIMITS)
def test_a_limit(module):
    assert {name: getattr(found(module), name) for name in LIMITS[module]} == LIMITS[module]


def test_the_order_of_the_sums_of_winograd():
    sizes = found("ops.conv2d.winograd.cpu.plan:Limits")()._asdict()
    assert sizes == {
        "chunk_bytes": 3_145_728,
        "most_bytes": 9_437_184,
        "held_bytes": 12_582_912,
        "near_bytes": 2_097_152,
        "small_bytes": 1_048_576,
        "least_tasks": 16,
        "split_chunks": 4,
        "least_rows": 16,
        "many_filters": 393_216,
        "own_bytes": 1_048_576,
    }


@pytest.mark.parametrize(
    ("layer", "true"),
    [
        (Conv2d(1, 1, 1), {"keeps_input"}),
        (Dense(1, 1), {"keeps_input", "has_columns"}),
        (LocalResponseNorm(), {"keeps_input"}),
        (ReLU(), {"keeps_output", "has_columns"}),
        (ReLU(inplace=True), {"keeps_output", "has_columns", "in_place"}),
        (Dropout(), {"has_columns"}),
        (Flatten(), {"in_place"}),
        (MaxPool2d(3, 2), set()),
        (AvgPool2d(3, 2), set()),
    ],
    ids=lambda value: repr(value) if not isinstance(value, set) else "",
)
def test_what_a_network_asks_a_layer(layer, true):
    """And all compute dx, unless they are told otherwise."""
    asked = ("keeps_input", "keeps_output", "in_place", "needs_dx", "has_columns")
    assert {name for name in asked if getattr(layer, name)} == true | {"needs_dx"}
