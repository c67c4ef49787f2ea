"""The stability gap: by hand, over tasks and blocks, and absent where nothing was evaluated within tasks."""

import pandas as pd
import pytest

from analysis.frontier import build_frontier
from analysis.tables.contract import TableError
from analysis.tables.loading import make_tables
from analysis.tables.tables import Tables
from analysis.tasks.trajectories import stability_gaps
from tests.analysis.worlds import World, frames

WORLD = World(tasks=2, blocks=3, rates=(1e-4,), timelines=("finetune",), learned={("full", None): 0.5})


def tables_with(drop: float) -> Tables:
    """Within every task AZS falls `drop` below what was served before it, and twice that in the first."""
    found = frames(WORLD)
    rows = found["tasks"].merge(found["trials"][["trial", "kind"]], on="trial")
    rows = rows[rows["kind"] == "trial"]
    inside = [
        {"trial": trial, "task": task + 1, "step": step, "fraction": step / 4, "aka": 0.5, "gm": 0.5}
        | {"azs": azs - (2 if task == 0 else 1) * drop * share}
        for trial, task, azs in rows[["trial", "task", "azs"]].to_numpy().tolist()
        if task < 2
        for step, share in ((1, 1.0), (2, 0.5))
    ]
    return make_tables(found["trials"], found["tasks"], found["scores"], pd.DataFrame(inside), name="s")


def test_gap_by_hand() -> None:
    tables = tables_with(0.04)
    (gap,) = stability_gaps(tables, build_frontier(tables).results)
    assert gap.loss.value == pytest.approx(0.06)
    assert gap.first_loss.value == pytest.approx(0.08)
    assert gap.loss.half_width == pytest.approx(0, abs=1e-9)
    served = tables.tasks.merge(tables.trials[["trial", "kind"]], on="trial").query("kind == 'trial'")
    azs = served.pivot(index="trial", columns="task", values="azs")
    regained = ((azs[1] - azs[0] + 0.08) + (azs[2] - azs[1] + 0.04)) / 2
    assert gap.regained.value == pytest.approx(regained.mean())


def test_studies_without_evaluations_within_tasks_have_no_gap() -> None:
    found = frames(WORLD)
    tables = make_tables(found["trials"], found["tasks"], found["scores"], name="s")
    assert stability_gaps(tables, build_frontier(tables).results) == ()


def test_a_table_that_lacks_columns_is_refused() -> None:
    found = frames(WORLD)
    with pytest.raises(TableError, match="inside: missing columns"):
        make_tables(found["trials"], found["tasks"], found["scores"], pd.DataFrame({"trial": ["a"]}), name="s")
