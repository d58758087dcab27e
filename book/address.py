"""Write the course's address, which stands in `[project.urls]` of pyproject.toml, wherever else it is repeated.

The old address is read from `_config.yml`, the first of its copies; every text file of the repository follows.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def declared(root: Path) -> dict[str, str]:
    """The repository and the book's site as pyproject.toml has them."""
    urls = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    for name in ("Repository", "Documentation"):
        if not re.fullmatch(r"https://[^/]+(/[\w.-]+)*", urls.get(name, "")):
            raise ValueError(f"[project.urls] {name} = {urls.get(name)!r}: give an https address without a final slash")
    if not re.fullmatch(r"https://github\.com/[\w-]+/[\w.-]+", urls["Repository"]):
        raise ValueError(f"Repository = {urls['Repository']!r}: Colab opens only https://github.com/OWNER/NAME")
    return urls


def repeated(root: Path) -> dict[str, str]:
    """The same two as _config.yml repeats them."""
    config = (root / "_config.yml").read_text(encoding="utf-8")
    repository = re.search(r"^repository:\n  url: (\S+)$", config, re.MULTILINE)
    site = re.search(r"^  baseurl: (\S+)$", config, re.MULTILINE)
    if not (repository and site):
        raise ValueError(
            "_config.yml has lost repository.url or html.baseurl: put them back as pyproject.toml has them"
        )
    return {"Repository": repository[1], "Documentation": site[1]}


def files(root: Path) -> list[Path]:
    """Text files of the repository: what git tracks or would track."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    return [root / name for name in names if name and (root / name).is_file() and name != "pyproject.toml"]


def rewrite(root: Path) -> list[Path]:
    """Replace the old address, whole or as the `OWNER/NAME` that Colab and raw links carry; return what changed."""
    new, old = declared(root), repeated(root)
    host = "https://github.com/"
    replacements = {old["Documentation"]: new["Documentation"]}
    for prefix in (host, "https://colab.research.google.com/github/", "https://raw.githubusercontent.com/"):
        replacements[prefix + old["Repository"].removeprefix(host)] = prefix + new["Repository"].removeprefix(host)
    changed = []
    for path in files(root):
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue  # a picture or weights
        updated = text
        for before, after in replacements.items():
            updated = re.sub(re.escape(before) + r"(?![\w-])", lambda _, after=after: after, updated)
        if updated != text:
            path.write_bytes(updated.encode("utf-8"))
            changed.append(path)
    return changed


if __name__ == "__main__":
    try:
        for path in rewrite(ROOT):
            print(path.relative_to(ROOT))
    except ValueError as error:
        sys.exit(str(error))
