"""report.json: every number of the report. Accuracies are fractions, names that end in `_points` are in points."""

import csv
import io
from collections.abc import Mapping, Sequence

from analysis.anchors import Anchor
from analysis.findings import Finding
from analysis.frontier import MIN_SLIDE, Frontier, MethodSummary, Result, Vertex, axes_in_use
from analysis.tables import Tables
from analysis.trajectories import DatasetChange, StabilityGap, Trajectory
from analysis.uncertainty import LEVEL, Estimate
from analysis.wording import Answer

SCHEMA = 2
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Row = dict[str, Json]


def record_of(
    tables: Tables,
    frontier: Frontier,
    *,
    answers: Sequence[Answer],
    findings: Sequence[Finding],
    paths: Sequence[Trajectory],
    changes: Sequence[DatasetChange],
    gaps: Sequence[StabilityGap],
) -> Row:
    """The whole report as plain data."""
    return {
        "schema": SCHEMA,
        "study": {"name": tables.name, "counts": dict(tables.counts), "axes": _axes(frontier)},
        "statistics": {
            "blocks": list(frontier.blocks),
            "level": LEVEL,
            "intervals": "delete-one-block jackknife, Student t with blocks - 1 degrees of freedom",
        },
        "anchors": {
            "zero_shot": _anchor(frontier.zero_shot),
            "joint": None if frontier.joint is None else _anchor(frontier.joint),
        },
        "line": {"slope": _slope(frontier), "no_gain_reason": frontier.no_gain},
        "answers": [{"question": answer.question, "text": answer.text} for answer in answers],
        "winner": _winner(frontier),
        "configs": config_rows(frontier.results),
        "pareto_set": [result.number for result in frontier.front],
        "hull": hull_rows(frontier.hull),
        "methods": method_rows(frontier.methods),
        "findings": [_finding(finding) for finding in findings],
        "trajectories": [_trajectory(path) for path in paths],
        "datasets": {"config": frontier.headline.number, "rows": dataset_rows(changes)},
        "within_tasks": gap_rows(gaps),
        "left_out": [
            {"trial": item.trial, "config_id": item.config_id, "block": item.block, "reason": item.reason}
            for item in tables.left_out
        ],
        "warnings": [*tables.warnings, *frontier.warnings],
    }


def config_rows(results: Sequence[Result]) -> list[Row]:
    """One row per config."""
    return [
        {
            "number": result.number,
            "config_id": result.config.config_id,
            "label": result.config.label,
            **result.config.axes,
            **_spread("aka", result.aka),
            **_spread("azs", result.azs),
            **_spread("gm", result.gm),
            **_points("gain", result.gain),
            "slide": result.slide,
            "cost_flops": result.cost_flops,
            "cost_mafs": result.cost_mafs,
            "wall_s": result.wall_s,
            "on_front": result.on_front,
        }
        for result in results
    ]


def hull_rows(hull: Sequence[Vertex]) -> list[Row]:
    """One row per hull vertex; the zero-shot point has no number, the last vertex no upper price."""
    return [
        {
            "number": None if vertex.result is None else vertex.result.number,
            "label": "zero-shot model" if vertex.result is None else vertex.result.config.label,
            "aka_mean": vertex.point[0],
            "azs_mean": vertex.point[1],
            "price_low": vertex.low,
            "price_high": vertex.high,
        }
        for vertex in hull
    ]


def method_rows(methods: Sequence[MethodSummary]) -> list[Row]:
    """One row per family and timeline."""
    return [
        {
            "family": method.family,
            "group": method.group,
            "timeline": method.timeline,
            "configs": method.configs,
            "best_number": method.best.number,
            "best_label": method.best.config.label,
            "best_setting": method.best.config.setting,
            "learned": method.learned,
            **_spread("aka", method.best.aka),
            **_spread("azs", method.best.azs),
            **_spread("gm", method.best.gm),
            **_points("gain", method.best.gain),
            **_points("routing_gain", method.routing_gain),
            "cost_flops": method.best.cost_flops,
            "cost_mafs": method.best.cost_mafs,
            "mean_wall_s": method.mean_wall_s,
            "relative_mafs": method.relative_mafs,
            "relative_wall_s": method.relative_wall_s,
        }
        for method in methods
    ]


