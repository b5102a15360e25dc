"""The gates of a network that learns: each refusal is one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from learners import defined

from tinyalexnet.dojo.check import examine
from tinyalexnet.dojo.path import EXERCISES
from tinyalexnet.dojo.runner import Inside

EXERCISE = EXERCISES["train_network"]
solve = defined("train_network")


def examined(function):
    return examine(EXERCISE, Inside({"loss_and_gradients": function}))


def failed(function):
    """The name of the gate that failed, and its sentence."""
    (gate,) = [gate for gate in examined(function).gates if gate.state == "wrong"]
    return gate.name, gate.sentence


def changed(name, change):
    """The solution, with one gradient changed."""

    def loss_and_gradients(params, images, labels):
        loss, gradients = solve(params, images, labels)
        return loss, {**gradients, name: change(gradients[name])}

    return loss_and_gradients


def test_a_right_network_learns_and_what_it_prints_is_shown():
    def loss_and_gradients(params, images, labels):
        print("one step")
        return solve(params, images, labels)

    result = examined(loss_and_gradients)
    assert result.passed, result.text
    assert [gate.name for gate in result.gates] == ["contract", "loss", "derivative", "training", "same bits"]
    assert result.text.count("one step") == 1


def test_the_losses_that_are_told_are_those_before_the_first_step_and_after_the_last():
    task = EXERCISE.task
    (params, images, labels), losses = task.data(), []
    velocities = {name: np.zeros_like(param) for name, param in params.items()}
    for _ in range(task.steps + 1):
        loss, gradients = solve(params, images, labels)
        losses.append(loss)
        steps = {name: task.step(params[name], velocities[name], gradients[name]) for name in params}
        params = {name: w for name, (w, _) in steps.items()}
        velocities = {name: v for name, (_, v) in steps.items()}
    gates = {gate.name: gate.sentence for gate in examined(solve).gates}
    assert gates["loss"] == f"Before the first step the loss is {losses[0]:.4g}."
    assert gates["training"] == f"In 60 steps the loss fell from {losses[0]:.4g} to {losses[-1]:.4g}."
    assert f"{losses[-2]:.4g}" != f"{losses[-1]:.4g}"
    bound = losses[-1]  # must be fallen below
    exact = replace(EXERCISE, task=replace(EXERCISE.task, bound=bound))
    *_, training, again = examine(exact, Inside({"loss_and_gradients": solve})).gates
    assert (training.state, again.state) == ("wrong", "later")
    assert training.sentence.endswith(f" to {bound:.4g}, but must fall below {bound:g}.")


@pytest.mark.parametrize("name", ["w1", "b1", "w2", "b2"])
def test_each_wrong_gradient_is_named(name):
    gate, sentence = failed(changed(name, lambda gradient: 0.5 * gradient))
    assert gate == "derivative"
    assert sentence.startswith(f"Along a random direction v of {name}, the slope of the loss is ")
    right = {"w1": " Those of b2, w2 and b1 are right.", "b1": " Those of b2 and w2 are right."}
    right |= {"w2": " That of b2 is right.", "b2": ""}
    assert sentence.endswith(f": the gradient of {name} is wrong.{right[name]}")


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (-1, "It has the opposite sign."),
        (30, "It is 30 times the right one, and there are 30 pictures: the loss is a mean over them."),
        (1 / 30, "It is 1/30 of the right one, and there are 30 pictures: divide by 30 only once."),
    ],
)
def test_a_factor_that_tells_something_is_told(factor, words):
    _, sentence = failed(changed("w2", lambda gradient: factor * gradient))
    assert sentence.endswith(f": the gradient of w2 is wrong. {words} That of b2 is right.")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (list, "The gradient of w2 is a list, but must have its shape (8, 3)."),
        (
            lambda gradient: gradient.T,
            "The gradient of w2 is an array of shape (3, 8), but must have its shape (8, 3).",
        ),
        (lambda gradient: gradient.astype(np.float32), "The gradient of w2 has dtype float32, but must have float64."),
        (lambda gradient: gradient * np.inf, "The gradient of w2 has elements that are not finite."),
    ],
)
def test_a_gradient_of_another_form_is_refused(change, words):
    assert failed(changed("w2", change)) == ("contract", words)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "loss_and_gradients returns None, but must return two values: loss, gradients."),
        ((1.0, {}, {}), "loss_and_gradients returns a tuple, but must return two values: loss, gradients."),
        ((np.ones(2), {}), "The loss is an array of shape (2,), but must be a finite float."),
        ((1, {}), "The loss is the int 1, but must be a finite float."),
        ((np.nan, {}), "The loss is the float nan, but must be a finite float."),
        ((1.0, [1]), "The gradients are a list, but must be a dict of w1, b1, w2 and b2."),
        ((1.0, {"w1": 0, "b1": 0}), "The gradients are a dict of w1 and b1, but must be a dict of w1, b1, w2 and b2."),
    ],
)
def test_other_values_are_refused(returned, words):
    assert failed(lambda params, images, labels: returned) == ("contract", words)


def test_other_parameters_are_refused():
    words = "loss_and_gradients takes (params, x), but must take (params, images, labels)."
    assert failed(lambda params, x: None) == ("contract", words)


def test_changed_arguments_are_refused():
    def loss_and_gradients(params, images, labels):
        params["w1"] += 1
        return solve(params, images, labels)

    words = "Your code changes params, which the check still needs: make new arrays instead."
    assert failed(loss_and_gradients) == ("contract", words)


def test_an_exception_has_what_was_printed_before():
    def loss_and_gradients(params, images, labels):
        print("until here")
        raise KeyError("w3")

    result = examined(loss_and_gradients)
    assert result.gates[0].state == "wrong"
    assert "until here" in result.text


def test_a_wrong_loss_is_told_with_the_right_one():
    gate, sentence = failed(lambda params, images, labels: (2.0, solve(params, images, labels)[1]))
    assert gate == "loss"
    assert sentence.startswith("Before the first step the loss is 2, but must be 1.")


def once_right(later):
    """The solution at the first call, and another function after it."""
    calls = []

    def loss_and_gradients(params, images, labels):
        calls.append(1)
        return (solve if len(calls) == 1 else later)(params, images, labels)

    return loss_and_gradients


def test_a_network_that_does_not_learn_is_refused():
    def stands_still(params, images, labels):
        loss, gradients = solve(params, images, labels)
        return loss, {name: 0 * gradient for name, gradient in gradients.items()}

    gate, sentence = failed(once_right(stands_still))
    assert gate == "training"
    assert sentence == "In 60 steps the loss went from 1.193 to 1.193, but must fall below 0.05."


def test_what_is_kept_between_calls_is_refused():
    calls = []

    def loss_and_gradients(params, images, labels):
        calls.append(1)
        loss, gradients = solve(params, images, labels)
        return loss + 1e-12 * len(calls), gradients

    words = "A second training gave other losses: leave out what is random or kept between calls."
    assert failed(loss_and_gradients) == ("same bits", words)
