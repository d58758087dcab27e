"""The page of errata and their tests name each other."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "errata.md").read_text(encoding="utf-8")
PARTS = dict(zip(("slides", "papers", "code"), re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:], strict=True))


def functions_of(name: str) -> list[str]:
    tree = ast.parse((ROOT / "tests" / name).read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def named(text: str) -> list[str]:
    return re.findall(r"`(test_\w+)`", text)


def test_every_erratum_has_its_test_and_every_test_its_erratum():
    for tests, text in (("test_errata.py", PARTS["slides"] + PARTS["papers"]), ("test_rivals.py", PARTS["code"])):
        assert sorted(named(text)) == sorted(functions_of(tests))
        assert len(set(named(text))) == len(named(text))


def test_every_section_names_a_test_and_one_only():
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        assert len(named(section)) == (title != "Slips of the pen"), title


def test_the_command_on_the_page_finds_a_test():
    for file, words in re.findall(r"pytest tests/(\w+\.py) -k (\w+)", PAGE):
        assert [name for name in functions_of(file) if words in name]


def test_every_section_is_complete():
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        title, terms = section.splitlines()[0], set(re.findall(r"^(\S.*)\n: ", section, flags=re.MULTILINE))
        if title != "Slips of the pen":
            assert {"Right", "Test"} < terms, title
            assert terms & {"Printed", "Computed"}, title
