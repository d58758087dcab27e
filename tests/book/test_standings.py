"""The picture and the tables of the races show what benchmarks/races/peers.json holds, all of it and nothing else."""

import copy
import json
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import pytest

from benchmarks import standings

OPERATIONS = {"matrix products": 3, "optimiser steps": 2}
OWN = {
    "race": "A",
    "loading": "own",
    "target": 1.5,
    "pairs": 30,
    "rounds": 3,
    "device": "CPU, 2 threads",
    "versions": {"torch": "2.9.0", "gan_course": "0.1.0"},
    "operations of a round": {"rival": {**OPERATIONS, "matrix products": 4}, "ours": OPERATIONS},
    "wall": {"ratio": 2.0, "interval": [1.9, 2.204], "rival, ms a round": 240.4, "ours, ms a round": 120.2},
    "CPU": {"ratio": 1.8, "interval": [1.7, 1.9], "rival, ms a round": 400.0, "ours, ms a round": 222.2},
}


def stored(tmp_path, *changes):
    """A file with a race for each dict of changes."""
    races = []
    for change in changes:
        races.append(copy.deepcopy(OWN))
        for key, value in change.items():
            races[-1][key] = {**OWN[key], **value} if isinstance(value, dict) else value
    path = tmp_path / "peers.json"
    path.write_text(json.dumps({"races": races}))
    return path


MEMORY = {"loading": "memory", "target": None, "wall": {"ratio": 0.9, "interval": [0.8, 0.95]}}


def test_the_page_shows_the_file_as_it_is():
    races = standings.read()
    assert standings.TABLE.read_text(encoding="utf-8") == standings.table(races), "run `make results`"
    page = (standings.ROOT / "book" / "results.md").read_text(encoding="utf-8")
    assert f"{{include}} {standings.TABLE.name}" in page


def test_the_picture_shows_the_file_as_it_is():
    description = ElementTree.parse(standings.PICTURE).find(".//{http://purl.org/dc/elements/1.1/}description")
    assert json.loads(description.text) == standings.drawn(standings.read()), "run `make results`"
    assert standings.PICTURE.stat().st_size < 300_000


def test_the_same_numbers_give_the_same_picture_and_others_another(tmp_path):
    files = []
    for name, change in (("a", {}), ("b", {}), ("c", MEMORY)):
        races = standings.read(stored(tmp_path, change))
        standings.save(standings.picture(races), races, tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1] != files[2]


def test_ratios_and_intervals_are_drawn_where_they_are(tmp_path):
    races = standings.read(stored(tmp_path, OWN, MEMORY))
    figure = standings.picture(races)
    assert figure.get_facecolor() == (1, 1, 1, 1)  # reads the same on a dark page
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    points = [container.lines[0].get_xdata()[0] for container in ax.containers]
    ends = [sorted(cap.get_xdata()[0] for cap in container.lines[1]) for container in ax.containers]
    assert points == [2.0, 0.9]
    assert ends == [pytest.approx([1.9, 2.204]), pytest.approx([0.8, 0.95])]
    lines = [(line.get_marker(), line.get_xdata()[0]) for line in ax.lines]
    assert [x for marker, x in lines if marker == "D"] == [1.5]  # the target
    low, high = ax.get_xlim()
    assert low < 0.8
    assert high > 2.204


def test_the_house_style_does_not_stay_behind(tmp_path):
    before = plt.rcParams.copy()
    standings.picture(standings.read(stored(tmp_path, OWN)))
    assert plt.rcParams == before


def test_every_race_has_a_row_and_a_place_in_the_alternative_text(tmp_path):
    image, where, ratios, _, operations = standings.table(standings.read(stored(tmp_path, MEMORY, OWN))).split("\n\n")
    assert "A, loaded its own way: 2.00 (1.90 to 2.20), target 1.5; A, from memory: 0.90 (0.80 to 0.95)." in image
    assert where == "Measured on: CPU, 2 threads; gan_course 0.1.0; torch 2.9.0."
    assert ratios.splitlines()[2:] == [
        "| A | loaded its own way | 1.5 | 2.00 (1.90 to 2.20) | 1.80 (1.70 to 1.90) | 240 : 120 | 30 |",
        "| A | from memory |  | 0.90 (0.80 to 0.95) | 1.80 (1.70 to 1.90) | 240 : 120 | 30 |",
    ]
    assert operations.splitlines()[2:] == ["| A | 4 : 3 | 2 : 2 |"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"remark": "fine"}, "unknown keys \\['remark'\\]"),
        ({"loading": "telepathy"}, "unknown loading; it must be one of \\['own', 'memory'\\]"),
        ({"wall": {"ratio": 3.0}}, "wall ratio 3.0 lies outside 1.9 to 2.204"),
        ({"CPU": {"interval": [1.7, float("nan")]}}, "CPU ratio 1.8 lies outside 1.7 to nan"),
    ],
)
def test_a_file_that_is_not_so_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        standings.read(stored(tmp_path, {**changes}))


def test_a_race_stands_there_once(tmp_path):
    with pytest.raises(ValueError, match="twice"):
        standings.read(stored(tmp_path, OWN, OWN))
