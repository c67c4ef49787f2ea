"""The thread that feeds one tracker: it writes what its trials have and the tracker has not, trial by trial.

What waits is a set of trials, not of points, so it is bounded by the study. An error turns the tracker off: it is told
once, and logged; what was not written is written by the next run of the study.
"""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from study.tracking.points import Source
from study.tracking.tracker import Point, Sink
from study.tracking.trackers import TRACKERS
from study.tracking.written import GAIN, Record


class Feed(threading.Thread):
    """Feeds a tracker until it is told to end.

    Args:
        tracker: its name.
        source: what there is to show; of this thread alone.
        folder: for the tracker's files.
        study: name of the study.
        off: is told why the tracker is off.
    """

    def __init__(
        self, tracker: str, source: Source, folder: Path, *, study: str, off: Callable[[str, str], None]
    ) -> None:
        super().__init__(name=tracker, daemon=True)
        self.tracker, self._source, self._folder, self._study, self._off = tracker, source, folder, study, off
        self._ending = threading.Event()
        self._open: set[str] = set()

    def end(self) -> None:
        """Tell the feed to write what is there, then to end."""
        self._ending.set()

    def run(self) -> None:
        """The whole life of the tracker in this run of the study."""
        try:
            sink = TRACKERS[self.tracker].open(self._folder, self._study)
            record = Record(self._folder / "written.jsonl", sink.where)
            self._write_all(sink, record, self._source.catch_up())
            while not self._ending.wait(_SECONDS):
                self._write_all(sink, record, self._source.news())
            self._write_all(sink, record, self._source.news())
            for trial in tuple(self._open):
                self._end(sink, record, trial)
            sink.close(finished=self._source.is_finished)
        except (Exception, SystemExit) as error:  # whatever it is, it is the tracker's and not the study's
            self._off(self.tracker, f"{type(error).__name__}: {error}")

    def _write_all(self, sink: Sink, record: Record, trials: Iterable[str]) -> None:
        for trial in trials:
            self._write(sink, record, trial)
            if trial in self._source.ended and not record.has_ended(trial) and not self._source.awaits_gain(trial):
                self._end(sink, record, trial)

    def _write(self, sink: Sink, record: Record, trial: str) -> None:
        """Write the points that are new, and the gains that were missing when their points were written."""
        new: list[Point] = []
        for point in self._source.points(trial):
            if point.task not in record.points(trial):
                new.append(point)
            elif GAIN in point.values and point.task not in record.gains(trial):
                new.append(Point(task=point.task, values={GAIN: point.values[GAIN]}))
        if new:
            self._open.add(trial)
            sink.write(self._source.run(trial), new)
            gains = [point.task for point in new if GAIN in point.values]
            record.add(trial, points=[point.task for point in new], gains=gains)

    def _end(self, sink: Sink, record: Record, trial: str) -> None:
        how = self._source.ended.get(trial, "open")
        sink.end(self._source.run(trial), how)
        self._open.discard(trial)
        if how != "open":
            record.add(trial, ended=True)


_SECONDS = 1.0
"""Between looks at the log."""
