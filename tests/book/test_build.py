"""The book builds without a warning, and what it needs stands beside its pages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
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


# Chapters have the numbers of their files

PAGE = """# The {name} page

:::{{prf:proposition}} A law
:label: prop-{name}
One.
:::

$$x = {name}$$ (eq-{name})

:::{{figure}} picture.svg
:name: fig-{name}
A picture
:::

## A section of {name}

By {{prf:ref}}`prop-{name}` and {{eq}}`eq-{name}`, as {{numref}}`fig-{name}` shows.
"""


def small_book(folder: Path, parts: dict[str, list[str]]) -> subprocess.CompletedProcess:
    """Build a book of short pages in numbered parts with the extension and the settings of the course."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    del config["bibtex_bibfiles"], config["html"]
    config["sphinx"] = {
        "extra_extensions": ["sphinx_proof"],
        "local_extensions": {"chapter_numbers": str(ROOT / "book" / "extensions")},
    }
    contents = [
        {"caption": caption, "numbered": True, "chapters": [{"file": f"notebooks/{name}"} for name in names]}
        for caption, names in parts.items()
    ]
    contents.append({"caption": "End", "chapters": [{"file": "notebooks/7_unnumbered"}]})
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    (folder / "_toc.yml").write_text(yaml.safe_dump({"format": "jb-book", "root": "index", "parts": contents}))
    (folder / "index.md").write_text("# A small book\n\nA law follows in {prf:ref}`prop-cogan`.\n")
    (folder / "notebooks" / "picture.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    for name in ["7_unnumbered", *(name for names in parts.values() for name in names)]:
        (folder / "notebooks" / f"{name}.md").write_text(PAGE.format(name=name.split("_", 1)[-1]))
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", "-W", "-n", "--keep-going", str(folder)]
    environment = {**os.environ, "TERM": "dumb"}
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)


def words(page: Path) -> str:
    """The text of a page, without tags and with single spaces."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8")).split())


@pytest.fixture(scope="module")
def gap(tmp_path_factory) -> Path:
    """The pages of a book that has chapters 1, 2 and 22, built again after a change of one page."""
    folder = tmp_path_factory.mktemp("gap")
    parts = {"Part I": ["01_generation", "02_gan"], "Part IV": ["22_cogan", "interlude"]}
    for _ in range(2):
        done = small_book(folder, parts)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "_build" / "html"


@pytest.mark.parametrize(("page", "name", "number"), [("01_generation", "generation", 1), ("22_cogan", "cogan", 22)])
def test_titles_and_all_that_is_numbered_have_the_number_of_the_file(gap, page, name, number):
    text = words(gap / "notebooks" / f"{page}.html")
    assert f"{number}. The {name} page" in text
    assert f"{number}.1. A section of {name}" in text
    assert f"Proposition {number}.1 (A law)" in text
    assert f"Fig. {number}.1 A picture" in text
    assert f"By Proposition {number}.1 and ({number}.1) , as Fig. {number}.1 shows." in text
    assert re.search(rf'<span class="eqno">\({number}\.1\)', (gap / "notebooks" / f"{page}.html").read_text())


def test_side_bar_neighbours_and_references_from_elsewhere_say_the_same(gap):
    before, root = words(gap / "notebooks" / "02_gan.html"), words(gap / "index.html")
    assert "1. The generation page 2. The gan page Part IV 22. The cogan page" in root
    assert "A law follows in Proposition 22.1 ." in root
    assert "previous 1. The generation page next 22. The cogan page" in before


def test_pages_without_a_number_in_their_name_are_counted_on(gap):
    assert "4. The interlude page" in words(gap / "index.html")
    assert "7. The unnumbered page" not in words(gap / "notebooks" / "7_unnumbered.html")


def test_two_chapters_of_one_number_are_reported(tmp_path):
    done = small_book(tmp_path, {"Part I": ["02_gan"], "Part IV": ["22_cogan", "22_other"]})
    assert done.returncode != 0
    assert "chapter 22 is both notebooks/22_cogan and notebooks/22_other; rename one" in done.stdout + done.stderr
