"""A layer of one's own beside one of the package: the forward is compared, and known mistakes get their name."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tinyalexnet import AvgPool2d, Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d, ReLU
from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.gradcheck import as_layer, assert_gradients, diagnose, frozen, separated_values
from tinyalexnet.gradcheck.likeness import FUNCTIONS, OPTIONS

F64 = {"backend": "reference", "dtype": np.float64, "rng": 1}
LIKE = {
    "conv": [
        Conv2d(4, 4, (3, 2), (2, 1), ((1, 0), (1, 2)), groups=2, **F64),
        Conv2d(2, 3, (2, 3), (1, 2), "SAME", **F64),
        Conv2d(2, 3, (3, 3), (2, 2), **F64),
    ],
    "pool": [MaxPool2d((3, 2), (2, 1), ((1, 0), (1, 0)), backend="reference"), MaxPool2d(3, 2, backend="reference")],
    "avgpool": [AvgPool2d((3, 2), (2, 1), ((1, 0), (1, 0)), backend="reference"), AvgPool2d(3, 2, backend="reference")],
    "relu": [ReLU(backend="reference")],
    "lrn": [LocalResponseNorm(1, 1.5, 0.5, 0.75, backend="reference")],
    "dense": [Dense(5, 3, **F64)],
    "dropout": [Dropout(0.25, backend="reference", rng=3)],
}
"""Layers whose geometries show the known mistakes of their kind."""

BEASTS = [
    (kind, SUBJECTS[name], beast)
    for kind, names in FUNCTIONS.items()
    for name in names
    for beast in SUBJECTS[name].beasts
]

NOT_IN_A_LAYER = {"dropout-inverted", "relu-passes-at-zero"}
"""The mask that a layer drew is read from the zeros of its output, so an inverted one is a mask like another; and for
this reason no element of x is 0."""


def own_layer(like, x, wrong=None):
    """The layer that a user would write of the plain functions, with the mistake of a beast in one of them."""
    description = like.description(x.shape)
    options = {name: description[name] for name in OPTIONS if name in description}
    forward, *backwards = (SUBJECTS[name] for name in FUNCTIONS[like.kind])

    def run(subject, pool):
        mistaken = wrong is not None and wrong in subject.beasts
        return subject.outputs_of(wrong.run if mistaken else subject.right, pool)

    def layer_forward(x, *params):
        pool = {"x": x, **options, **dict(zip(like.params, params, strict=True)), "x_shape": x.shape}
        pool |= {f"{name}_shape": pool[name].shape for name in like.params}
        pool["kept"] = np.random.default_rng(5).random(x.shape) > description.get("rate", 0)
        return run(forward, pool)["out"], pool

    def layer_backward(dout, pool):
        found = {}
        for subject in backwards:
            found |= run(subject, {**pool, "dout": dout})
        return tuple(found[f"d{name}"] for name in ("x", *like.params))

    return as_layer(layer_forward, layer_backward, {name: value.copy() for name, value in like.params.items()})


def example(like, rng):
    if like.kind in ("pool", "relu"):
        return separated_values((2, 5, 5, 4))
    if like.kind == "dense":
        return rng.standard_normal((4, 5))
    channels = like.params["w"].shape[2] * like.groups if like.kind == "conv" else 4
    return rng.standard_normal((2, 5, 5, channels))


@pytest.mark.parametrize("like", [like for layers in LIKE.values() for like in layers], ids=repr)
def test_a_right_layer_of_ones_own_is_right(like, rng):
    x = example(like, rng)
    layer = own_layer(like, x)
    before = {name: value.copy() for name, value in layer.params.items()}
    report = diagnose(layer, x, like=like)
    assert report.passed, str(report)
    assert report.findings[0].sentence == f"Equal to {like!r} on small integers."
    assert [finding.argument for finding in report.findings] == ["forward", "x", *layer.params]
    for name, value in layer.params.items():
        np.testing.assert_array_equal(value, before[name])


@cache
def named(kind, beast):
    """For each layer of the kind, the findings about a layer with this mistake that name any."""
    return [
        [
            finding
            for finding in diagnose(own_layer(like, x, beast), x, like=like, directions=1).findings
            if finding.beasts
        ]
        for like in LIKE[kind]
        for x in [example(like, np.random.default_rng(6))]
    ]


@pytest.mark.parametrize(("kind", "subject", "beast"), BEASTS, ids=[f"{s.name}-{b.name}" for _, s, b in BEASTS])
def test_a_planted_mistake_gets_its_sentence(kind, subject, beast):
    found = [finding for findings in named(kind, beast) for finding in findings if beast.name in finding.beasts]
    assert all(beast.sentence in finding.sentence for finding in found)
    assert bool(found) == (beast.name not in NOT_IN_A_LAYER)


def test_most_mistakes_are_named_alone():
    """Two mistakes may be the same for one geometry, such as a stride that is not used and a stride of 1."""
    alone = [
        beast for kind, _, beast in BEASTS if any([beast.name] in [f.beasts for f in fs] for fs in named(kind, beast))
    ]
    assert len(alone) > 0.9 * len(BEASTS)


def test_an_unknown_mistake_is_explained_without_a_name(rng):
    like = Conv2d(2, 3, 3, **F64)
    x = example(like, rng)

    class Own(Conv2d):
        def forward(self, x):
            return super().forward(x) + x.sum() * (x.shape[1] > 4)

    report = diagnose(Own(2, 3, 3, **F64), x, like=like)
    assert not report.passed
    (finding,) = report.findings
    assert (finding.argument, finding.beasts) == ("forward", [])
    assert finding.sentence.startswith("Not equal to Conv2d(2, 3, kernel_size=(3, 3)")
    assert any("yours: " in line for line in finding.explanation)
    # Without ``like`` nothing can be known of the forward, and the backward does not belong to it.
    assert [f.argument for f in diagnose(Own(2, 3, 3, **F64), x).findings if f.verdict == "wrong"] == ["x"]


@pytest.mark.parametrize("kind", ["relu", "dense"])
def test_a_wrong_gradient_is_shown_as_the_sum_that_the_layer_makes_of_it(kind, rng):
    """One output of a backward, and one of several."""
    (like,) = LIKE[kind]

    class Twice(type(like)):
        def backward(self, dout):
            return 2 * super().backward(dout)

    layer = Twice(backend="reference") if kind == "relu" else Twice(5, 3, **F64)
    findings = diagnose(layer, example(like, rng), like=like).findings
    assert [finding.argument for finding in findings] == ["forward", "x", *layer.params]
    (finding,) = [one for one in findings if one.verdict == "wrong"]
    yours, right = finding.explanation[-2:]
    assert yours.startswith("dx[")
    assert ", yours: " in yours
    assert right.lstrip().startswith("right: ")
    assert "(dout[" in yours
    assert "(dout[" in right


def test_parameters_of_other_shapes_are_said(rng):
    report = diagnose(Dense(5, 3, **F64), rng.standard_normal((4, 5)), like=Dense(5, 4, **F64))
    assert report.findings[0].sentence.startswith("params have the shapes {'w': (5, 3), 'b': (3,)}, but Dense(")


@pytest.mark.parametrize("like", [Flatten(), np.sin, "conv2d"])
def test_what_has_no_known_mistakes_is_refused(like, rng):
    with pytest.raises(ValueError, match="but must be a layer of one of the kinds conv, pool, avgpool"):
        diagnose(ReLU(backend="reference"), rng.standard_normal((2, 3)), like=like)


def test_a_layer_of_the_package_is_like_itself(rng):
    dropout = frozen(Dropout(0.5, backend="reference", rng=1))
    assert_gradients(dropout, rng.standard_normal((2, 8)), like=Dropout(0.5, backend="reference"))
    conv = Conv2d(2, 3, 3, needs_dx=False, **F64)
    assert_gradients(conv, rng.standard_normal((2, 5, 5, 2)), needs_dx=False, like=conv)
