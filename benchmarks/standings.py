"""The races on the results page, and the processes on the page about many machines, from `benchmarks/races/*.json`.

python -m benchmarks.standings
"""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan_course import plotting
from gan_course.checkpoint import replacing

ROOT = Path(__file__).resolve().parent.parent
RACES = ROOT / "benchmarks" / "races" / "peers.json"
SCALING = ROOT / "benchmarks" / "races" / "scaling.json"
TABLE = ROOT / "book" / "races_table.md"
PROCESSES = ROOT / "book" / "scaling_table.md"
PICTURE = ROOT / "book" / "images" / "races.svg"
LOADINGS = {"own": "loaded its own way", "memory": "from memory"}
KEYS = {"race", "loading", "target", "pairs", "rounds", "device", "versions", "operations of a round", "wall", "CPU"}


def read(path: Path = RACES) -> list[dict]:
    """The races of a file, checked; those against one rival together, its own loading first."""
    races = json.loads(path.read_text(encoding="utf-8"))["races"]
    for race in races:
        name = f"{path.name}: {race.get('race', 'a race')!r}, {race.get('loading', 'no loading')}"
        if set(race) != KEYS:
            missing, unknown = sorted(KEYS - set(race)), sorted(set(race) - KEYS)
            raise ValueError(f"{name}: missing keys {missing}, unknown keys {unknown}; needed are {sorted(KEYS)}")
        if race["loading"] not in LOADINGS:
            raise ValueError(f"{name}: unknown loading; it must be one of {list(LOADINGS)}")
        for clock in ("wall", "CPU"):
            low, high = race[clock]["interval"]
            if not 0 < low <= race[clock]["ratio"] <= high < math.inf:
                raise ValueError(f"{name}: the {clock} ratio {race[clock]['ratio']} lies outside {low} to {high}")
    keys = [(race["race"], race["loading"]) for race in races]
    if len(set(keys)) != len(keys):
        raise ValueError(f"{path.name}: the same race with the same loading stands there twice: {keys}")
    rivals, loadings = [rival for rival, _ in keys], list(LOADINGS)
    return sorted(races, key=lambda race: (rivals.index(race["race"]), loadings.index(race["loading"])))


def ratio(measured: dict) -> str:
    """A ratio with its interval, in words."""
    low, high = measured["interval"]
    return f"{measured['ratio']:.2f} ({low:.2f} to {high:.2f})"


def alternative(races: list[dict]) -> str:
    """What the picture shows, for those who do not see it."""
    rows = (
        f"{race['race']}, {LOADINGS[race['loading']]}: {ratio(race['wall'])}"
        + (f", target {race['target']}" if race["target"] else "")
        for race in races
    )
    return (
        "Wall time of the rival over that of fit, with 95 % intervals; above 1 fit is faster. " + "; ".join(rows) + "."
    )


