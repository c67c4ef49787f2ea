"""Peak bytes, by hand for plans that are small enough."""

from typing import Any

import pytest

from study.definition.study import StudyDefinition
from study.planning.plan import Plan, make_plan
from study.planning.store_peak import peak_bytes
from trainables.frozen import parse
from trainables.workloads.catalogue import identify


def plan(*grids: dict[str, Any], tasks: int = 5) -> Plan:
    value = {
        "name": "p",
        "workload": {"name": "pocket", "pool": 512},
        "fixed": {"tasks": tasks, "steps": 2, "batch_size": 32, "lr": 1e-3},
        "grid": list(grids),
        "joint": None,
    }
    return make_plan(parse(StudyDefinition, value, source="p.yaml"), "p.yaml")


FULL, EMA = {"method": "full"}, {"method": "full", "timeline": "ema", "w": 0.5}
TWO = {"method": "full", "lr": [1e-3, 1e-2]}


@pytest.mark.parametrize(
    ("grids", "workers", "needed", "final", "everything"),
    [
        ([FULL], 1, 2, 2, 5),  # an update and the one that it starts from
        ([{"method": "lnfit"}], 1, 5, 5, 5),  # differences, each to the one before
        ([EMA], 1, 5, 5, 5),
        ([FULL, EMA], 1, 6, 6, 9),  # the last of the first, and a chain; both may be on the frontier
        ([TWO], 1, 3, 3, 10),
        ([TWO], 2, 4, 4, 10),  # side by side
        ([{"method": "full", "lr": [1e-3, 2e-3, 3e-3, 4e-3, 5e-3]}], 1, 5, 6, 25),  # 3 of 5 on the frontier
    ],
)
def test_peaks_by_hand(grids: list[dict[str, Any]], workers: int, needed: int, final: int, everything: int) -> None:
    found = plan(*grids)
    identity = identify(found.trials[0].trial.config.workload)
    assert peak_bytes(found, lambda _: 1, identity=identity, workers=workers) == {
        "needed": needed,
        "final": final,
        "all": everything,
    }
