"""The benchmark of scaling measures what it says, and keeps what it does not measure anew."""

import json

import pytest
import torch

from benchmarks import floor, scaling


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_row_for_every_batch_with_every_width():
    rows = scaling.alone(2, batches=(4, 8), widths=(3, 5))
    assert [(row["batch"], row["width"]) for row in rows] == [(4, 3), (4, 5), (8, 3), (8, 5)]
    assert all(row["rounds a second"] > 0 for row in rows)


def test_several_processes_train_in_one_group():
    one, two = scaling.together(2, [1, 2])
    assert (one["processes"], one["efficiency"]) == (1, 1.0)
    assert two["processes"] == 2
    assert two["efficiency"] == two["rounds a second"] / one["rounds a second"] > 0


def test_a_part_replaces_itself_alone(tmp_path, monkeypatch):
    out = tmp_path / "scaling.json"
    out.write_text(json.dumps({"memory": {"rows": ["old"]}, "width": {"rows": ["old"]}}))
    monkeypatch.setattr(scaling, "alone", lambda rounds, **_: [rounds])
    monkeypatch.setattr("sys.argv", ["scaling", "--parts", "width", "--rounds", "7", "--out", str(out)])
    scaling.main()
    stored = json.loads(out.read_text())
    assert stored["memory"] == {"rows": ["old"]}
    assert stored["width"]["rows"] == [7]
    assert stored["width"]["device"] == "CPU, 1 thread"


@pytest.mark.parametrize("options", ["--rounds 0", "--processes 0 2"])
def test_options_that_cannot_be_right_are_refused(monkeypatch, capsys, options):
    monkeypatch.setattr("sys.argv", ["scaling", *options.split()])
    with pytest.raises(SystemExit):
        scaling.main()
    assert "at least 1" in capsys.readouterr().err


def test_the_ends_of_image_networks_are_timed_both_ways():
    rows = floor.ends(1, batch_size=2)
    assert list(rows) == list(floor.ENDS)
    assert all(len(row) == 4 and min(row.values()) > 0 for row in rows.values())
