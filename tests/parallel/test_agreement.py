"""What processes must have in common, and what one of them does for all."""

from __future__ import annotations

import pytest

from tests.parallel.as_threads import on
from tinyalexnet.parallel import after_first, check_same, first


def test_what_differs_is_named():
    def checked(link):
        try:
            check_same(link, version="1", data="cats" if link.rank < 2 else "dogs")
        except ValueError as error:
            return str(error)
        return ""

    assert on(1, checked) == [""]
    assert on(2, checked) == ["", ""]
    assert on(3, checked) == ["data of process 2 is dogs, but must be cats as of process 0"] * 3


@pytest.mark.parametrize(
    ("values", "kinds", "said"),
    [
        ("abbb", 1, "a of process 0 is a, but must be b as of process 1"),
        ("ab", 1, "a of process 1 is b, but must be a as of process 0"),
        ("abab", 2, ""),
        ("abcbab", 2, "a of process 2 is c, but must be a as of process 0"),
        ("acabab", 2, "a of process 1 is c, but must be b as of process 3"),
        ("abc", 3, ""),
        ("aabb", 1, "a of process 2 is b, but must be a as of process 0"),
    ],
)
def test_who_has_another_value_than_most_is_named(values, kinds, said):
    def checked(link):
        try:
            check_same(link, kinds, a=values[link.rank])
        except ValueError as error:
            return str(error)
        return ""

    assert on(len(values), checked) == [said] * len(values)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left", "run"), ValueError("bad"), ImportError("none"), OSError()]
)
def test_what_fails_in_the_first_fails_in_all(error):
    def job():
        raise error

    def said(link):
        ran = []
        first(link, lambda: ran.append(link.rank))
        try:
            first(link, job)
        except (OSError, ValueError, ImportError) as found:
            return ran, type(found), str(found)
        return None

    own, *others = on(3, said)
    assert own == ([0], type(error), str(error))
    assert others == [([], ValueError, str(error) or "OSError")] * 2


@pytest.mark.parametrize("size", [1, 2, 3])
def test_others_run_a_job_after_the_first(size):
    ended = []

    def job(rank):
        seen = list(ended)
        ended.append(rank)
        return rank, seen

    own, *others = on(size, lambda link: after_first(link, lambda: job(link.rank)))
    assert own == (0, [])
    assert all(rank == at and seen[0] == 0 for at, (rank, seen) in enumerate(others, 1))
    assert sorted(ended) == list(range(size))


def test_nobody_runs_a_job_that_fails_in_the_first():
    ran = []

    def job(rank):
        ran.append(rank)
        raise OSError("no network")

    def said(link):
        with pytest.raises((OSError, ValueError), match="no network"):
            after_first(link, lambda: job(link.rank))

    on(3, said)
    assert ran == [0]
