"""Put MathJax 3 beside the pages, so that mathematics needs no network: one file, out of the wheel that carries it."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

WHEEL = "sphinx-mathjax-offline"
FILE = "tex-svg-full.js"  # all of TeX's extensions, glyphs as SVG: no fonts and no further requests


def copy(app: Sphinx, exception: Exception | None) -> None:
    """Copy the file into the built book's `_static`."""
    if exception is None and app.builder.format == "html":
        static = Path(app.outdir, "_static")
        static.mkdir(exist_ok=True)
        shutil.copyfile(source(), static / FILE)


def source() -> Path:
    """Return where the wheel has the file."""
    spec = find_spec(WHEEL)
    if spec is None:
        raise ExtensionError(
            f"{WHEEL} is not installed; install this repository's extra `book`: pip install -e '.[book]'"
        )
    return Path(spec.origin).parent / "static" / "mathjax" / FILE


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; `mathjax_path` in _config.yml names the copy."""
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
