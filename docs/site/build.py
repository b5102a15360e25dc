"""Builds the site of the pages, strictly: ``python docs/site/build.py OUT``. A broken link or formula is an error.

It needs the extra ``docs``. Nothing of it is committed: the pages are staged in a folder of their own, with their links
as the site has them, beside the reference and a page of the explorer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
import pages  # noqa: E402

from tinyalexnet import alexnet  # noqa: E402
from tinyalexnet.explorer import Explorer  # noqa: E402

WRONG_USE = 2


def stage(folder):
    """All that Sphinx reads, in ``folder``, and what it only copies in ``folder``/extra."""
    names = pages.page_names()
    texts = {name: pages.staged(path, names) for path, name in names.items()} | pages.api_pages()
    texts["index"] += pages.contents()
    texts["explorer"] = pages.with_explorer(texts["explorer"])
    for name, text in texts.items():
        _write(folder / f"{name}.md", text.encode())
    for path in pages.ROOT.glob("docs/**/*"):
        if path.suffix in (".svg", ".png"):
            _write(folder / path.relative_to(pages.ROOT), path.read_bytes())
    explore(folder / "extra" / "explorer_page.html")


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def explore(path):
    """The explorer of a small network, untrained, on a ring of 8 x 8 pixels."""
    net = alexnet("digits", backend="reference")
    rows, columns = np.mgrid[:8, :8] - 3.5
    image = np.exp(-((np.hypot(rows, columns) - 2.5) ** 2)).astype(np.float32)[..., np.newaxis]
    path.parent.mkdir(parents=True, exist_ok=True)
    Explorer(net, image, title="a small network").save(path)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__)
    parser.add_argument("out", help="the folder of the site", metavar="OUT")
    out = parser.parse_args(arguments).out
    try:
        from sphinx.cmd.build import build_main
    except ModuleNotFoundError:
        parser.exit(WRONG_USE, "build.py: the site needs the extra docs: pip install -e '.[docs]'\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage(folder / "pages")
        extra = f"html_extra_path={folder / 'pages' / 'extra'}"
        options = ["-W", "--keep-going", "-q", "-D", extra, "-d", str(folder / "doctrees"), "-c", str(HERE)]
        return build_main([*options, "-b", "html", str(folder / "pages"), out])


if __name__ == "__main__":
    sys.exit(main())
