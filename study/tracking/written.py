"""What a tracker has been given already, one line for each time, so that a restart adds only what is new.

A line follows what it tells of, so after a kill the last points may come a second time, with the same values.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

GAIN = "gain"
"""What may come later than the rest of a point: the line that it is measured from needs the joint anchor."""


class Record:
    """Reads the lines of earlier runs, and adds to them.

    Args:
        path: of the file.
        where: the place that is written to; what was written elsewhere does not count.
    """

    def __init__(self, path: Path, where: str) -> None:
        self._path, self._where = path, where
        self._points: dict[str, set[int]] = defaultdict(set)
        self._gains: dict[str, set[int]] = defaultdict(set)
        self._ended: set[str] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_bytes().splitlines() if path.is_file() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["where"] == where:
                self._take(row["trial"], row["points"], row["gains"], ended=row["ended"])

    def points(self, trial: str) -> Collection[int]:
        """Tasks that were written."""
        return self._points.get(trial, ())

    def gains(self, trial: str) -> Collection[int]:
        """Tasks whose gain was written."""
        return self._gains.get(trial, ())

    def has_ended(self, trial: str) -> bool:
        """Whether its end was written after all that was written of it."""
        return trial in self._ended

    def add(self, trial: str, *, points: Iterable[int] = (), gains: Iterable[int] = (), ended: bool = False) -> None:
        """Note what has been written."""
        row = {"where": self._where, "trial": trial, "points": list(points), "gains": list(gains), "ended": ended}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._take(trial, points, gains, ended=ended)

    def _take(self, trial: str, points: Iterable[int], gains: Iterable[int], *, ended: bool) -> None:
        self._points[trial].update(points)
        self._gains[trial].update(gains)
        (self._ended.add if ended else self._ended.discard)(trial)
