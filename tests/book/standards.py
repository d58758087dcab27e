"""What the course asks of a chapter, as far as a machine can tell: one sentence for each thing that is wrong."""

import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import gan_course
from gan_course import provenance

WORDS, CODE_LINES, WORDS_PER_PICTURE = (2_000, 4_000), (150, 400), (150, 350)
MEDIAN_CELL, LONGEST_CELL = 12, 40
CHECKED_CELLS = 5
MINUTES = {"cpu": 5, "gpu": 2}
SECTIONS = ("Summary", "Exercises", "Further reading")
BADGE = "../book/images/open-in-colab.svg"


def text(cell: dict) -> str:
    """A cell's source, which the format stores as a string or as lines."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def code(notebook: dict) -> list[dict]:
    """The code cells that hold anything."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and text(cell).strip()]


def prose(notebook: dict) -> str:
    """All the prose."""
    return "\n\n".join(text(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def words(markdown: str) -> int:
    """Count the words a reader reads: no mathematics, links' targets, fences, labels."""
    markdown = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", " ", markdown, flags=re.DOTALL)
    markdown = re.sub(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", " ", markdown, flags=re.DOTALL)
    markdown = re.sub(r"^\s*(:{3,}|`{3,}).*$|^:[\w-]+:.*$|^\([\w-]+\)=$", " ", markdown, flags=re.MULTILINE)
    markdown = re.sub(r"\]\([^)]*\)|<[^>]+>|\{[\w:]+\}`[^`]*`", " ", markdown)
    return len(re.findall(r"[^\W\d_][\w'’–-]*", markdown))


def lines(source: str) -> int:
    """Lines of a code cell that hold anything."""
    return sum(1 for line in source.splitlines() if line.strip())


def bundles(cell: dict) -> Iterator[dict]:
    """The data of a cell's outputs, by kind."""
    for output in cell.get("outputs", []):
        yield {
            kind: "".join(value) if isinstance(value, list) else value for kind, value in output.get("data", {}).items()
        }


def html_pictures(content: str) -> list[str]:
    """The opening tags of what HTML shows as a picture: an image, a drawing, or a figure of ours around them."""
    figures = re.findall(
        r"<(?:figure|div|section)\b[^>]*\b(?:role=[\"'](?:img|figure|group)[\"']|class=[\"'][^\"']*gan-course)[^>]*>",
        content,
    )
    return figures or re.findall(r"<(?:img|svg|canvas|video)\b[^>]*>", content)


def pictures(notebook: dict) -> int:
    """How many pictures the chapter shows."""
    count = len(re.findall(r"!\[[^\]]*\]\((?!" + re.escape(BADGE) + ")", prose(notebook)))
    for cell in code(notebook):
        for bundle in bundles(cell):
            image = any(kind.startswith("image/") for kind in bundle)
            count += image or bool(html_pictures(bundle.get("text/html", "")))
    return count


def undescribed(notebook: dict) -> Iterator[str]:
    """HTML outputs with a picture that names itself to nobody, and images whose text is a word or two and says nothing.

    Images without any text are looked after by `provenance.check`.
    """
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell["cell_type"] != "code":
            continue
        alternative = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt")
        if alternative is not None and len(alternative.split()) < 5:
            yield f"cell {number} describes its picture by {alternative!r}; say what is to be seen"
        for bundle in bundles(cell):
            content = bundle.get("text/html", "")
            if html_pictures(content) and not re.search(
                r"\b(?:alt|aria-label|aria-labelledby)=[\"'][^\"']*\w", content
            ):
                yield f"cell {number} shows a picture in HTML without alt or aria-label"


def checked(notebook: dict) -> list[dict]:
    """The cells whose stored text nbval compares: tagged, executed, with text."""
    return [
        cell
        for cell in code(notebook)
        if "nbval-check-output" in cell["metadata"].get("tags", [])
        and cell.get("execution_count") is not None
        and any(output.get("name") == "stdout" or "text/plain" in output.get("data", {}) for output in cell["outputs"])
    ]


def between(value: float, bounds: tuple[int, int], what: str) -> Iterator[str]:
    """Object to a value out of bounds."""
    if not bounds[0] <= value <= bounds[1]:
        yield f"{value:,.0f} {what}; {bounds[0]:,} to {bounds[1]:,} are asked for"


def faults(path: Path, repository: str) -> list[str]:
    """All that is wrong with a chapter."""
    notebook = provenance.read(path)
    return [
        *provenance.check(path),
        *header(notebook, path, repository),
        *size(notebook),
        *undescribed(notebook),
        *content(notebook),
        *exercises(prose(notebook)),
        *minutes(notebook),
    ]


def header(notebook: dict, path: Path, repository: str) -> Iterator[str]:
    """Title, what is needed, hardware, the way to Colab, and an installation there."""
    first = text(notebook["cells"][0])
    if notebook["cells"][0]["cell_type"] != "markdown" or not first.startswith("# "):
        yield "the first cell is no title (`# …`)"
    if "$" in first.splitlines()[0]:
        yield "mathematics in the title: a page whose only formula stands there loads no MathJax"
    head = "\n".join(text(cell) for cell in notebook["cells"][:3] if cell["cell_type"] == "markdown")
    link = f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{path.name}"
    if link not in head:
        yield f"no link to {link} in the header"
    if re.search(r"!\[[^\]]*\]\(https?:", prose(notebook)):
        yield f"a picture of another site; the badge is {BADGE}"
    for what, pattern in {
        "minutes": r"\bminutes?\b",
        "hardware": r"\b(CPUs?|processors?|cores?)\b",
        "what you need first": r"\bneed\b",
    }.items():
        if not re.search(pattern, head, flags=re.IGNORECASE):
            yield f"the header does not say: {what}"
    source = text(code(notebook)[0])
    release = f"git+https://github.com/{repository}@v{gan_course.__version__}"
    if "find_spec" not in source or release not in source:
        yield f"the first code cell does not install the package where it is missing: find_spec, %pip install {release}"


def size(notebook: dict) -> Iterator[str]:
    """How long the chapter is, and how dense in pictures."""
    count = words(prose(notebook))
    cells = [lines(text(cell)) for cell in code(notebook)]
    yield from between(count, WORDS, "words")
    yield from between(sum(cells), CODE_LINES, "lines of code")
    if statistics.median(cells) > MEDIAN_CELL:
        yield f"the median cell has {statistics.median(cells):g} lines; at most {MEDIAN_CELL}"
    if max(cells) > LONGEST_CELL:
        yield f"a cell has {max(cells)} lines; at most {LONGEST_CELL}"
    yield from between(count / max(1, pictures(notebook)), WORDS_PER_PICTURE, "words for each picture")


def content(notebook: dict) -> Iterator[str]:
    """Sections, the comparison with the package, claims, checked outputs."""
    headings = re.findall(r"^#+ +(.+)$", prose(notebook), flags=re.MULTILINE)
    for section in SECTIONS:
        if not any(heading.lower().startswith(section.lower()) for heading in headings):
            yield f"no section {section!r}"
    source = "\n".join(text(cell) for cell in code(notebook))
    for name in ("assert_close", "claim(", "seed_everything("):
        if name not in source:
            yield f"{name.rstrip('(')} is never called"
    if re.search(r"tqdm\.auto|from tqdm\.notebook", source):
        yield "tqdm's widget on a page brings 3.6 MB with it; plain tqdm"
    if len(checked(notebook)) < CHECKED_CELLS:
        yield f"{len(checked(notebook))} cells whose text is compared (nbval-check-output); at least {CHECKED_CELLS}"


def exercises(markdown: str) -> Iterator[str]:
    """Exercises with hidden solutions."""
    asked = re.findall(
        r"^:{3,}\{exercise(?:-start)?\}[^\n]*\n(?::[^\n]*\n)*?:label: *(\S+)", markdown, flags=re.MULTILINE
    )
    solved = dict(re.findall(r"^:{3,}\{solution-start\} *(\S+) *\n((?::[^\n]*\n)*)", markdown, flags=re.MULTILINE))
    if not asked:
        yield "no exercise"
    for label in asked:
        if label not in solved:
            yield f"exercise {label} has no gated solution (solution-start … solution-end)"
        elif not re.search(r"^:class:.*\bdropdown\b", solved[label], flags=re.MULTILINE):
            yield f"the solution of {label} is not hidden (`:class: dropdown`)"
    for stranger in sorted(set(solved) - set(asked)):
        yield f"a solution of {stranger}, which is no exercise"
    for kind in ("exercise", "solution"):
        opened, closed = (
            len(re.findall(rf"^:{{3,}}\{{{kind}-{end}\}}", markdown, flags=re.MULTILINE)) for end in ("start", "end")
        )
        if opened != closed:
            yield f"{opened} {kind}-start, {closed} {kind}-end"


def minutes(notebook: dict) -> Iterator[str]:
    """How long the stored run took."""
    record = notebook["metadata"].get("gan_course", {})
    limit = MINUTES["cpu" if str(record.get("device", "CPU")).startswith("CPU") else "gpu"]
    if record.get("seconds", 0) > 60 * limit:
        yield f"the stored run took {record['seconds']:.0f} s on {record['device']}; at most {limit} minutes"
