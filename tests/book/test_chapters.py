"""Every chapter keeps the standard; `standards.py` says what is looked at."""

import base64
import copy
import tomllib
from pathlib import Path

import pytest
import standards

import gan_course

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
OWNER_AND_NAME = REPOSITORY.removeprefix("https://github.com/")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_chapter_keeps_the_standard(path):
    found = standards.faults(path, OWNER_AND_NAME)
    assert not found, "\n".join([path.name, *found])


# the standard can be broken, and that is seen


def markdown(source: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def python(source: str, number: int, output: dict, **metadata) -> dict:
    cell = {"cell_type": "code", "execution_count": number, "source": source, "outputs": [output]}
    return {**cell, "metadata": {"tags": ["nbval-check-output"], **metadata}}


def stdout(words: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": words}


def picture() -> dict:
    return {"output_type": "display_data", "data": {"image/png": base64.b64encode(b"x").decode()}, "metadata": {}}


@pytest.fixture
def chapter() -> dict:
    """A chapter with nothing to object to, as far as `standards` itself looks."""
    release = f"git+{REPOSITORY}@v{gan_course.__version__}"
    install = f"import importlib.util\nif importlib.util.find_spec('gan_course') is None:\n    %pip install {release}"
    badge = f"[![Open]({standards.BADGE})](https://colab.research.google.com/github/{OWNER_AND_NAME}/blob/main/notebooks/a.ipynb)"
    body = "\n".join(["seed_everything(0)", "assert_close(a, b)", "claim('x', y)", *["a = 1"] * 7])
    asked = ":::{exercise-start}\n:label: one\n:::\nWhy?\n:::{exercise-end}\n:::\n\n"
    solved = asked + ":::{solution-start} one\n:class: dropdown\n:::\n"
    return {
        "metadata": {"gan_course": {"device": "CPU, 2 threads", "seconds": 200}},
        "cells": [
            markdown(f"# Title\n\nYou need nothing; 5 minutes on two cores.\n\n{badge}"),
            python(install, 1, stdout("")),
            markdown("word " * 2_400),
            *(python(body, 2 + number, stdout("1")) for number in range(19)),
            *(
                python("draw()", 21 + number, picture(), mystnb={"image": {"alt": "A curve that rises and falls"}})
                for number in range(10)
            ),
            markdown("## Summary\n\n## Exercises\n\n" + solved + ":::{solution-end}\n:::\n\n## Further reading"),
        ],
    }


def objections(notebook: dict) -> list[str]:
    path = Path("a.ipynb")
    return [
        *standards.header(notebook, path, OWNER_AND_NAME),
        *standards.size(notebook),
        *standards.undescribed(notebook),
        *standards.content(notebook),
        *standards.exercises(standards.prose(notebook)),
        *standards.minutes(notebook),
    ]


def test_a_good_chapter_is_not_objected_to(chapter):
    assert objections(chapter) == []


def broken(chapter: dict, cell: int, before: str, after: str) -> list[str]:
    changed = copy.deepcopy(chapter)
    assert before in changed["cells"][cell]["source"]
    changed["cells"][cell]["source"] = changed["cells"][cell]["source"].replace(before, after)
    return objections(changed)


@pytest.mark.parametrize(
    ("cell", "before", "after", "objection"),
    [
        (0, "# Title", "Title", "no title"),
        (0, "# Title", "# Title $x$", "mathematics in the title"),
        (0, "/a.ipynb", "/b.ipynb", "no link to"),
        (0, standards.BADGE, "https://example.org/badge.svg", "another site"),
        (0, "minutes", "moments", "does not say: minutes"),
        (0, "cores", "feet", "does not say: hardware"),
        (1, "find_spec", "look_up", "does not install"),
        (2, "word " * 1_000, "", "words; 2,000"),
        (2, "word " * 100, "$word$ " * 2_000 + "word " * 1_800, "words; 2,000"),
        (3, "a = 1", "\n".join(["a = 1"] * 6), "a cell has"),
        (-1, "## Summary", "## End", "no section 'Summary'"),
        (-1, ":class: dropdown\n", "", "not hidden"),
        (-1, "{solution-start} one", "{solution-start} two", "no gated solution"),
        (-1, ":::{solution-end}\n", "", "1 solution-start, 0 solution-end"),
    ],
)
def test_a_fault_is_seen(chapter, cell, before, after, objection):
    found = broken(chapter, cell, before, after)
    assert any(objection in fault for fault in found), found


def test_missing_cells_are_seen(chapter):
    shorter = {**chapter, "cells": [cell for cell in chapter["cells"] if "seed_everything" not in cell["source"]]}
    found = "\n".join(objections(shorter))
    for objection in (
        "lines of code",
        "assert_close is never called",
        "claim is never called",
        "cells whose text is compared",
    ):
        assert objection in found


def test_pictures_are_counted_and_must_be_described(chapter):
    few = copy.deepcopy(chapter)
    del few["cells"][-6:-1]
    assert any("words for each picture" in fault for fault in objections(few))
    moving = {"output_type": "display_data", "data": {"text/html": "<div><canvas></canvas></div>"}, "metadata": {}}
    few["cells"].insert(-1, python("replay()", 30, moving))
    few["cells"][-2]["metadata"]["mystnb"] = {"image": {"alt": "CURVEALT"}}
    assert any("describes its picture by 'CURVEALT'" in fault for fault in objections(few))
    del few["cells"][-2]["metadata"]["mystnb"]
    assert any("alt or aria-label" in fault for fault in objections(few))
    moving["data"]["text/html"] = '<div role="img" aria-label="Samples"><canvas></canvas></div>'
    assert not any("alt or aria-label" in fault for fault in objections(few))


def test_a_slow_run_is_seen(chapter):
    chapter["metadata"]["gan_course"]["seconds"] = 301
    assert any("at most 5 minutes" in fault for fault in objections(chapter))
    chapter["metadata"]["gan_course"] = {"device": "NVIDIA H100", "seconds": 121}
    assert any("at most 2 minutes" in fault for fault in objections(chapter))


def test_words_are_those_a_reader_reads():
    text = "One two $x + y$ [three](https://a.b/c) {cite:p}`key`\n\n$$\na b c\n$$\n\n"
    text += ":::{prf:proof}\n:label: p\nfour\n:::\n"
    assert standards.words(text) == 4
