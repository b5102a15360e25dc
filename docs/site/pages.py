"""What the site shows: which page is where, and how the links of a page lead there. Text to text, without Sphinx."""

from __future__ import annotations

import ast
import inspect
import os
import re
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

GROUPS = {
    "To begin": ["prologue", "for-learners", "notation", "glossary", "questions", "map"],
    "To do": ["dojo", "bestiary", "explain", "explorer", "own_layer", "teaching"],
    "Layers, derived": ["conv2d", "maxpool", "avgpool", "lrn", "relu", "dense", "dropout"],
    "Losses and the update": ["softmax_cross_entropy", "l2_loss", "momentum"],
    "Training": ["training", "parallel", "data", "pretrained"],
    "Speed": ["performance", "winograd", "tiles", "limits", "ladder", "benchmark"],
    "GPU": ["gpu", "gpu_h100", "tensor_cores", "emulator"],
    "Checked": ["checking", "strategies", "mutation"],
    "Functions": ["api/operations", "api/network", "api/checking"],
    "Project": ["contributing", "changelog"],
}
"""The pages in the order of the site's contents. A page in none of them fails the build."""

OPERATIONS = sorted(path.parent.name for path in ROOT.glob("tinyalexnet/ops/*/reference.py"))
API = {
    "network": ("Layers, networks and losses", ["layers", "losses", "network", "alexnet", "geometry", "training"]),
    "checking": ("Checks and explanations", ["gradcheck", "tracing", "explorer"]),
}
"""A page of the reference for several modules each: its title, and their names."""

LINK = re.compile(r"(\]\()([^)\s]+)(?=\))")


def page_names():
    """The name in the site of each Markdown file."""
    files = {path: path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in ROOT.glob("docs/*.md")}
    files |= {path: path.parent.name for path in ROOT.glob("docs/ladder/README.md")}
    files |= {path: path.stem.lower() for path in ROOT.glob("*.md")}
    return {**files, ROOT / "README.md": "index"}


def staged(path, names):
    """The text of a page with links to pages by their names in the site, and to other files as ``source:FILE``."""

    def replaced(match):
        target, anchor = _target(path, match[2])
        if target in names:
            return f"{match[1]}/{names[target]}.md{anchor}"
        if target is None or not target.exists():
            return match[0]  # a link to the web; a broken one is found by the build
        name = target.relative_to(ROOT).as_posix()
        return f"{match[1]}/{name}" if target.suffix in (".svg", ".png") else f"{match[1]}source:{name}"

    text = LINK.sub(replaced, path.read_text(encoding="utf-8"))
    # What a program wrote has no title.
    return text if text.startswith("# ") else f"# {names[path]}\n\n{text}"


def sources(names):
    """The files and folders that the pages link, and what is in these folders: the site shows them as code."""
    linked = set()
    for path in names:
        for _, link in LINK.findall(path.read_text(encoding="utf-8")):
            target, _ = _target(path, link)
            if target is not None and target.exists() and target.suffix not in (".svg", ".png", ".md"):
                linked.add(target)
    found = set()
    while linked:
        found.add(path := linked.pop())
        linked |= {*inside(path)} - found
    return sorted(found)


def inside(path):
    """What a folder shows: its folders, its text files."""
    shown = (".py", ".js", ".css", ".html", ".toml", ".json", ".jsonl")
    entries = sorted(path.iterdir()) if path.is_dir() else []
    return [one for one in entries if one.suffix in shown or (one.is_dir() and any(one.glob("*.py")))]


def _target(path, link):
    """The file of the project that a link of a page means, or None, and its anchor."""
    name, mark, anchor = link.partition("#")
    if ":" in name or not name:
        return (None, "") if name else (None, mark + anchor)
    target = Path(os.path.normpath(path.parent / name))
    return (target, mark + anchor) if target.is_relative_to(ROOT) else (None, "")


def first_line(path):
    """The first sentence line of a Python file or package, or nothing."""
    file = path / "__init__.py" if path.is_dir() else path
    if file.suffix != ".py" or not file.exists():
        return ""
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n\n")[0].replace("\n", " ")


