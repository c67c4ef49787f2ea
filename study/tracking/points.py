"""What there is to show of a study: its trials as runs, and their points, from plan, store and log."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.space import AXES
from study.folder.folder import Folder
from study.folder.log import Log
from study.planning.plan import PlannedTrial, stored_keys
from study.planning.trials import JOINT, Row
from study.results.gain import Anchors, Line
from study.results.labels import describe, varying
from study.results.reader import Results
from study.results.tables import trial_row
from study.tracking.tracker import End, Point, Run


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The trials of a study as it is planned now, by id; `joints` are the joint anchors of each block."""

    study: str
    planned: Mapping[str, PlannedTrial]
    rows: Mapping[str, Row]
    varying: tuple[str, ...]
    joints: Mapping[str, list[str]]


class Trials:
    """The trials of a study with the values that were read of them, shared by all its trackers.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._changed: tuple[int, ...] = ()
        self.results = Results(folder.store())
        self.now = self._planned_again()

    def knows(self, trial: str) -> bool:
        """Whether the plan has a trial; a search grows while it runs."""
        with self._lock:
            if trial not in self.now.planned and self._folder.changed() != self._changed:
                self.now = self._planned_again()
        return trial in self.now.planned

    def _planned_again(self) -> Shown:
        self._changed = self._folder.changed()
        planned = {one.trial.id: one for one in self._folder.plan().trials}
        rows = {name: trial_row(one, "waiting") for name, one in planned.items()}
        joints = defaultdict(list)
        for name, row in rows.items():
            if row["method"] == JOINT:
                joints[row["block"]].append(name)
        return Shown(
            study=self._folder.definition().name,
            planned=planned,
            rows=rows,
            varying=varying(row for row in rows.values() if row["kind"] == "trial"),
            joints=joints,
        )


class Source:
    """What one tracker may show of a study, and what of that is new.

    Args:
        folder: of the study.
        trials: of the study.
    """

    def __init__(self, folder: Folder, trials: Trials) -> None:
        self._folder, self._trials = folder, trials
        self._log = Log(folder.log_file)
        self._reached: dict[str, int] = {}
        self.ended: dict[str, End] = {}

    @property
    def _now(self) -> Shown:
        return self._trials.now

    def catch_up(self) -> list[str]:
        """All trials with scores in the store, by one listing; lines of the log until now are no news after that."""
        for _ in self._log.new():
            pass
        have = stored_keys(self._folder.store())
        for name, planned in self._now.planned.items():
            for step in planned.steps:
                if step.scores not in have.scores:
                    break
                self._reached[name] = step.task
            if planned.is_done(have):
                self.ended[name] = "done"
        return [name for name in self._now.planned if name in self._reached]

    def news(self) -> list[str]:
        """Trials with news in the log since the last call, and trials whose gain has become known by that."""
        told: dict[str, None] = {}
        for row in self._log.new():
            if "trial" in row and self._takes(row):
                told[str(row["trial"])] = None
        blocks = {self._now.rows[name]["block"] for name in told if self._now.rows[name]["method"] == JOINT}
        late = [name for name in self._reached if self._now.rows[name]["block"] in blocks and name not in told]
        return [*told, *late]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return all(self.ended.get(name) == "done" for name in self._now.planned)

    def run(self, trial: str) -> Run:
        """A trial as trackers show it."""
        row = self._now.rows[trial]
        of = {"kind": row["kind"], "method": row["method"], "timeline": row["timeline"] or "-"}
        return Run(
            trial=trial,
            label="-".join([row["method"], *([row["timeline"]] if row["timeline"] else []), row["block"], trial]),
            name=f"{describe(row, self._now.varying)} {row['block']}",
            study=self._now.study,
            params={**{n: row[n] for n in AXES if row[n] is not None}, "seed": row["seed"], "order": row["order"]},
            tags={**of, "config_id": row["config_id"], "block": row["block"]},
        )

    def points(self, trial: str) -> Iterator[Point]:
        """What is known of a trial, task by task."""
        planned, line = self._now.planned[trial], self._line(self._now.rows[trial]["block"])
        cost, passes = self._trials.results.cost(planned.cost), 0
        for step in planned.steps[: self._reached[trial] + 1]:
            passes += step.passes
            scores = self._trials.results.summary(step.scores)
            if scores is None or cost is None:
                return
            values = {
                **scores._asdict(),
                "cost_mafs": float(passes * cost.mafs),
                "cost_flops": float(passes * cost.flops),
            }
            gain = {} if line is None else {"gain": 100 * line.gain(scores.aka, scores.azs)}
            yield Point(task=step.task, values={**values, **gain})

    def awaits_gain(self, trial: str) -> bool:
        """Whether the gain of a trial is still to come in this run."""
        return any(joint not in self.ended for joint in self._now.joints.get(self._now.rows[trial]["block"], ()))

    # -- what changes --------------------------------------------------------------------------------------------------

    def _takes(self, row: Mapping[str, Any]) -> bool:
        """Take a line of the log about a trial; returns whether there is something new to show of it."""
        trial = str(row["trial"])
        if not self._trials.knows(trial):
            return False
        if row["event"] == "task":
            self._reached[trial] = max(row["task"], self._reached.get(trial, 0))
        elif row["event"] in _ENDS:
            self.ended[trial] = _ENDS[row["event"]]
        elif row["event"] == "trial_started":
            self.ended.pop(trial, None)
        return trial in self._reached

    def _line(self, block: str) -> Line | None:
        """The line of a block, once its joint anchors are done; of several, the one that learned the most counts."""
        joints = [self._now.planned[name] for name in self._now.joints.get(block, ())]
        if not joints or any(self.ended.get(planned.trial.id) != "done" for planned in joints):
            return None
        ends = [
            end for planned in joints if (end := self._trials.results.summary(planned.steps[-1].scores)) is not None
        ]
        start = self._trials.results.summary(joints[0].steps[0].scores)
        if start is None or not ends:
            return None
        return Anchors(zero_shot={block: start}, joint={block: max(ends, key=lambda end: end.aka)}).line([block])


_ENDS: Mapping[str, End] = {"trial_done": "done", "trial_stopped": "done", "trial_failed": "failed"}
