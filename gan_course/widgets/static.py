"""A figure as plain HTML: its ES module, its data, and a poster for where no script is run."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from pathlib import Path
from typing import Any


def module(name: str) -> str:
    """The source of an ES module of this folder, with what all figures share before it."""
    return "\n".join(Path(__file__).with_name(part).read_text(encoding="utf-8") for part in ("figure.js", name))


def figure_html(module: str, data: dict[str, Any], poster: str) -> str:
    """A figure without any address in it; put it on as many pages, and as often, as you like.

    Args:
        module: the source of the ES module, which exports `mount(element, data)` (see `module`).
        data: as JSON, with a `title` and a `description`.
        poster: a PNG in base64 (see `png`).
    """
    content = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    name = hashlib.sha256(content.encode()).hexdigest()[:16]
    title, description = html.escape(data["title"]), html.escape(data["description"])
    return (
        f'<div class="gan-course-figure" data-gan-course="{name}">\n'
        f'<img alt="{description}" src="data:image/png;base64,{poster}">\n'
        f"<p><strong>{title}.</strong> {description} (The figure moves where scripts may run.)</p>\n</div>\n"
        f'<script type="module">\n{module}\n'
        # Every copy of this figure on the page that no script has taken yet.
        f"for (const element of document.querySelectorAll('[data-gan-course=\"{name}\"]:not([data-mounted])')) {{\n"
        f'  element.dataset.mounted = "";\n  mount(element, {content});\n}}\n</script>'
    )


def said(name: str, text: str) -> str:
    """The words of a figure, if there are any."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name}={text!r} was given; a figure needs words for those who cannot see it move")
    return text.strip().removesuffix(".") if name == "title" else text.strip()


def png(figure) -> str:
    """A matplotlib figure as PNG in base64, in a palette: enough for a poster, and a third of the bytes."""
    from PIL import Image  # comes with matplotlib

    file, small = io.BytesIO(), io.BytesIO()
    figure.savefig(file, format="png")
    Image.open(file).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(small, format="png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()
