"""Cases as text: arrays, and the windows of pools and convolutions."""

from __future__ import annotations

from textwrap import dedent

import numpy as np
import pytest

from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.bestiary.subject import Case
from tinyalexnet.dojo.path import EXERCISES
from tinyalexnet.dojo.show import case_of, case_page, cases_page, subject_of

MAXPOOL = SUBJECTS["maxpool_backward"]


def images(*shape):
    return np.arange(np.prod(shape)).reshape(shape).astype(float)


def text_of(subject, pool):
    subject.answers["mine"] = subject.outputs_of(subject.right, pool)
    try:
        return case_page(subject, Case("mine", pool)).text
    finally:
        del subject.answers["mine"]


def test_a_case_with_its_windows():
    pool = {
        "x": images(1, 3, 3, 1),
        "dout": images(1, 2, 2, 1),
        "kernel": (3, 2),
        "stride": (2, 1),
        "pads": ((1, 1), (0, 0)),
    }
    assert text_of(MAXPOOL, pool) == dedent(
        """\
        The case "mine" of maxpool_backward

            dout of shape (1, 2, 2, 1):
                0 1
                2 3
            x of shape (1, 3, 3, 1):
                0 1 2
                3 4 5
                6 7 8
            kernel = (3, 2), stride = (2, 1), pads = ((1, 1), (0, 0))

        The right answer: dx (1, 3, 3, 1)

        The windows, by output pixel:  # in the window   . not in it   + padding in the window

            oh=0 ow=0   oh=0 ow=1   oh=1 ow=0   oh=1 ow=1
            ++           ++
            ##.         .##         ...         ...
            ##.         .##         ##.         .##
            ...         ...         ##.         .##
                                    ++           ++
        """
    )


def test_padding_at_the_sides_is_in_the_picture():
    pool = {"x": images(1, 1, 2, 1), "kernel": (1, 2), "stride": (1, 2), "pads": ((0, 0), (1, 1))}
    assert text_of(SUBJECTS["maxpool_forward"], pool).endswith("    oh=0 ow=0   oh=0 ow=1\n    +#.          .#+\n")


def test_a_picture_has_as_many_rows_and_columns_as_the_image():
    pool = {"x": images(1, 3, 1, 1), "kernel": (2, 1), "stride": (1, 1), "pads": ((0, 0), (0, 0))}
    lines = text_of(SUBJECTS["maxpool_forward"], pool).splitlines()[-3:]
    assert [line.split() for line in lines] == [["#", "."], ["#", "#"], [".", "#"]]


def test_many_windows_are_broken_into_rows_and_too_many_are_left_out():
    pool = {"x": images(1, 1, 12, 1), "kernel": (1, 2), "stride": (1, 1), "pads": ((0, 0), (0, 0))}
    text = text_of(SUBJECTS["maxpool_forward"], pool)
    # A picture has 12 columns, and 3 more beside it: there is room for five in 88.
    assert [row for row in (line.count("oh=") for line in text.splitlines()) if row] == [5, 5, 1]
    assert max(map(len, text.splitlines())) <= 88
    wide = {**pool, "x": images(1, 1, 100, 1), "kernel": (1, 99)}
    text = text_of(SUBJECTS["maxpool_forward"], wide)
    assert [row for row in (line.count("oh=") for line in text.splitlines()) if row] == [1, 1]
    for size, shown in ((25, True), (26, False)):  # 24 windows, and 25
        text = text_of(SUBJECTS["maxpool_forward"], {**pool, "x": images(1, 1, size, 1)})
        assert ("The windows" in text) is shown


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_case_of_every_subject_can_be_shown(name):
    subject = SUBJECTS[name]
    for case in subject.cases:
        page = case_page(subject, case_of(subject, case.name))
        assert "The right answer: " in page.text
        assert ("The windows" in page.text) <= ("stride" in subject.parameters)


def test_windows_of_a_dilated_convolution_have_holes_and_others_of_another_form_are_not_drawn():
    pool = {**SUBJECTS["dilated_conv2d_forward"].cases[0].pool, "dilation": (1, 2)}
    assert text_of(SUBJECTS["dilated_conv2d_forward"], pool).endswith(
        "    oh=0 ow=0   oh=0 ow=1\n    #.#.        .#.#\n"
    )
    for name in ("conv2d_nchw_forward", "conv2d_transpose_forward", "conv1d_forward", "dense_forward"):
        subject = SUBJECTS[name]
        assert "The windows" not in case_page(subject, subject.cases[0]).text
    for name in ("conv2d_forward", "conv2d_backward_params", "depthwise_backward_input", "col2im", "avgpool_backward"):
        subject = SUBJECTS[name]
        assert "The windows" in case_page(subject, subject.cases[0]).text


def test_the_cases_of_an_exercise():
    text = cases_page(EXERCISES["relu_backward"], SUBJECTS["relu_backward"]).text
    assert text.startswith("ReLU, backward: the cases\n\n    both-signs  dout (1, 2), x (1, 2)\n")
    text = cases_page(EXERCISES["relu_backward"], SUBJECTS["square_sum_backward"]).text
    assert "two-elements  dout number, x (2,)" in text
    assert subject_of(EXERCISES["catch_overlap"]) is MAXPOOL
    with pytest.raises(ValueError, match=r"^inner_product has no cases to show: its text says all$"):
        subject_of(EXERCISES["inner_product"])
    with pytest.raises(ValueError, match=r"^CASE is 'none', but must be one of both-signs, zero, "):
        case_of(SUBJECTS["relu_backward"], "none")