def gap_rows(gaps: Sequence[StabilityGap]) -> list[Row]:
    """One row per config that was evaluated within its tasks."""
    return [
        {
            "number": gap.result.number,
            "config_id": gap.result.config.config_id,
            **_points("loss", gap.loss),
            **_points("first_loss", gap.first_loss),
            **_points("regained", gap.regained),
        }
        for gap in gaps
    ]


def dataset_rows(changes: Sequence[DatasetChange]) -> list[Row]:
    """One row per dataset."""
    return [
        {
            "dataset": change.dataset,
            "group": change.group,
            "metric": change.metric,
            "n": change.n,
            "zero_shot": change.zero_shot,
            **_points("change", change.change),
            "joint_change_points": None if change.joint_change is None else 100 * change.joint_change,
        }
        for change in changes
    ]


def finding_rows(findings: Sequence[Finding]) -> list[Row]:
    """One row per comparison of every finding."""
    return [
        {
            "number": finding.number,
            "claim": finding.claim,
            "source": finding.source,
            "verdict": finding.verdict,
            "decisive": i < finding.decisive,
            **row,
        }
        for finding in findings
        for i, row in enumerate(_comparisons(finding) or [{}])
    ]


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV text with one header; nothing is rounded, None is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _anchor(anchor: Anchor) -> Row:
    return {**_spread("aka", anchor.aka), **_spread("azs", anchor.azs), **_spread("gm", anchor.gm)}


def _axes(frontier: Frontier) -> Row:
    return {name: list(values) for name, values in axes_in_use(frontier).items()}


def _slope(frontier: Frontier) -> float | None:
    if frontier.joint is None or frontier.no_gain is not None:
        return None
    (x_z, y_z), (x_j, y_j) = frontier.zero_shot.point, frontier.joint.point
    return (y_j - y_z) / (x_j - x_z)


def _winner(frontier: Frontier) -> Row | None:
    winner = frontier.winner
    if winner is None:
        return None
    return {
        "number": winner.result.number,
        **_points("gain", winner.result.gain),
        **_points("honest_gain", winner.honest_gain),
        "agreeing_blocks": winner.agreeing_blocks,
        "candidates": winner.candidates,
        "candidates_min_slide": MIN_SLIDE,
        "runner_up": None if winner.runner_up is None else winner.runner_up.number,
        **_points("lead", winner.lead),
    }


def _finding(finding: Finding) -> Row:
    return {
        "number": finding.number,
        "claim": finding.claim,
        "source": finding.source,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "decisive": finding.decisive,
        "comparisons": _comparisons(finding),
    }


def _comparisons(finding: Finding) -> list[Row]:
    return [
        {
            "scope": item.scope,
            "left": item.left,
            "right": item.right,
            "quantity": item.quantity,
            **_points("difference", item.difference),
            "pairs": item.pairs,
            "positive_pairs": item.positive_pairs,
            "margin_points": None if item.margin is None else 100 * item.margin,
            **_place("left", item.left_point),
            **_place("right", item.right_point),
            "comparison_verdict": item.verdict,
        }
        for item in finding.comparisons
    ]


def _trajectory(path: Trajectory) -> Row:
    return {
        "number": path.result.number,
        "tasks": list(path.tasks),
        "aka_mean": [value.value for value in path.aka],
        "aka_se": [value.se for value in path.aka],
        "azs_mean": [value.value for value in path.azs],
        "azs_se": [value.se for value in path.azs],
        "first_task_drop_points": 100 * path.first_task_drop,
        "lowest_azs": path.lowest_azs,
    }


def _place(name: str, point: tuple[float, float] | None) -> Row:
    aka, azs = (None, None) if point is None else point
    return {f"{name}_aka_mean": aka, f"{name}_azs_mean": azs}


def _spread(name: str, value: Estimate) -> Row:
    return {f"{name}_mean": value.value, f"{name}_se": value.se, f"{name}_half_width": value.half_width}


def _points(name: str, value: Estimate | None) -> Row:
    parts = (None, None, None) if value is None else (value.value, value.se, value.half_width)
    names = (f"{name}_points", f"{name}_se_points", f"{name}_half_width_points")
    return {key: None if part is None else 100 * part for key, part in zip(names, parts, strict=True)}
