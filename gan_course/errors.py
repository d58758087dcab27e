"""The errors of the package: each message says what was given, what is allowed and what to do."""

import difflib


class CourseError(Exception):
    """Base of every error that the package raises on purpose; the command line prints it without a traceback."""


class UnknownName(CourseError, KeyError):
    """A name that no registry knows; the message lists the names that exist, and says which is near."""

    def __init__(self, kind: str, given: object, allowed):
        """`kind`: what was looked for; `given`: the name; `allowed`: the names that exist."""
        names = sorted(allowed)
        near = difflib.get_close_matches(str(given), names, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        super().__init__(f"unknown {kind} {given!r}; choose one of: {', '.join(names)}{meant}")

    def __str__(self) -> str:  # KeyError would print the message in quotation marks
        return str(self.args[0])


class DataUnavailable(CourseError, OSError):
    """A data set that is not on this machine and cannot be downloaded."""


class DataCorrupt(CourseError, OSError):
    """A data file whose checksum or content is not what it should be."""


class Diverged(CourseError, ArithmeticError):
    """A loss became infinite or not a number."""


class DivergenceWarning(UserWarning):
    """A loss became infinite or not a number, and training goes on all the same, as it was asked to."""


class ConstraintWarning(UserWarning):
    """A bound on the discriminator's slope that does not do its work on the network it was given."""


class CheckpointError(CourseError, OSError):
    """A checkpoint that cannot be read, or that belongs to something else."""


class CheckpointDamaged(CheckpointError):
    """A checkpoint whose content is not what was written."""


class CheckpointNotice(UserWarning):
    """The newest checkpoint is damaged, and the one before it is used."""


class ProcessLost(CourseError, RuntimeError):
    """Another process of the same training has ended."""
