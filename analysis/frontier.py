"""The accumulation-retention frontier of a study: configs, hull and methods, each number with its interval.

All statistics are of means over blocks. Whatever is not linear in them (the gain, an area) gets its interval from the
delete-one-block jackknife: a block is taken away from the configs AND from both anchors, so noise they share cancels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import pareto
from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.configs import ALONE, PLAIN, AxisValue, Config, configs_of
from analysis.plane.anchors import Anchor, anchors_of
from analysis.plane.points import Points, jackknife
from analysis.tables.tables import Tables
from analysis.uncertainty import Estimate, estimate, honest_choice, leave_one_out_means

MIN_SLIDE = 0.1
"""The least share of joint training's learning at which a config counts as one that learned."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One config over all blocks. `number` orders configs by gain (without one: by GM) and names them in figures."""

    number: int
    config: Config
    aka: Estimate
    azs: Estimate
    gm: Estimate
    gain: Estimate | None
    slide: float | None
    cost_flops: float | None
    cost_mafs: float | None
    wall_s: float | None
    on_front: bool

    @property
    def point(self) -> tuple[float, float]:
        """(AKA, AZS)."""
        return self.aka.value, self.azs.value


@dataclass(frozen=True, kw_only=True)
class Vertex:
    """A vertex of the routing hull: best for anyone who pays `low` to `high` AZS per AKA (None: any price above).

    `result` is None for the zero-shot point itself.
    """

    result: Result | None
    point: tuple[float, float]
    low: float
    high: float | None


@dataclass(frozen=True, kw_only=True)
class MethodSummary:
    """The configs of one approach and timeline; rank, w and lr are its dials.

    `best` has the largest gain (without one: GM) among those that learned, or of all if none did (`learned`).
    `rows` are its configs in the order of results. `honest_gain` is that of configs chosen like `best`, for every block
    on the other ones.
    `relative_mafs` and `relative_wall_s` are the best config's MAFs and the configs' mean time as shares of those of
    full fine-tuning with the same timeline, or without merging.
    """

    approach: str
    group: str
    timeline: str | None
    timeline_name: str
    best: Result
    learned: bool
    rows: tuple[int, ...]
    honest_gain: Estimate | None
    mean_wall_s: float | None
    relative_mafs: float | None
    relative_wall_s: float | None

    @property
    def name(self) -> str:
        """Approach and timeline in words."""
        if self.timeline in (None, PLAIN):
            return self.approach
        return f"{self.approach}, {self.timeline_name}"


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The learner with the largest gain, and the honest gain: the choice is scored on a block it was not made on.

    `candidates` is the number of learners that it was chosen from (see `learners`).
    """

    result: Result
    candidates: int
    honest_gain: Estimate | None
    agreeing_blocks: int
    runner_up: Result | None
    lead: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Values (configs in the order of `Frontier.results`, blocks) whose means and differences are tested.

    For AKA, AZS and GM these are plain block values, for the gain jackknife pseudo-values (None if it is undefined).
    The zero-shot point is (blocks, 2). `learned` says, for each config and block, whether it learned according to the
    OTHER blocks (None if nothing says how much that is). `paths` is AKA and AZS after every task, from zero-shot on
    (configs, blocks, tasks + 1, 2); None where configs have other numbers of tasks.
    """

    aka: FloatArray
    azs: FloatArray
    gm: FloatArray
    gain: FloatArray | None
    zero_shot: FloatArray
    learned: BoolArray | None
    paths: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """Everything the report says about final points; `points` has its configs in the order of `results`.

    `no_gain` is the reason why gains are None.
    """

    zero_shot: Anchor
    joint: Anchor | None
    no_gain: str | None
    blocks: tuple[str, ...]
    results: tuple[Result, ...]
    hull: tuple[Vertex, ...]
    methods: tuple[MethodSummary, ...]
    winner: Winner | None
    points: Points
    samples: Samples
    warnings: tuple[str, ...]

    @property
    def headline(self) -> Result:
        """The config that the report is about: the one with the largest gain that learned, else no. 1."""
        return self.results[0] if self.winner is None else self.winner.result

    @property
    def on_different_data(self) -> bool:
        """Whether configs were trained on different data sets alone, so that none may be chosen over another."""
        return len({result.config.axes.get(ALONE) for result in self.results if result.config.trained}) > 1

    @property
    def front(self) -> tuple[Result, ...]:
        """The Pareto set by rising AKA."""
        return tuple(sorted((r for r in self.results if r.on_front), key=lambda r: (r.aka.value, r.number)))


