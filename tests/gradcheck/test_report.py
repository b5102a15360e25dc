"""A report as text, as JSON and as JUnit's XML."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

from tinyalexnet.gradcheck import Finding, Report

REPORT = Report(
    "MyConv",
    [
        Finding("x", "wrong", "Relative error 1.0.", ["a map <of> it"], 1.0, 1e-7, {"compared": 3}, ["not-turned"]),
        Finding("w", "right", "Relative error 0.", [], 0.0, 1e-7, {"compared": 3}),
        Finding("b", "not checked", "It is 0."),
    ],
)


def test_text():
    assert str(REPORT) == (
        "MyConv: 1 of 3 findings wrong\nx: wrong. Relative error 1.0.\n    a map <of> it\nw: right. Relative error 0.\n"
        "b: not checked. It is 0."
    )
    assert not REPORT.passed
    right = Report("MyConv", REPORT.findings[1:])
    assert right.passed
    assert right.summary() == "MyConv: 1 of 2 right"
    nothing = Report("MyConv", REPORT.findings[2:])
    assert not nothing.passed
    assert nothing.summary() == "MyConv: nothing was checked"


def test_json():
    stored = json.loads(REPORT.to_json())
    assert stored == REPORT.to_dict()
    assert stored["passed"] is False
    assert stored["findings"][0]["beasts"] == ["not-turned"]
    # JSON has no NaN.
    stored = json.loads(Report("a", [Finding("x", "wrong", "", error=math.nan)]).to_json())
    assert stored["findings"][0]["error"] == "nan"


def test_junit():
    suite = ElementTree.fromstring(REPORT.to_junit())
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    x, w, b = suite
    assert (x.get("name"), x[0].tag, x[0].get("message")) == ("x", "failure", "Relative error 1.0.")
    assert "a map <of> it" in x[0].text
    assert len(w) == 0
    assert b[0].tag == "skipped"
