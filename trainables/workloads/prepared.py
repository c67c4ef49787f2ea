"""What a workload says of itself after it was made ready for trials."""

from typing import NamedTuple


class Prepared(NamedTuple):
    """The outcome of making a workload ready.

    Attributes:
        summary: what is ready, in a line.
        problems: what is wrong with parts of the data, a line each.
        failure: what to do about the problems, in a line; None where there are none.
    """

    summary: str
    problems: tuple[str, ...] = ()
    failure: str | None = None