def build_frontier(tables: Tables) -> Frontier:
    """Evaluate a study's tables."""
    final = _final_rows(tables)
    trials = final[final["kind"] == "trial"]
    configs = configs_of(tables.trials[tables.trials["kind"] == "trial"], tables.roles)
    ids = [config.config_id for config in configs]
    columns = {name: _matrix(trials, name, ids, tables.blocks) for name in ("aka", "azs", "gm")}
    anchors = anchors_of(tables, final)
    points = Points(
        x=columns["aka"],
        y=columns["azs"],
        zero_shot=anchors.zero_shot_blocks,
        joint=anchors.joint_blocks if anchors.no_line is None else None,
    )
    gains = None if points.joint is None else jackknife(points, lambda means: means.gain)
    slide_C = None if points.joint is None else points.means().slide

    on_front = _on_front(points) & np.array([config.trained for config in configs])
    costs = trials.groupby("config_id")[["cost_flops", "cost_mafs", "wall_s"]].mean().reindex(ids)
    headline = gains.value if gains is not None else columns["gm"].mean(axis=1)
    order = sorted(range(len(configs)), key=lambda c: (-headline[c], configs[c].label))
    results = tuple(
        Result(
            number=number,
            config=configs[c],
            aka=estimate(columns["aka"][c]),
            azs=estimate(columns["azs"][c]),
            gm=estimate(columns["gm"][c]),
            gain=None if gains is None else estimate(gains.pseudo[c], value=gains.value[c]),
            slide=None if slide_C is None else float(slide_C[c]),
            cost_flops=_number(costs["cost_flops"].iloc[c]),
            cost_mafs=_number(costs["cost_mafs"].iloc[c]),
            wall_s=_number(costs["wall_s"].iloc[c]),
            on_front=bool(on_front[c]),
        )
        for number, c in enumerate(order, start=1)
    )
    points = points.rows(order)
    samples = Samples(
        aka=points.x,
        azs=points.y,
        gm=columns["gm"][order],
        gain=None if gains is None else gains.pseudo[order],
        zero_shot=points.zero_shot,
        learned=None if points.joint is None else _learned(points),
        paths=_paths(tables, [ids[row] for row in order]),
    )
    return Frontier(
        zero_shot=anchors.zero_shot,
        joint=anchors.joint,
        no_gain=anchors.no_line,
        blocks=tables.blocks,
        results=results,
        hull=_hull(results, anchors.zero_shot),
        methods=_methods(results, samples),
        winner=_winner(results, samples),
        points=points,
        samples=samples,
        warnings=(*anchors.warnings, *_rising_line_warning(points), *_extrapolation_warning(results)),
    )


def axes_in_use(frontier: Frontier) -> Mapping[str, tuple[AxisValue, ...]]:
    """The values of every axis that applies somewhere, for the report's summary of what was varied."""
    names = frontier.results[0].config.axes
    found = {
        name: sorted(
            {r.config.axes[name] for r in frontier.results} - {None}, key=lambda value: (str(type(value)), value)
        )
        for name in names
    }
    return {name: tuple(values) for name, values in found.items() if values}


def shown_methods(frontier: Frontier) -> tuple[MethodSummary, ...]:
    """The methods that train anything (all, if none does); a method that trains nothing is the zero-shot point."""
    return tuple(method for method in frontier.methods if method.best.config.trained) or frontier.methods


def _final_rows(tables: Tables) -> pd.DataFrame:
    """Each trial's last task, with what the trial was."""
    last = tables.ends.loc[tables.ends.groupby("trial")["task"].idxmax()]
    return last.merge(tables.trials[["trial", "kind", "config_id", "block", "method"]], on="trial", validate="1:1")