def _rows(head: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def table(races: list[dict]) -> str:
    """The picture's line, the ratios and the operations, as Markdown."""
    ratios = [
        [
            race["race"],
            LOADINGS[race["loading"]],
            f"{race['target']:g}" if race["target"] else "",
            *(ratio(race[clock]) for clock in ("wall", "CPU")),
            " : ".join(f"{race['wall'][f'{who}, ms a round']:.0f}" for who in ("rival", "ours")),
            str(race["pairs"]),
        ]
        for race in races
    ]
    counts = {race["race"]: race["operations of a round"] for race in reversed(races)}
    names = list(races[0]["operations of a round"]["ours"])
    operations = [
        [rival, *(f"{counts[rival]['rival'][name]} : {counts[rival]['ours'][name]}" for name in names)]
        for rival in dict.fromkeys(race["race"] for race in races)
    ]
    places = dict.fromkeys(
        "; ".join([race["device"], *(f"{name} {version}" for name, version in sorted(race["versions"].items()))])
        for race in races
    )
    return "\n\n".join(
        [
            f"![{alternative(races)}](images/{PICTURE.name})",
            f"Measured on: {'. '.join(places)}.",
            _rows(["rival", "batches", "target", "wall time", "CPU time", "ms a round", "pairs"], ratios),
            "Operations of one round, rival : ours.",
            _rows(["rival", *names], operations) + "\n",
        ]
    )


def processes(path: Path = SCALING) -> str:
    """The speed of several processes, as Markdown."""
    found = json.loads(path.read_text(encoding="utf-8"))["processes"]
    rows = [
        [str(row["processes"]), f"{row['rounds a second']:.0f}", f"{100 * row['efficiency']:.0f} %"]
        for row in found["rows"]
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(found["versions"].items()))
    return (
        "Measured by `python -m benchmarks.scaling --parts processes`, on two cores of a processor: the ring of eight "
        "with perceptrons of three hidden layers of 128, batches of 256 and one thread in each process. The efficiency "
        "is the share of as many times the speed of one: with an efficiency of 100 %, two processes would see twice "
        f"the samples in the same time. {found['device']} each; {versions}.\n\n"
        + _rows(["processes", "rounds a second", "efficiency"], rows)
        + "\n"
    )


def drawn(races: list[dict]) -> list[list]:
    """The numbers that the picture shows; it carries them along, so that a test can compare."""
    return [[race["race"], race["loading"], race["wall"]["ratio"], *race["wall"]["interval"]] for race in races]


def draw(races: list[dict], ax: Axes) -> None:
    """A row for each race: the ratio of wall times with its interval, and the target."""
    y, heights, names = 0.0, [], {}
    for race in races:
        if race["race"] not in names:
            y += 1.0
            names[race["race"]] = y - 0.8
        heights.append(y)
        y += 1.0
    ax.axvline(1, color=plotting.INK, linewidth=1)
    for height, race in zip(heights, races, strict=True):
        value, (low, high) = race["wall"]["ratio"], race["wall"]["interval"]
        colour = plotting.REAL if low > 1 else plotting.FAKE if high < 1 else plotting.INK
        ax.errorbar(value, height, xerr=[[value - low], [high - value]], fmt="o", color=colour, capsize=3)
        above = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 9}
        ax.annotate(f"{value:.2f}", (value, height), **above, bbox={"color": "white", "pad": 0.5})
        if race["target"]:
            ax.plot(race["target"], height, marker="D", color="white", markeredgecolor=plotting.INK, linestyle="")
    ax.set(xscale="log", ylim=(y - 0.4, -0.4))
    ax.set_xlim(min(0.7, *(race["wall"]["interval"][0] / 1.1 for race in races)), None)
    ticks = [tick for tick in (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10) if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_yticks(heights, [LOADINGS[race["loading"]] for race in races])
    ax.tick_params(axis="y", length=0)
    for name, height in names.items():
        ax.annotate(name, (0, height), (-6, 0), ("axes fraction", "data"), "offset points", ha="right", weight="bold")
    ax.grid(axis="x")
    for side, text, align in ((-6, "← fit is slower", "right"), (6, "fit is faster →", "left")):
        ax.annotate(text, (1, 1), (side, 4), ("data", "axes fraction"), "offset points", ha=align, fontsize=9)
    ax.set_xlabel("wall time, rival : fit; median and 95 % interval; ◇ target", loc="left")


def picture(races: list[dict]) -> Figure:
    """The picture, in the house style."""
    with plt.rc_context():
        plotting.style()
        figure, ax = plt.subplots(figsize=(7.2, 0.9 + 0.5 * len(races)))
        draw(races, ax)
        plt.close(figure)
    return figure


def save(figure: Figure, races: list[dict], path: Path) -> None:
    """Write the picture with its numbers; the same numbers give the same file."""
    with replacing(path) as temporary, plt.rc_context({"svg.hashsalt": "races"}):
        description = json.dumps(drawn(races))
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Description": description})


if __name__ == "__main__":
    try:
        found = read()
        TABLE.write_text(table(found), encoding="utf-8")
        PROCESSES.write_text(processes(), encoding="utf-8")
        save(picture(found), found, PICTURE)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
