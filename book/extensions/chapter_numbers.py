"""Chapters have the numbers of their files: `notebooks/22_cogan.ipynb` is chapter 22, whatever stands before it.

Sphinx counts the pages of the numbered parts. While chapters are still being written, its count and the names differ;
names are final: other chapters refer to them. So the first place of every number is replaced once Sphinx has counted:
in the side bar, in titles, in links to the previous and next page, and in the numbers of figures, equations,
propositions and exercises, which begin with the chapter's.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.util import logging

NAME = re.compile(r"(?:.*/)?(\d+)_[^/]*")
LATER = 900  # Sphinx and its extensions number at 500

logger = logging.getLogger(__name__)


def chapter(page: str) -> int | None:
    """Return the number in a page's name, `22` for `notebooks/22_cogan`, or nothing."""
    match = NAME.fullmatch(page)
    return int(match[1]) if match else None


def number(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Give the pages of the numbered parts their numbers; return those that are to be written."""
    changed = [page for page in env.toc_secnumbers if chapter(page) is not None and renumber(env, page, chapter(page))]
    holders = {}
    for page, numbers in env.toc_secnumbers.items():
        if (first := numbers.get("") or ()) and holders.setdefault(first[0], page) != page:
            logger.warning("chapter %s is both %s and %s; rename one", first[0], holders[first[0]], page)
    # Figures carry the chapter's number, so all of them are counted again.
    return changed + TocTreeCollector().assign_figure_numbers(env) if changed else []


def renumber(env: BuildEnvironment, page: str, chapter: int) -> bool:
    """Replace the first place of a page's numbers; return whether it was another one."""

    def replaced(numbers):
        return type(numbers)([chapter, *numbers[1:]]) if numbers else numbers

    counted = env.toc_secnumbers[page]
    env.toc_secnumbers[page] = {anchor: replaced(numbers) for anchor, numbers in counted.items()}
    if env.toc_secnumbers[page] == counted:
        return False
    for titled in [env.titles[page], *env.tocs[page].findall(nodes.reference)]:
        if "secnumber" in titled:
            titled["secnumber"] = replaced(titled["secnumber"])
    return True


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; _config.yml lists it."""
    app.connect("env-get-updated", number, priority=LATER)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