def _matrix(rows: pd.DataFrame, column: str, ids: Sequence[str], blocks: Sequence[str]) -> FloatArray:
    values_CS = np.full((len(ids), len(blocks)), np.nan)
    c, s = _places(rows["config_id"], ids), _places(rows["block"], blocks)
    kept = (c >= 0) & (s >= 0)
    values_CS[c[kept], s[kept]] = rows[column].to_numpy(dtype=float)[kept]
    assert np.isfinite(values_CS).all(), "tables are balanced when they are made"
    return values_CS


def _places(values: "pd.Series[str]", names: Sequence[str]) -> IntArray:
    """The place of each value among the names, -1 where it is not one of them."""
    return np.asarray(pd.Index(names).get_indexer(pd.Index(values)), dtype=np.int64)


def _paths(tables: Tables, ids: Sequence[str]) -> FloatArray | None:
    """AKA and AZS (configs, blocks, tasks + 1, 2), if every config was evaluated after every task of as many."""
    rows = tables.tasks.merge(tables.trials[["trial", "config_id", "block"]], on="trial")
    c, s = _places(rows["config_id"], ids), _places(rows["block"], tables.blocks)
    kept = (c >= 0) & (s >= 0)
    task = rows["task"].to_numpy(dtype=np.int64)[kept]
    if len(np.unique(task)) != task.max() + 1:
        return None
    paths = np.full((len(ids), len(tables.blocks), task.max() + 1, 2), np.nan)
    paths[c[kept], s[kept], task] = rows[["aka", "azs"]].to_numpy(dtype=float)[kept]
    return paths if np.isfinite(paths).all() else None


def _learned(points: Points) -> BoolArray:
    """Whether each config (C, S) reached the least slide, judged without the block (with one block: on it)."""
    assert points.joint is not None
    x_CS, z_S, j_S = points.x, points.zero_shot[:, 0], points.joint[:, 0]
    if x_CS.shape[1] > 1:
        x_CS = leave_one_out_means(x_CS).T
        z_S, j_S = leave_one_out_means(z_S), leave_one_out_means(j_S)
    return np.asarray((x_CS - z_S) / (j_S - z_S) >= MIN_SLIDE)


def _on_front(points: Points) -> BoolArray:
    """Whether neither the means of another config nor the zero-shot point, which is free, dominate each config."""
    x = np.append(points.x.mean(axis=1), points.zero_shot[:, 0].mean())
    y = np.append(points.y.mean(axis=1), points.zero_shot[:, 1].mean())
    return pareto.nondominated(x, y)[:-1]


def _hull(results: Sequence[Result], zero_shot: Anchor) -> tuple[Vertex, ...]:
    results = [result for result in results if result.config.trained]
    x = np.array([zero_shot.point[0], *(result.point[0] for result in results)])
    y = np.array([zero_shot.point[1], *(result.point[1] for result in results)])
    vertices = pareto.hull(x, y)
    low, high = pareto.prices(x[vertices], y[vertices])
    return tuple(
        Vertex(
            result=None if v == 0 else results[v - 1],
            point=(float(x[v]), float(y[v])),
            low=float(low[i]),
            high=float(high[i]) if math.isfinite(high[i]) else None,
        )
        for i, v in enumerate(vertices.tolist())
    )


def _methods(results: Sequence[Result], samples: Samples) -> tuple[MethodSummary, ...]:
    """One summary per approach and timeline, in the order of their best configs."""
    groups: dict[tuple[str, str | None], list[int]] = {}
    for row, result in enumerate(results):
        groups.setdefault((result.config.approach, result.config.timeline), []).append(row)
    best = {key: rows[learners([results[row] for row in rows])[0]] for key, rows in groups.items()}
    seconds = {key: _mean([results[row].wall_s for row in rows]) for key, rows in groups.items()}
    plain = {key[1]: key for key, rows in groups.items() if results[rows[0]].config.is_full}
    found = []
    for (approach, timeline), rows in sorted(groups.items(), key=lambda item: best[item[0]]):
        key, first = (approach, timeline), results[best[approach, timeline]]
        full = next((plain[other] for other in (timeline, PLAIN) if other in plain), None)
        summary = MethodSummary(
            approach=approach,
            group=first.config.group,
            timeline=timeline,
            timeline_name=first.config.timeline_name,
            best=first,
            learned=first.slide is None or first.slide >= MIN_SLIDE,
            rows=tuple(rows),
            honest_gain=_honest_gain(samples, rows),
            mean_wall_s=seconds[key],
            relative_mafs=None if full is None else _share(first.cost_mafs, results[best[full]].cost_mafs),
            relative_wall_s=None if full is None else _share(seconds[key], seconds[full]),
        )
        found.append(summary)
    return tuple(found)