EXPLORER = """## A small one to try

The network for 8 x 8 digits, untrained, on a ring. Click an element.

```{raw} html
<iframe class="explorer" src="explorer_page.html" title="The explorer of a small network"></iframe>
<p><a href="explorer_page.html">The same without this frame</a></p>
```

"""


def with_explorer(text):
    """The explorer's page with an explorer in it, before its first section."""
    before, first, rest = text.partition("## ")
    return before + EXPLORER + first + rest


def contents():
    """The groups as Markdown that Sphinx takes for the contents, which GitHub would not."""
    return "\n".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(f"/{name}" for name in names) + "\n```"
        for caption, names in GROUPS.items()
    )


# --- the reference ----------------------------------------------------------------------------------------------------


def api_pages():
    """The reference's pages by name, as Markdown."""
    parts = "\n".join(f"/api/{operation}" for operation in OPERATIONS)
    pages = {
        "api/operations": "# Operations\n\nOne page for each: the functions that choose a backend, and check what they "
        f"are given.\n\n```{{toctree}}\n\n{parts}\n```\n"
    }
    for operation in OPERATIONS:
        module = f"tinyalexnet.ops.{operation}"
        functions = [name for name, value in vars(import_module(module)).items() if _is_documented(value, module)]
        pages[f"api/{operation}"] = f"# ops.{operation}\n\n" + _directives(module, functions)
    for page, (title, modules) in API.items():
        text = [f"# {title}\n"]
        for name in modules:
            module = import_module(f"tinyalexnet.{name}")
            public = getattr(module, "__all__", None) or [
                one for one, value in vars(module).items() if _is_documented(value, module.__name__)
            ]
            text.append(f"## {name}\n\n{_directives(module.__name__, public)}")
        pages[f"api/{page}"] = "\n".join(text)
    return pages


def _is_documented(value, module):
    is_own = (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module
    return is_own and not value.__name__.startswith("_") and bool(value.__doc__)


def _directives(module, names):
    kinds = {True: "autoclass", False: "autofunction"}
    found = [(name, getattr(import_module(module), name)) for name in names]
    lines = [f".. {kinds[inspect.isclass(value)]}:: {module}.{name}" for name, value in found if callable(value)]
    return "```{eval-rst}\n" + "\n\n".join(lines) + "\n```\n"


def signature(value):
    """The parameters of a function or a class and what it returns, with the types as they are written; or None.

    Python knows what an alias stands for, and would write that: a dtype has nine lines.
    """
    function = value.__init__ if inspect.isclass(value) else value
    try:
        node = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(node, ast.FunctionDef):
        return None
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        del arguments.args[0]
    returned = None if inspect.isclass(value) or node.returns is None else ast.unparse(node.returns)
    return f"({ast.unparse(arguments)})", returned


SECTION = re.compile(r"([A-Z][a-z]+)\n((?:    .*\n|\n)+)")
FORMULA = re.compile(r"(?!over |if |for )[\w∂/{}|<>(]+(\[[^\]]*\])?\S* *(=|\+=|<-) |>>> ")


def restructured(doc):
    """A docstring with its sections as reStructuredText: each a field, and its formulas as they are written."""
    doc = inspect.cleandoc(doc) + "\n"
    first = SECTION.search(doc)
    text = [_paragraphs(doc[: first.start()] if first else doc)]
    for name, body in SECTION.findall(doc):
        lines = _paragraphs(inspect.cleandoc("\n" + body)).splitlines()
        text.append("\n".join([f":{name}:", *(f"    {line}" if line else "" for line in lines)]))
    return "\n\n".join(text)


def _paragraphs(text):
    return "\n\n".join(
        "::\n\n" + re.sub("^", "    ", block, flags=re.MULTILINE)
        if FORMULA.match(block) or block.startswith("    ")
        else _escaped(block)
        for block in re.split(r"\n\n+", text.strip("\n"))
    )


def _escaped(text):
    """Text without what reStructuredText would read as its own marks; code stays code, and pages become links."""
    parts = re.split(r"(``.+?``)", text, flags=re.DOTALL)
    parts[::2] = [re.sub(r"([\\*_|`])", r"\\\1", part) for part in parts[::2]]
    return re.sub(r"docs/((?:\w|\\_)+)\.md", lambda m: f":doc:`/{m[1].replace(chr(92), '')}`", "".join(parts))
