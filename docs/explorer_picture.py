"""python docs/explorer_picture.py FILE.png: a picture of the explorer's page, for docs/explorer.md.

Needs the extras ``data`` and ``browser``, and Debian's chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright
from sklearn.datasets import load_sample_image

from tinyalexnet.__main__ import main

ELEMENT = "#conv2/out/0,0,13,7"


def picture(path: Path) -> None:
    """An element at the edge of mnist's conv2, whose window is half over padding, of scikit-learn's china.jpg."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        photo, page = Path(folder) / "china.png", Path(folder) / "page.html"
        Image.fromarray(load_sample_image("china.jpg")).save(photo)
        main(["explore", str(photo), "--variant", "mnist", "--output", str(page), "--quiet"])
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_context(viewport={"width": 1400, "height": 860}, bypass_csp=True).new_page()
        view.goto(f"file://{page}{ELEMENT}")
        view.wait_for_function("window.ready")
        view.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    picture(Path(sys.argv[1]))
