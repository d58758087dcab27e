"""The tables of the results page, made from `benchmarks/results/*.json`, which `gan-course headline` writes.

One file holds one experiment on one device:

    {
      "experiment": "Ring of eight, non-saturating GAN",      what was run
      "chapter": "02_minimax_gan",                             where it is told
      "measured": {"modes found of 8": [8, 8, 7, 8, 8]},       for each quantity one number per seed, null where it
                                                               diverged; a single number where it depends on no seed
      "published": {"modes found of 8": {"value": "1", "source": "srivastava2017veegan"}},   may lack quantities
      "device": "2 CPU cores",
      "versions": {"gan_course": "0.1.0", "torch": "2.9.0"},
      "seeds": [0, 1, 2, 3, 4],
      "rounds": 6000,
      "seconds": [61.2, 60.8, 61.9, 61.4, 60.7]                training time of each seed; of several games, the first's
    }
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TABLE = ROOT / "book" / "results_table.md"
KEYS = {"experiment", "chapter", "measured", "published", "device", "versions", "seeds", "rounds", "seconds"}
EMPTY = "Nothing has been measured yet.\n"


def read(path: Path) -> dict:
    """One experiment, checked: all keys there and no others, one value per seed."""
    result = json.loads(path.read_text(encoding="utf-8"))
    if set(result) != KEYS:
        missing, unknown = sorted(KEYS - set(result)), sorted(set(result) - KEYS)
        raise ValueError(f"{path.name}: missing keys {missing}, unknown keys {unknown}; needed are {sorted(KEYS)}")
    seeds = len(result["seeds"])
    for name, values in {**result["measured"], "seconds": result["seconds"]}.items():
        single = name in result["measured"] and isinstance(values, int | float)
        if not single and not isinstance(values, list):
            raise ValueError(f"{path.name}: {name!r} has no list of {seeds} values, one for each seed")
        if not single and len(values) != seeds:
            raise ValueError(
                f"{path.name}: {name!r} has {len(values)} values for {seeds} seeds; report every seed once"
            )
    if strangers := sorted(set(result["published"]) - set(result["measured"])):
        raise ValueError(f"{path.name}: published but not measured: {strangers}")
    return result


def section(result: dict, title: str) -> str:
    """One experiment as Markdown: what it was, how it was run, and a row for each quantity or, of many, each game."""
    versions = sorted(result["versions"].items())
    rows, blocks = dict(result["measured"]), []
    first, colon, _ = next(iter(rows), "").partition(": ")
    times = ", ".join(f"{seconds:.0f}" for seconds in result["seconds"])
    games = {} if result["published"] else side_by_side(rows)
    if games:
        head = list(next(iter(games.values())))
        blocks.append(lines([["game", *head]] + [[name, *map(cell, found.values())] for name, found in games.items()]))
        rows = {quantity: values for quantity, values in rows.items() if quantity.partition(": ")[0] not in games}
    if rows:
        blocks.append(lines(listed(rows, result["published"])))
    return "\n".join(
        [
            f"## {title}",
            "",
            f"Chapter {{doc}}`/notebooks/{result['chapter']}`. "
            f"Seeds {', '.join(map(str, result['seeds']))}; {result['rounds']:,} rounds; "
            f"{times} seconds{' for ' + first if colon else ''}; "
            f"{result['device']}; {', '.join(f'{name} {version}' for name, version in versions)}.",
            "",
            "\n\n".join(blocks),
        ]
    )


def listed(rows: dict, published: dict) -> list[list[str]]:
    """A row for each quantity."""
    table = [["quantity", *(["published"] if published else []), "measured, each seed"]]
    for quantity, values in rows.items():
        source = published.get(quantity)
        beside = [f"{source['value']} {{cite:p}}`{source['source']}`" if source else ""] if published else []
        table.append([quantity, *beside, cell(values)])
    return table


def side_by_side(rows: dict) -> dict[str, dict]:
    """The quantities of each game, where four games or more have the same ones; else nothing."""
    games: dict[str, dict] = {}
    for quantity, values in rows.items():
        game, colon, name = quantity.partition(": ")
        if colon:
            games.setdefault(game, {})[name] = values
    same = list(max(games.values(), key=len, default={}))
    games = {game: found for game, found in games.items() if list(found) == same}
    return games if len(games) >= 4 and len(same) > 1 else {}


def lines(table: list[list[str]]) -> str:
    """A Markdown table, its first row the head."""
    rows = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def cell(values: float | list) -> str:
    """What the seeds gave, or a number that depends on none."""
    return ", ".join(map(number, values if isinstance(values, list) else [values]))


def number(value: float | None) -> str:
    """One seed's number as the page shows it."""
    return "diverged" if value is None else f"{value:.4g}"


def table(folder: Path = RESULTS) -> str:
    """All experiments as Markdown, by file name; where several devices ran one, its title says which."""
    results = [read(path) for path in sorted(folder.glob("*.json"))]
    titles = [result["experiment"] for result in results]
    names = [f"{t}, on {r['device']}" if titles.count(t) > 1 else t for t, r in zip(titles, results, strict=True)]
    return "\n\n".join(map(section, results, names)) + "\n" if results else EMPTY


if __name__ == "__main__":
    try:
        TABLE.write_text(table(), encoding="utf-8")
    except (ValueError, OSError) as error:
        sys.exit(str(error))
