"""What a diagnosis found: as text, as a dict, as JSON, and as JUnit's XML."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

RIGHT, WRONG, NOT_CHECKED = "right", "wrong", "not checked"


@dataclass(frozen=True)
class Finding:
    """One line about one argument, or about the forward or the backward as a whole.

    ``verdict`` is "right", "wrong" or "not checked". ``explanation`` has the lines that say why. ``error`` is relative
    to the size of the gradient, and None if nothing was compared.
    """

    argument: str
    verdict: str
    sentence: str
    explanation: list[str] = field(default_factory=list)
    error: float | None = None
    tolerance: float | None = None
    directions: dict[str, int] = field(default_factory=dict)
    """How many were compared, vacuous and uneven."""
    beasts: list[str] = field(default_factory=list)
    """The names of the known mistakes that give the same numbers."""

    def lines(self) -> list[str]:
        """The finding as text."""
        return [f"{self.argument}: {self.verdict}. {self.sentence}", *(f"    {line}" for line in self.explanation)]


@dataclass(frozen=True)
class Report:
    """The findings about one layer."""

    layer: str
    findings: list[Finding]

    @property
    def passed(self) -> bool:
        """If nothing is wrong, and something was compared and is right."""
        verdicts = [finding.verdict for finding in self.findings]
        return WRONG not in verdicts and RIGHT in verdicts

    def __str__(self) -> str:
        return "\n".join([self.summary(), *(line for finding in self.findings for line in finding.lines())])

    def summary(self) -> str:
        """The first line: the layer, and how many of its gradients are right."""
        wrong = sum(finding.verdict == WRONG for finding in self.findings)
        right = sum(finding.verdict == RIGHT for finding in self.findings)
        if wrong:
            return f"{self.layer}: {wrong} of {len(self.findings)} findings wrong"
        return f"{self.layer}: {right} of {len(self.findings)} right" if right else f"{self.layer}: nothing was checked"

    def to_dict(self) -> dict[str, Any]:
        """Plain data: layer, passed, and a list of findings."""
        return {"layer": self.layer, "passed": self.passed, "findings": [vars(finding) for finding in self.findings]}

    def to_json(self) -> str:
        """``to_dict`` as JSON. Numbers that are not finite are text: JSON has none."""
        return json.dumps(_finite(self.to_dict()), indent=2, allow_nan=False)

    def to_junit(self) -> str:
        """A test suite in the XML that CI systems read: a test case for each finding."""
        verdicts = [finding.verdict for finding in self.findings]
        counts = {"tests": len(verdicts), "failures": verdicts.count(WRONG), "skipped": verdicts.count(NOT_CHECKED)}
        suite = ElementTree.Element("testsuite", {"name": self.layer} | {name: str(n) for name, n in counts.items()})
        for finding in self.findings:
            case = ElementTree.SubElement(suite, "testcase", classname=self.layer, name=finding.argument)
            if finding.verdict == WRONG:
                failure = ElementTree.SubElement(case, "failure", message=finding.sentence)
                failure.text = "\n".join(finding.lines())
            elif finding.verdict == NOT_CHECKED:
                ElementTree.SubElement(case, "skipped", message=finding.sentence)
        return ElementTree.tostring(suite, encoding="unicode")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return str(value) if isinstance(value, float) and value - value != 0 else value
