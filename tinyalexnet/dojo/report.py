"""What a learner reads if a function is wrong: the smallest case, a map, both sums, and the mistake if it is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..bestiary.subject import Beast, Pool
from ..gradcheck.explain import (
    constant_ratio,
    element_map,
    factors,
    index_text,
    map_title,
    number,
    ratio_sentence,
    sum_text,
    terms,
    wrong_elements,
)
from .contract import RefusedError
from .exercise import Bug
from .gates import Evidence, Judge
from .identities import right
from .page import Page
from .runner import StoppedError
from .words import are, listed, pool_lines, value_text

MOST_VARIED = 64
"""A sum is taken apart if its terms come from at most so many elements: each is a call."""

MOST_LINES = 20
"""Of what the learner's code printed."""


def explained(judge: Judge, evidence: Evidence | None, beast: Beast | None, untouched: bool) -> Page:
    """The lines on a failure, after its sentence. A known mistake is the only explanation.

    It is not given away if the learner has to find it and has not begun: the stub is ``untouched``.
    """
    page = Page()
    if evidence:
        page.add(_case(judge, evidence))
        output = beast.output if beast and beast.output in evidence.wrong else evidence.wrong[0]
        page.add(_element(judge, evidence, output))
    if untouched and isinstance(judge.exercise.task, Bug):
        text = "The file is as it was written, and the bug is in it. What do the numbers above say about it?"
        return page.line().say(text, style="key")
    sentence = beast.sentence if beast else _clue(judge, evidence) if evidence else None
    if sentence:
        page.line().line("The mistake" if beast else "A clue", "head").say(sentence, 4, "key")
    return page


