"""Mutants: small changes of the package's code, each of which some test should notice.

    python -m tests.mutate [--sample N] [--seed S] [--only PATH ...] [--coverage FILE] [--seconds T]

takes a random sample of all mutants, runs for each the tests that reach its line, as plain Python, and prints those
that no test noticed, and the share of the others. docs/mutation.md says how to read it. Nothing is changed in the
checkout: the mutants live in a copy.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = ("benchmark/peers/", "devices/cuda/", "dojo/stubs/", "bestiary/")
"""What the plain tests cannot reach, or what is wrong on purpose."""
COPIED = ("tinyalexnet", "tests", "docs", "bench.py", "conftest.py", "pyproject.toml", "README.md", "CHANGELOG.md")

OF_TABLES = ("tests/test_defaults.py", "tests/dojo/test_path.py::test_what_an_exercise_asks_for")
"""They read values that lines have at import, and so reach no line."""

COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add}


@dataclass(frozen=True)
class Mutant:
    """The text of a file from ``start`` to ``end``, and what stands in its place."""

    path: str
    line: int
    start: int
    end: int
    before: str
    after: str
    at_import: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {' '.join(self.before.split())}  ->  {' '.join(self.after.split())}"


Reached = dict[str, dict[int, set[tuple[int, str]]]]
"""For each file, for each of its lines, the tests that run it, and how many lines of the package each of them runs."""

FAILED = 1
"""pytest's exit code if a test failed. Others are noticed too, as 2: a file of tests cannot be imported."""

SHRINKS = "--ignore=docs/strategies.md"
"""Its example is what hypothesis shrinks to, for which it takes no time here."""

NOTICED, SURVIVES, ENDLESS = "noticed", "survives", "noticed: the tests do not end"
FAILS_ANYHOW = "not noticed: the test that fails does so without it"


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """The node with one change, for each change of its kind."""
    other = copy.deepcopy(node)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        other.ops = [COMPARISONS[type(node.ops[0])]()]
        yield other
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC:
        other.op = ARITHMETIC[type(node.op)]()
        yield other
    elif isinstance(node, ast.BoolOp):
        other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield other
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield other.operand
    elif isinstance(node, ast.IfExp):
        other.body, other.orelse = other.orelse, other.body
        yield other
    elif isinstance(node, ast.Constant) and type(node.value) in (bool, int):
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()


