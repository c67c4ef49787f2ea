"""Studies with axes of any kind, whose configs lie where a function of the axes says."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.configs import AxisValue
from analysis.frontier import Frontier, build_frontier
from analysis.tables.loading import make_tables

Axes = Mapping[str, AxisValue]

ZERO_SHOT, JOINT = (0.4, 0.7), (0.6, 0.62)
DEFAULTS: Axes = {"method": "full", "rank": None, "timeline": "finetune", "rule": None, "w": None, "lr": 1e-3}


def place(slide: float, lift: float) -> tuple[float, float]:
    """(AKA, AZS) a share of the way from zero-shot to joint, and a lift above the line, as a fraction."""
    (x, y), (end_x, end_y) = ZERO_SHOT, JOINT
    return x + slide * (end_x - x), y + slide * (end_y - y) + lift


def study_of(
    configs: Sequence[Axes],
    point: Callable[[Axes], tuple[float, float]],
    *,
    blocks: int = 3,
    noise_sd: float = 0.002,
    seed: int = 0,
    joint: bool = True,
    cost: Callable[[Axes], float] | None = None,
) -> Frontier:
    """The frontier of configs with independent noise in every block."""
    rng = np.random.default_rng(seed)
    anchors: list[Axes] = [{"method": "joint"}] if joint else []
    trials, tasks, scores = [], [], []
    for number, axes in enumerate([*configs, *anchors]):
        is_anchor = axes.get("method") == "joint"
        truth = JOINT if is_anchor else point(axes)
        for block in range(blocks):
            trial = f"{number:03}-{block}"
            trials.append(
                {**DEFAULTS, **axes, "trial": trial, "kind": "anchor" if is_anchor else "trial", "status": "done"}
                | {"config_id": f"{number:03}", "block": f"b{block}", "seed": block, "order": block}
            )
            end = np.array(truth) + rng.normal(0.0, 0.0 if is_anchor else noise_sd, 2)
            for task, aka, azs in ((0, *ZERO_SHOT), (1, float(end[0]), float(end[1]))):
                price = task * (1.0 if cost is None or is_anchor else cost(axes))
                tasks.append({"trial": trial, "task": task, "aka": aka, "azs": azs, "gm": float(np.sqrt(aka * azs))})
                tasks[-1] |= {"cost_flops": price, "cost_mafs": price, "wall_s": price}
                for dataset, value in (("adapt", aka), ("holdout", azs)):
                    scores.append({"trial": trial, "task": task, "dataset": dataset, "group": dataset, "value": value})
                    scores[-1] |= {"metric": "accuracy", "n": 1000}
    return build_frontier(make_tables(pd.DataFrame(trials), pd.DataFrame(tasks), pd.DataFrame(scores), name="surface"))
