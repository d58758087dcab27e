"""The table of a study: one row for each cell that was played, in a CSV file that is whole at every moment.

objective, data, phase, setting, seed     which cell; the setting as JSON
outcome, error                            done, diverged or failed; and how
modes, quality, ...                       the metrics of the data set; of others empty
seconds, device, torch, code              the wall time, the device, torch's version, the hash of the code
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gan_course import checkpoint
from gan_course.errors import UnknownName
from gan_course.study import cells
from gan_course.study.cells import Cell, StudyError
from gan_course.study.plan import Study

CELL = ("objective", "data", "phase", "setting", "seed")
COLUMNS = (*CELL, "outcome", "error", *cells.METRICS, "seconds", "device", "torch", "code")
STORED = Path(__file__).parent  # the tables that come with the course
Row = Mapping[str, Any]


class Table:
    """What was played of a study so far."""

    def __init__(self, study: Study, path: Path, restart: bool = False):
        """Take up the rows of the file, if there is one; with `restart` begin without."""
        self.study, self.path = study, path
        if path.is_dir():
            raise StudyError(f"{path} is a folder; give the name of a .csv file")
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in checkpoint.half_written(path.parent, re.compile(re.escape(path.name))):
            file.unlink()
        possible = (cell for place in study.settings for cell in self._possible(*place))
        self._order = {cell: number for number, cell in enumerate(possible)}
        self.rows: dict[Cell, Row] = {} if restart else self._stored()

    def _stored(self) -> dict[Cell, Row]:
        rows = read(self.path) if self.path.exists() else {}
        if others := {row["code"] for row in rows.values() if row["outcome"] != cells.FAILED} - {cells.code()}:
            raise StudyError(
                f"{self.path} was made by other code ({', '.join(sorted(others))}; this is {cells.code()}), and what "
                "different code has measured is not mixed: go back to that code, give another file with --out, or "
                "begin anew with --restart, which removes what is there"
            )
        if foreign := [cell for cell in rows if cell not in self._order]:
            raise StudyError(
                f"{self.path} holds {len(foreign)} of {len(rows)} cells that the study does not ask for, such as "
                f"{foreign[0]}: give another file with --out, or begin anew with --restart, which removes what is there"
            )
        return rows

    def _possible(self, objective: str, data: str) -> Iterable[Cell]:
        yield from self.study.choosing(objective, data)
        for setting in self.study.settings[objective, data]:
            yield from self.study.reporting(objective, data, setting)

    def forget_failed(self) -> None:
        """Leave failed cells out, to be played again."""
        self.rows = {cell: row for cell, row in self.rows.items() if row["outcome"] != cells.FAILED}

    def chosen(self, objective: str, data: str) -> str | None:
        """The best setting on the seeds for choosing; None as long as one of them is missing, or if all have failed.

        Best is what diverged or failed on the fewest seeds and, among those, has the best mean.
        """
        found = {}
        for cell in self.study.choosing(objective, data):
            if cell not in self.rows:
                return None
            found.setdefault(cell.setting, []).append(self.rows[cell])
        decides = cells.DATA[data].decides

        def merit(setting: str) -> tuple[int, float]:
            values = [row[decides] for row in found[setting] if row["outcome"] == cells.DONE]
            return len(found[setting]) - len(values), math.fsum(values) / len(values) if values else math.inf

        candidates = [s for s in found if any(row["outcome"] != cells.FAILED for row in found[s])]
        return min(candidates, key=merit, default=None)

    def waiting(self, objective: str, data: str) -> list[Cell]:
        """The cells that can be played next, in order: those for choosing, then those of the chosen setting."""
        waiting = [cell for cell in self.study.choosing(objective, data) if cell not in self.rows]
        setting = None if waiting else self.chosen(objective, data)
        if setting is None:
            return waiting
        for other in self.study.settings[objective, data]:  # what was chosen before failed cells were played again
            for cell in self.study.reporting(objective, data, other) if other != setting else ():
                self.rows.pop(cell, None)
        return [cell for cell in self.study.reporting(objective, data, setting) if cell not in self.rows]

    def write(self) -> None:
        """Store the rows, in the order of the study."""
        lines = io.StringIO()
        out = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        out.writeheader()
        for cell in sorted(self.rows, key=self._order.get):
            out.writerow({**{name: getattr(cell, name) for name in CELL}, **self.rows[cell]})
        with checkpoint.replacing(self.path) as temporary:
            Path(temporary).write_text(lines.getvalue(), encoding="utf-8")


def read(path: str | Path) -> dict[Cell, Row]:
    """The rows of a stored table, by cell.

    Raises:
        StudyError: for a file that is no such table.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or set(reader.fieldnames) != set(COLUMNS):
                raise ValueError(f"its columns are {reader.fieldnames}, not {list(COLUMNS)}")
            rows = [_row(row) for row in reader]
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise StudyError(
            f"{path} is no table of a study ({error}); remove it, or give another file with --out"
        ) from None
    return {cell_of(row): {name: value for name, value in row.items() if name not in CELL} for row in rows}


def _row(row: dict[str, str]) -> dict[str, Any]:
    numbers = {name: float(row[name]) for name in (*cells.METRICS, "seconds") if row[name] != ""}
    missing = {name: None for name in cells.METRICS if row[name] == ""}
    if row["outcome"] not in (cells.DONE, cells.DIVERGED, cells.FAILED):
        raise ValueError(f"an outcome is {row['outcome']!r}")
    return {**row, **numbers, **missing, "seed": int(row["seed"])}


def stored(name: str = "are_gans_equal"):
    """The table of a study that comes with the course, as a pandas `DataFrame`: the columns, then each setting by name.

    Raises:
        UnknownName: if there is none of that name.
    """
    import pandas

    files = {path.stem: path for path in STORED.glob("*.csv")}
    if name not in files:
        raise UnknownName("stored study", name, files)
    frame = pandas.read_csv(files[name], keep_default_na=False, na_values=dict.fromkeys(cells.METRICS, ""))
    settings = pandas.DataFrame([json.loads(setting) for setting in frame["setting"]])
    return frame.join(settings)


def cell_of(row: Any) -> Cell:
    """The cell of a row, whatever gives it by the names of the columns: a mapping, or a row of a `DataFrame`."""
    return Cell(**{name: str(row[name]) for name in CELL} | {"seed": int(row["seed"])})