def mutable(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but for annotations, decorators and text."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(node, (ast.JoinedStr, ast.Import)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from mutable(child)


def mutants(path: Path) -> Iterator[Mutant]:
    """All mutants of a file."""
    text = path.read_text()
    # Columns of the syntax tree count bytes.
    starts, raw = [0], text.encode()
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(text)
    bodies = [
        range(node.body[0].lineno, node.end_lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    for node in mutable(tree):
        for other in changed(node):
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            after = ast.unparse(ast.fix_missing_locations(other))
            if isinstance(node, ast.expr):
                after = f"({after})"
            relative = path.relative_to(ROOT).as_posix()
            at_import = not any(node.lineno in body for body in bodies)
            yield Mutant(relative, node.lineno, start, end, raw[start:end].decode(), after, at_import)


def files(only: list[str]) -> list[Path]:
    """The package's sources; of ``only``, if it names some files or folders."""
    found = []
    for path in sorted((ROOT / "tinyalexnet").rglob("*.py")):
        relative = path.relative_to(ROOT).as_posix()
        inside = relative.removeprefix("tinyalexnet/")
        if inside.startswith(LEFT_OUT) or (inside.startswith("ops/") and "cuda" in inside):
            continue
        if not only or any(relative == name or relative.startswith(f"{name.rstrip('/')}/") for name in only):
            found.append(path)
    return found


def started(folder: Path, *arguments: str, output: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """pytest in a copy, without the compiler and without what makes a failure easy to read."""
    plain = {"NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1", "MUTANT": "1"}
    environment = {**os.environ, **plain, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "--show-capture=no", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )


def pytest(folder: Path, *arguments: str, seconds: float | None = None) -> int:
    """The exit code of the tests; -1 if they took too long."""
    with started(folder, *arguments) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return -1
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)


def collected(folder: Path) -> set[str]:
    """The names of all tests and, for those with parameters, of their functions."""
    with started(folder, "--collect-only", output=subprocess.PIPE) as process:
        printed = process.communicate()[0]
    if process.returncode:
        sys.exit(f"the tests are not found without any change: {printed[-2000:]}")
    names = {line for line in printed.splitlines() if "::" in line}
    return names | {name.partition("[")[0] for name in names}


def known_as(test: str, names: set[str]) -> str | None:
    """What pytest runs for a test: an example of a page needs those before it, so the page; None if there is no such
    test now."""
    page = test.partition("::")[0]
    if page.endswith(".md"):
        return page if any(name.startswith(f"{page}::") for name in names) else None
    name = test if test in names else test.partition("[")[0]
    return name if name in names else None


def tests_by_line(folder: Path, kept: Path) -> Reached:
    """The tests that run each line, measured by running all, unless ``kept`` is there."""
    from coverage import CoverageData

    if not kept.exists():
        print("runs all tests once, to see which lines they reach ...", file=sys.stderr, flush=True)
        code = pytest(folder, "--cov", "--cov-context=test", "--cov-report=", "--cov-fail-under=0", SHRINKS)
        if code:
            sys.exit(f"the tests fail without any change: pytest ended with {code}")
        shutil.copy(folder / ".coverage", kept)
    data = CoverageData(str(kept))
    data.read()
    contexts = {name: data.contexts_by_lineno(name) for name in data.measured_files()}
    breadth = Counter(context for lines in contexts.values() for each in lines.values() for context in each)
    # A name that pytest does not find would end it with an error, and each mutant would pass for noticed. Parameters
    # can have other names in the next run: the bytes of a file with a date.
    names, asked = collected(folder), {}
    for context, lines in breadth.items():
        known = known_as(context.rpartition("|")[0], names)
        if known is not None:
            asked[context] = lines, known
    found = {}
    for name, lines in contexts.items():
        relative = "tinyalexnet/" + name.replace(os.sep, "/").rpartition("/tinyalexnet/")[2]
        found[relative] = {
            line: {asked[context] for context in each if context in asked} for line, each in lines.items()
        }
    return found


def tests_of(mutant: Mutant, reached: Reached) -> list[str]:
    """The tests that reach its line; of a line that runs at import, ``OF_TABLES`` and those of the file.

    Those that reach the fewest lines come first: they are quick, and most mutants fail there.
    """
    lines = reached.get(mutant.path, {})
    own = set() if mutant.at_import else lines.get(mutant.line, set())
    tests = dict.fromkeys(test for _, test in sorted(own or set().union(*lines.values())))
    return [*OF_TABLES, *tests] if mutant.at_import else list(tests)


def outcome(mutant: Mutant, folder: Path, tests: list[str], seconds: float) -> str:
    """What its tests say."""
    target = folder / mutant.path
    raw = target.read_bytes()
    try:
        target.write_bytes(raw[: mutant.start] + mutant.after.encode() + raw[mutant.end :])
        code = pytest(folder, "-x", *tests, seconds=seconds)
    finally:
        target.write_bytes(raw)
    alone = "--last-failed", "--last-failed-no-failures=none"
    # An example of a page fails alone, as it needs those before it: then all are run again.
    if code == FAILED and pytest(folder, "-x", *alone, *tests) == FAILED == pytest(folder, "-x", *tests):
        return FAILS_ANYHOW
    return SURVIVES if code == 0 else ENDLESS if code == -1 else NOTICED


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", allow_abbrev=False)
    parser.add_argument("--sample", type=int, default=100, help="how many mutants (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (%(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="PATH", help="files or folders, as tinyalexnet/ops")
    parser.add_argument("--coverage", type=Path, default=None, metavar="FILE", help="kept for the next time")
    parser.add_argument("--seconds", type=float, default=300, help="until a mutant counts as noticed (%(default)s)")
    given = parser.parse_args(arguments)
    everything = [mutant for path in files(given.only) for mutant in mutants(path)]
    if not everything:
        parser.error(f"--only is {given.only}, but must name files or folders below tinyalexnet/")
    sample = random.Random(given.seed).sample(everything, min(given.sample, len(everything)))
    print(f"{len(sample)} of {len(everything)} mutants, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, folder / part)
        reached = tests_by_line(folder, given.coverage or folder / "reached")
        start, outcomes = time.monotonic(), Counter()
        for count, mutant in enumerate(sample, 1):
            tests = tests_of(mutant, reached)
            said = outcome(mutant, folder, tests, given.seconds) if tests else SURVIVES
            outcomes[said] += 1
            if said != NOTICED:
                print(mutant, "" if said == SURVIVES else f"  ({said})", sep="", flush=True)
            left = (time.monotonic() - start) / count * (len(sample) - count)
            print(f"\r{count} of {len(sample)}, {left / 60:.0f} min left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    noticed = outcomes[NOTICED] + outcomes[ENDLESS]
    print(f"noticed: {noticed} of {len(sample)}, {noticed / len(sample):.1%}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