def printed(text: str) -> Page:
    """What the learner's code printed."""
    if not text:
        return Page()
    lines = text.splitlines()
    left_out = [f"... and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return Page().line().line("Your code printed", "head").block([*lines[:MOST_LINES], *left_out], 4, "code")


def _case(judge: Judge, evidence: Evidence) -> Page:
    title = f'The smallest case that shows it: "{evidence.case.name}"'
    subject = judge.subject
    lines = pool_lines(evidence.case.pool, subject.parameters, channels_first=subject.channels_first)
    return Page().line().line(title, "head").block(lines)


def _element(judge: Judge, evidence: Evidence, output: str) -> Page:
    """The map of an output, its first wrong element, and the two sums."""
    found, answer = np.asarray(evidence.found[output]), np.asarray(evidence.right[output])
    rights = [name for name in judge.subject.outputs if name not in evidence.wrong]
    note = f" ({listed(rights)} {are(rights)} right)" if rights else ""
    page = Page().line()
    if found.dtype.kind != "f" or found.ndim == 0:
        yours, wanted = value_text(evidence.found[output]), value_text(evidence.right[output])
        page.line(f"{output} is {yours}. It must be {wanted}.{note}", "key")
        index: tuple[int, ...] = ()
    else:
        wrong = wrong_elements(found, answer, judge.subject.rounding) & ~(np.isnan(found) & np.isnan(answer))
        index = tuple(int(at) for at in np.argwhere(wrong)[0])
        count = int(wrong.sum())
        how_many = f"{count} of {wrong.size} elements {are(range(count))} wrong"
        page.line(f"{output}: {how_many}{note}", "head")
        if wrong.size > 1:
            title = f"{map_title(output, index, judge.subject.channels_first)}   " if wrong.ndim > 2 else ""
            page.line(f"    {title}. right   x wrong   X the first wrong one")
            page.block(element_map(wrong, index, output, judge.subject.channels_first), 8, "code")
        name = index_text(output, index)
        page.line().line(f"{name} is {value_text(found[index])}. It must be {value_text(answer[index])}.", "key")
    return page.block(_sums(judge, evidence, output, index))


def _sums(judge: Judge, evidence: Evidence, output: str, index: tuple[int, ...]) -> list[str]:
    """The element as a sum, in the learner's function and in the right one; nothing if it is no sum."""
    pool = evidence.case.pool
    names = [name for name in judge.subject.parameters if isinstance(pool[name], np.ndarray)]
    varied = "dout" if "dout" in names else names[0] if names else ""
    if not varied or pool[varied].size > MOST_VARIED or pool[varied].dtype != np.float64:
        return []
    if judge.subject.rounding and varied != "dout":  # only a backward is linear for sure
        return []
    lines = []
    try:
        for whose, function, outputs in (
            ("yours", judge.learner, evidence.found),
            ("right", right(judge.subject), evidence.right),
        ):
            value = float(np.asarray(outputs[output])[index])
            text = _sum(function, pool, varied, output, index, value, judge.subject.rounding)
            if text is None:
                return []
            lines.append(f"{whose}: {text}")
    except (StoppedError, RefusedError):
        return []
    return lines


def _sum(
    function: Callable[[Pool], dict[str, Any]],
    pool: Pool,
    varied: str,
    output: str,
    index: tuple[int, ...],
    value: float,
    rounding: float,
) -> str | None:
    """The value as a sum over the elements of one argument, and what is there without them; None if it is no sum."""

    def of(array: np.ndarray) -> np.ndarray:
        return np.asarray(function({**pool, varied: array})[output])

    array = pool[varied]
    shares = terms(of, array, index)
    rest = float(of(np.zeros_like(array))[index])
    allowed = rounding * max((abs(share) for _, share in shares), default=0.0)
    shares = [(at, share) for at, share in shares if abs(share) > allowed]
    if not abs(rest + sum(share for _, share in shares) - value) <= allowed:
        return None
    if not shares and not rest:
        return f"0, because no element of {varied} has a share"
    written = [sum_text(varied, shares, array)] if shares else []
    if rest:
        written.append(f"{number(rest)} (without {varied})")
    return f"{' + '.join(written)} = {number(value)}"


def _clue(judge: Judge, evidence: Evidence) -> str | None:
    """The sentence on a constant ratio: on the case that is shown, or else on the first where there is one.

    A matrix may also be transposed.
    """
    output = evidence.wrong[0]
    answer = evidence.right[output]
    if isinstance(answer, np.ndarray) and answer.ndim == 2 and np.array_equal(evidence.found[output], answer.T):
        return "Your matrix is the transpose of the right one: row and column are exchanged."
    sentence = _ratio_on(evidence.case.pool, evidence.found[output], evidence.right[output])
    if sentence:
        return _two_ratios(judge, evidence, output, sentence) or sentence
    try:
        for case in judge.subject.cases:
            answer = judge.subject.answers[case.name]
            sentence = _ratio_on(case.pool, judge.outputs(case.pool, answer)[output], answer[output])
            if sentence:
                return f'In the case "{case.name}", {sentence[0].lower()}{sentence[1:]}'
    except (StoppedError, RefusedError):
        pass
    return None


def _ratio_on(pool: Pool, found: Any, answer: Any) -> str | None:
    first = pool.get("x", pool.get("logits", pool.get("dout")))
    meanings = factors(np.shape(first), np.shape(pool.get("dout", first)))
    return ratio_sentence(np.asarray(found), np.asarray(answer), meanings)


def _two_ratios(judge: Judge, evidence: Evidence, output: str, sentence: str) -> str | None:
    """The case that is shown and one with another ratio, if both do not mean the same: then its meaning is a guess."""
    ratio = constant_ratio(evidence.found[output], evidence.right[output])
    try:
        for case in judge.subject.cases:
            answer = judge.subject.answers[case.name]
            found = judge.outputs(case.pool, answer)
            other = constant_ratio(found[output], answer[output])
            if ratio and other and not math.isclose(ratio, other, rel_tol=1e-6):
                if _meanings(sentence) & _meanings(_ratio_on(case.pool, found[output], answer[output]) or ""):
                    return None
                return (
                    f"Here each element is {number(ratio)} times the right one, but in the case "
                    f'"{case.name}" {number(other)} times: which argument or size gives these factors?'
                )
    except (StoppedError, RefusedError):
        pass
    return None


def _meanings(sentence: str) -> set[str]:
    """What a sentence on a ratio says that it usually is."""
    return set(sentence.partition(": usually ")[2].rstrip(".").split(" or ")) - {""}
