"""The outcome of making a workload ready for trials, in words."""

from typing import NamedTuple


class Prepared(NamedTuple):
    """The outcome of making a workload ready.

    Attributes:
        summary: the things that are ready, in a line.
        problems: faults of parts of the data, a line each.
        failure: the number of problems and the remedy, in a line; None where there are none.
    """

    summary: str
    problems: tuple[str, ...] = ()
    failure: str | None = None