def _honest_gain(samples: Samples, rows: Sequence[int]) -> Estimate | None:
    return None if samples.gain is None or samples.gain.shape[1] < 2 else estimate(honest_values(samples, rows))


def honest_values(samples: Samples, rows: Sequence[int]) -> FloatArray:
    """Gain (GM where it is undefined) of the best of some configs (blocks,), for every block chosen on the others.

    The best has the largest value among those that learned; with one block it is scored on the block that chose it.
    """
    chosen = list(rows)
    values_RS = (samples.gm if samples.gain is None else samples.gain)[chosen]
    eligible = None if samples.learned is None else samples.learned[chosen]
    picked_S = honest_choice(values_RS, eligible_CS=eligible)
    return np.asarray(values_RS[picked_S, np.arange(values_RS.shape[1])], dtype=float)


def learners(results: Sequence[Result]) -> list[int]:
    """Rows of the results that learned at least a tenth of what joint training learns.

    A config that learns nothing also forgets nothing: it sits at the zero-shot point with a gain of about zero, and
    must not win by that. Where no config learned so much, or nothing says how much that is, all rows stay. They are in
    the order of the results, but first comes the first one that no other of them beats in both AKA and AZS: where joint
    training retains more than zero-shot, the line rises, and the largest gain may be that of a beaten config.
    """
    rows = [row for row, result in enumerate(results) if result.slide is not None and result.slide >= MIN_SLIDE]
    rows = rows or list(range(len(results)))
    unbeaten = pareto.nondominated([results[row].aka.value for row in rows], [results[row].azs.value for row in rows])
    first = rows[int(np.argmax(unbeaten))]
    return [first, *(row for row in rows if row != first)]


def _winner(results: Sequence[Result], samples: Samples) -> Winner | None:
    """The learner with the largest gain, if gains exist; its lead over the second is paired."""
    if samples.gain is None:
        return None
    rows = learners(results)
    gain_CS = samples.gain[rows]
    n = gain_CS.shape[1]
    chosen_S = honest_choice(gain_CS)
    first, second = results[rows[0]], results[rows[1]] if len(rows) > 1 else None
    lead = None
    if second is not None and first.gain is not None and second.gain is not None:
        lead = estimate(gain_CS[0] - gain_CS[1], value=first.gain.value - second.gain.value)
    return Winner(
        result=first,
        candidates=len(rows),
        honest_gain=estimate(gain_CS[chosen_S, np.arange(n)]) if n > 1 else None,
        agreeing_blocks=int(np.sum(chosen_S == 0)) if n > 1 else 0,
        runner_up=second,
        lead=lead,
    )


def _rising_line_warning(points: Points) -> list[str]:
    if points.joint is None or points.joint[:, 1].mean() <= points.zero_shot[:, 1].mean():
        return []
    return [
        "The joint model retains more than the zero-shot model, so the line rises: a gain says how much more than "
        "routing between these two a config retains, and may be largest where little was learned. Chosen is the config "
        "with the largest gain among those that no other beats in both."
    ]


def _extrapolation_warning(results: Sequence[Result]) -> list[str]:
    outside = [r.number for r in results if r.slide is not None and not 0.0 <= r.slide <= 1.0]
    if not outside:
        return []
    shown = ", ".join(str(number) for number in outside[:10]) + (" and more" if len(outside) > 10 else "")
    return [f"{len(outside)} configs lie outside the anchors' AKA range, where the line is extended (no. {shown})."]


def _number(value: object) -> float | None:
    number = float(value) if isinstance(value, int | float) else math.nan
    return number if math.isfinite(number) else None


def _share(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else value / whole


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
