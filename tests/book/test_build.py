"""The book builds without a warning, and what it needs stands beside its pages."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def toc() -> list[str]:
    """The pages listed in _toc.yml, without extensions, the root first."""
    content = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [content["root"], *(chapter["file"] for part in content["parts"] for chapter in part["chapters"])]


def test_builds_without_a_warning(build):
    assert build["code"] == 0, build["log"]
    assert "WARNING" not in build["log"], build["log"]


def test_every_page_of_the_contents_is_built(pages):
    missing = [name for name in toc() if not (pages / f"{name}.html").is_file()]
    assert not missing


def test_every_chapter_is_in_the_contents():
    chapters = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert chapters
    assert chapters == {name for name in toc() if name.startswith("notebooks/")}


def test_mathjax_lies_beside_the_pages(pages):
    page = (pages / "book" / "notation.html").read_text(encoding="utf-8")
    sources = re.findall(r'<script[^>]*src="([^"]*tex-svg-full.js[^"]*)"', page)
    assert sources, "the page loads no MathJax"
    for source in sources:
        assert not source.startswith(("http:", "https:", "//")), source
        assert (pages / "book" / source.partition("?")[0]).resolve().is_file(), source


def test_no_page_carries_a_script_or_style_of_another_site(pages):
    pattern = re.compile(
        r"""<(?:script|link|img|iframe|source|video)\b[^>]*?(?:src|href)=["'](https?:)?//[^"']+["'][^>]*>"""
    )
    for path in pages.rglob("*.html"):
        found = [match[0] for match in pattern.finditer(path.read_text(encoding="utf-8"))]
        found = [tag for tag in found if 'rel="canonical"' not in tag]
        assert not found, f"{path.relative_to(pages)}: {found}"


def test_sources_are_listed(pages):
    bibliography = (pages / "book" / "bibliography.html").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", (ROOT / "book" / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys)), "a key stands twice in references.bib"
    assert bibliography.count('class="citation"') == len(keys)
