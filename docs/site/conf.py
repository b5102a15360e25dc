"""Sphinx for this site: MyST reads the pages, formulas become MathML, and linked files become pages of code."""

from __future__ import annotations

import html
import sys
from pathlib import Path

import ziamath
from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
import pages  # noqa: E402

from tinyalexnet import __version__  # noqa: E402

project, author, release = "tinyalexnet", "the authors of tinyalexnet", __version__
html_title, html_copy_source, html_show_copyright = "tinyalexnet", False, False
root_doc, language, highlight_language = "index", "en", "none"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_theme_options = {"source_view_link": "", "top_of_page_buttons": []}
html_static_path = [str(HERE / "style.css"), str(Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["style.css"]
html_math_renderer = "mathml"
pygments_style, pygments_dark_style = "default", "github-dark"
add_module_names, python_maximum_signature_line_length = False, 88
autodoc_default_options = {"members": True, "member-order": "bysource"}

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "source": None}

NAMES = pages.page_names()
SOURCES = pages.sources(NAMES)
FORMULAS = LatexToMathML(macros={"substack": r"\begin{array}{c}#1\end{array}"}, fancy_error=False)


def shown(path):
    """The name of the page that shows a file or a folder."""
    name = "source/" + path.relative_to(pages.ROOT).as_posix()
    return f"{name}/index" if path.is_dir() else name


def link_sources(app, doctree, docname):
    for node in doctree.findall(nodes.reference):
        scheme, _, name = node.get("refuri", "").partition(":")
        if scheme == "source":
            node["refuri"] = app.builder.get_relative_uri(docname, shown(pages.ROOT / name))


SOURCE_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - tinyalexnet</title>
<link rel="stylesheet" href="{root}_static/pygments.css"><link rel="stylesheet" href="{root}_static/styles/furo.css">
<link rel="stylesheet" href="{root}_static/style.css"></head>
<body class="source"><script>document.body.dataset.theme = localStorage.getItem("theme") || "auto";</script>
<p><a href="{root}index.html">tinyalexnet</a> {up}</p><main><h1>{title}</h1>{body}</main></body></html>
"""


def write_sources(app, exception):
    """Each linked file with its code, each linked folder with its files and what their first lines say.

    The theme would draw its contents beside each, which takes longer than all other pages together.
    """
    if exception is not None:
        return
    for path in SOURCES:
        name, title = shown(path), path.relative_to(pages.ROOT).as_posix()
        body = _folder(app, name, path) if path.is_dir() else _code(app, path)
        up = "/ " + _link(app, name, path.parent, f"{path.parent.name}/") if path.parent in SOURCES else ""
        root = "../" * name.count("/")
        file = Path(app.outdir) / f"{name}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SOURCE_PAGE.format(title=html.escape(title), root=root, up=up, body=body), encoding="utf-8")


def _code(app, path):
    kind = {".py": "python", ".js": "javascript", ".jsonl": "json"}.get(path.suffix, path.suffix[1:] or "text")
    return app.builder.highlighter.highlight_block(path.read_text(encoding="utf-8"), kind, linenos="inline")


def _folder(app, name, path):
    rows = [(_link(app, name, one, one.name), html.escape(pages.first_line(one))) for one in pages.inside(path)]
    return "<table>" + "".join(f"<tr><td>{a}</td><td>{b}</td></tr>" for a, b in rows) + "</table>"


def _link(app, name, path, text):
    return f'<a href="{app.builder.get_relative_uri(name, shown(path))}">{html.escape(text)}</a>'


def formula(is_block):
    def visit(writer, node):
        try:
            found = FORMULAS.convert_with_local_state(node.astext(), displaystyle=is_block)
            writer.body.append(f'<div class="formula">{found}</div>' if is_block else found)
        except LatexError as error:
            logging.getLogger(__name__).warning("a formula cannot be read: %s", error, location=node)
        raise nodes.SkipNode

    return visit


def docstring(app, what, name, value, options, lines):
    lines[:] = pages.restructured("\n".join(lines)).splitlines()


def signature(app, what, name, value, options, text, returned):
    return pages.signature(value) or (text, returned)


def setup(app):
    app.add_html_math_renderer("mathml", (formula(False), None), (formula(True), None))
    app.connect("doctree-resolved", link_sources)
    app.connect("build-finished", write_sources)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
