"""Studies: many games, each a cell of a grid of objectives, settings, data sets and seeds, on Dask.

    gan-course study STUDY.toml                              on the cores of this machine
    gan-course study STUDY.toml --scheduler tcp://host:8786  on a cluster that is running

Each cell that is finished is a row of the study's table from that moment on. Stopped or killed, the same command goes
on with the cells that are missing. A worker that is lost takes no cell with it: Dask gives them to another.
"""

from gan_course.study import cells
from gan_course.study.cells import Cell, StudyError
from gan_course.study.plan import Study, read
from gan_course.study.playing import Outcome, run
from gan_course.study.table import Table, cell_of, stored

__all__ = ["Cell", "Outcome", "Study", "StudyError", "Table", "cell_of", "cells", "read", "run", "stored"]
