"""report.json: every number of the report. Accuracies and their differences (gains, changes) are fractions.

An estimate `v` comes as v, v_se, v_low and v_high: its 95 % interval, None where the blocks are too few for one.
"""

import csv
import io
from collections.abc import Mapping, Sequence

from analysis.advice.decision import Against, Decision
from analysis.advice.recommend import Advice, Recommendation
from analysis.evaluation import DialPath, Evaluation, Followed
from analysis.findings.findings import Finding
from analysis.frontier import MIN_SLIDE, Frontier, Result, Vertex, axes_in_use
from analysis.importance import Importances
from analysis.plane.anchors import Anchor
from analysis.plane.areas import Areas
from analysis.plane.choices import Choice
from analysis.plane.dominance import MethodMatrix, MethodPair
from analysis.tasks.accuracies import Changes
from analysis.tasks.compute import AtBudget, MethodAtBudget
from analysis.tasks.trajectories import StabilityGap
from analysis.uncertainty import LEVEL, Estimate
from analysis.writing.answers import Answer

SCHEMA = 3
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Row = dict[str, Json]


def record_of(evaluation: Evaluation, answers: Sequence[Answer]) -> Row:
    """The whole report as plain data."""
    tables, frontier = evaluation.tables, evaluation.frontier
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
        "decision": _decision(evaluation.decision, frontier),
        "winner": _winner(frontier),
        "configs": config_rows(frontier.results),
        "pareto_set": [result.number for result in frontier.front],
        "hull": hull_rows(frontier.hull),
        "areas": _areas(evaluation.areas),
        "methods": method_rows(evaluation),
        "pairs": {"note": evaluation.matrix.note, "rows": pair_rows(evaluation.matrix)},
        "equal_compute": [_at_budget(one, frontier) for one in evaluation.compute.equal],
        "anytime": _anytime(evaluation),
        "importance": _importance(evaluation.importances),
        "dials": [_dial(one, frontier) for one in evaluation.dials],
        "findings": findings_record(evaluation.findings),
        "trajectories": [_followed(one) for one in evaluation.followed],
        "datasets": [] if evaluation.changes is None else dataset_rows(evaluation.changes),
        "within_tasks": gap_rows(evaluation.gaps),
        "next_trials": recommendation_record(evaluation.recommendation),
        "left_out": [
            {"trial": item.trial, "config_id": item.config_id, "block": item.block, "reason": item.reason}
            for item in tables.left_out
        ],
        "warnings": [*tables.warnings, *frontier.warnings],
    }


def table_rows(evaluation: Evaluation) -> dict[str, list[Row]]:
    """What is also written as a table of its own, by the table's name."""
    frontier = evaluation.frontier
    return {
        "configs": config_rows(frontier.results),
        "methods": method_rows(evaluation),
        "pairs": pair_rows(evaluation.matrix),
        "hull": hull_rows(frontier.hull),
        "findings": finding_rows(evaluation.findings),
        **({} if evaluation.changes is None else {"datasets": dataset_rows(evaluation.changes)}),
        **({"within_tasks": gap_rows(evaluation.gaps)} if evaluation.gaps else {}),
    }


def config_rows(results: Sequence[Result]) -> list[Row]:
    """One row per config."""
    return [
        {
            "number": result.number,
            "config_id": result.config.config_id,
            "label": result.config.label,
            **result.config.axes,
            **_estimate("aka", result.aka),
            **_estimate("azs", result.azs),
            **_estimate("gm", result.gm),
            **_estimate("gain", result.gain),
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
            "aka": vertex.point[0],
            "azs": vertex.point[1],
            "price_low": vertex.low,
            "price_high": vertex.high,
        }
        for vertex in hull
    ]


def method_rows(evaluation: Evaluation) -> list[Row]:
    """One row per approach and timeline; areas are shares of the box in `areas`."""
    frontier = evaluation.frontier
    areas = {area.name: area for area in evaluation.areas.methods}
    found: list[Row] = []
    for method, knee in zip(evaluation.methods, evaluation.knees, strict=True):
        area, best = areas.get(method.name), method.best
        at_knee = None if knee is None or knee.row is None else frontier.results[method.rows[knee.row]]
        found.append(
            {
                "method": best.config.axes["method"],
                "timeline": method.timeline,
                "name": method.name,
                "group": method.group,
                "configs": len(method.rows),
                "best_config": best.config.config_id,
                "best_number": best.number,
                "best_label": best.config.label,
                "best_setting": best.config.setting,
                "learned": method.learned,
                **_estimate("aka", best.aka),
                **_estimate("azs", best.azs),
                **_estimate("gm", best.gm),
                **_estimate("gain", best.gain),
                **_estimate("honest_gain", method.honest_gain),
                **_estimate("hull_area", None if area is None else area.hull),
                **_estimate("excess_area", None if area is None else area.excess),
                **_estimate("hypervolume", None if area is None else area.hypervolume),
                **_estimate("hull_area_at_k", None if area is None else area.hull_at_k),
                **_estimate("hypervolume_at_k", None if area is None else area.hypervolume_at_k),
                "outside_box": [] if area is None else [frontier.results[row].number for row in area.outside],
                "knee_config": None if at_knee is None else at_knee.config.config_id,
                "knee_number": None if at_knee is None else at_knee.number,
                "knee_price_low": None if knee is None else knee.low,
                "knee_price_high": None if knee is None else knee.high,
                "knee_stability": None if knee is None else knee.stability,
                "cost_flops": best.cost_flops,
                "cost_mafs": best.cost_mafs,
                "mean_wall_s": method.mean_wall_s,
                "relative_mafs": method.relative_mafs,
                "relative_wall_s": method.relative_wall_s,
            }
        )
    return found


def pair_rows(matrix: MethodMatrix) -> list[Row]:
    """One row per pair of methods: `a` minus `b`."""
    return [_pair(pair, matrix) for pair in matrix.pairs]


def gap_rows(gaps: Sequence[StabilityGap]) -> list[Row]:
    """One row per config that was evaluated within its tasks."""
    return [
        {
            "number": gap.result.number,
            "config_id": gap.result.config.config_id,
            **_estimate("loss", gap.loss),
            **_estimate("first_loss", gap.first_loss),
            **_estimate("regained", gap.regained),
        }
        for gap in gaps
    ]


def dataset_rows(changes: Changes) -> list[Row]:
    """One row per dataset and config that is followed; the joint model is among them."""
    return [
        {
            "config_id": config_id,
            "dataset": dataset.name,
            "group": dataset.group,
            "metric": dataset.metric,
            "n": dataset.n,
            "zero_shot": float(start),
            **_estimate("change", change),
        }
        for config_id, row in zip(changes.config_ids, changes.rows, strict=True)
        for dataset, start, change in zip(changes.datasets, changes.zero_shot, row, strict=True)
    ]


def recommendation_record(recommendation: Recommendation) -> Row:
    """The next trials, and why there are not more of them."""
    return {
        "cost_unit": recommendation.cost_unit,
        **_estimate("area", recommendation.area),
        "items": [_advice(item) for item in recommendation.items],
        "refused": [{"scope": one.scope, "reason": one.reason} for one in recommendation.refused],
        "models": [
            {
                "scope": model.scope,
                "configs": model.configs,
                "coverage": list(model.coverage),
                "inflation": list(model.inflation),
                "r2": list(model.r2),
            }
            for model in recommendation.models
        ],
    }


def finding_rows(findings: Sequence[Finding]) -> list[Row]:
    """One row per comparison of every finding."""
    return [
        {
            "number": finding.number,
            "claim": finding.claim,
            "source": finding.source,
            "verdict": finding.verdict,
            "p_value": finding.p_value,
            "p_adjusted": finding.adjusted,
            "blocks_needed": finding.blocks_needed,
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
    return {**_estimate("aka", anchor.aka), **_estimate("azs", anchor.azs), **_estimate("gm", anchor.gm)}


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
        **_estimate("gain", winner.result.gain),
        **_estimate("honest_gain", winner.honest_gain),
        "agreeing_blocks": winner.agreeing_blocks,
        "candidates": winner.candidates,
        "candidates_min_slide": MIN_SLIDE,
        "runner_up": None if winner.runner_up is None else winner.runner_up.number,
        **_estimate("lead", winner.lead),
    }


def findings_record(findings: Sequence[Finding]) -> list[Row]:
    """Every finding with its comparisons."""
    return [_finding(finding) for finding in findings]


def _finding(finding: Finding) -> Row:
    return {
        "number": finding.number,
        "claim": finding.claim,
        "rule": finding.rule,
        "source": finding.source,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "missing": list(finding.missing),
        "p_value": finding.p_value,
        "p_adjusted": finding.adjusted,
        "stands": finding.stands,
        "compared": finding.compared,
        "config_ids": list(finding.config_ids),
        "blocks_needed": finding.blocks_needed,
        "blocks_configs": list(finding.blocks_configs),
        "advice": finding.advice,
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
            **_estimate("difference", item.difference),
            "pairs": item.pairs,
            "positive_pairs": item.positive_pairs,
            "margin": item.margin,
            **_place("left", item.left_point),
            **_place("right", item.right_point),
            "comparison_verdict": item.verdict,
        }
        for item in finding.comparisons
    ]


def _followed(one: Followed) -> Row:
    path = one.path
    return {
        "number": one.result.number,
        "config_id": one.result.config.config_id,
        "tasks": list(path.tasks),
        "aka": [value.value for value in path.aka],
        "aka_se": [value.se for value in path.aka],
        "azs": [value.value for value in path.azs],
        "azs_se": [value.se for value in path.azs],
        "metrics": {
            name: {**_estimate("value", metric.estimate), "reason": metric.reason}
            for name, metric in one.metrics.items()
        },
        "forecasts": {
            str(kind): {
                "law": None
                if forecast.law is None
                else {
                    "start": forecast.law.start,
                    "amount": forecast.law.amount,
                    "scale": forecast.law.scale,
                    "exponent": forecast.law.exponent,
                },
                "reason": forecast.reason,
                "error": forecast.error,
                "last_value_error": forecast.last_value_error,
                "scored": forecast.scored,
            }
            for kind, forecast in one.forecasts.items()
        },
    }


def _decision(decision: Decision, frontier: Frontier) -> Row:
    return {
        "config": decision.headline.config.config_id,
        "number": decision.headline.number,
        "against_plain": _against(decision.baseline),
        "against_runner_up": _against(decision.runner_up),
        "max_loss": decision.max_loss,
        "most_learned": _choice(decision.at_loss, frontier),
        "min_learned": decision.min_learned,
        "least_lost": None if decision.at_learning is None else _choice(decision.at_learning, frontier),
    }


def _against(against: Against | None) -> Row | None:
    if against is None:
        return None
    split = against.dominance.split
    return {
        "number": against.other.number,
        **_estimate("difference", against.difference),
        "relative_mafs": against.relative_cost,
        "learns_and_keeps_more": None if split is None else split.a_dominates,
        "learns_more": None if split is None else split.a_learns_more,
        "keeps_more": None if split is None else split.a_retains_more,
        "learns_and_keeps_less": None if split is None else split.b_dominates,
        "reason": against.dominance.reason,
    }


def _choice(choice: Choice, frontier: Frontier) -> Row:
    return {
        "number": None if choice.row is None else frontier.results[choice.row].number,
        **_estimate("learned", choice.learned),
        **_estimate("lost", choice.lost),
        **_estimate("honest_learned", choice.honest_learned),
        **_estimate("honest_lost", choice.honest_lost),
        "agreeing_blocks": choice.agreeing_blocks,
        "eligible": choice.eligible,
        "reason": choice.no_row,
    }


def _areas(areas: Areas) -> Row:
    box = areas.box
    return {
        "reason": areas.no_areas,
        "reference_aka": None if box is None else box.left,
        "reference_azs": None if box is None else box.bottom,
        "box_area": None if box is None else box.area,
        "k": areas.k,
        **_estimate("line", areas.line),
    }


def _pair(pair: MethodPair, matrix: MethodMatrix) -> Row:
    split = None if pair.dominance is None else pair.dominance.split
    return {
        "a": matrix.names[pair.a],
        "b": matrix.names[pair.b],
        **_estimate("difference", pair.difference),
        "p_value": pair.p,
        "p_holm": pair.holm,
        "a_better": pair.a_better,
        "a_dominates": None if split is None else split.a_dominates,
        "b_dominates": None if split is None else split.b_dominates,
        "a_learns_more": None if split is None else split.a_learns_more,
        "a_retains_more": None if split is None else split.a_retains_more,
        "reason": pair.reason,
    }


def _at_budget(equal: AtBudget, frontier: Frontier) -> Row:
    def row(one: MethodAtBudget) -> Row:
        return {
            "method": one.method,
            "number": frontier.results[one.row].number,
            "learned": one.learned,
            "tasks": one.tasks,
            "tasks_in_stream": one.tasks_in_stream,
            "cost": one.cost,
            **_estimate("aka", one.aka),
            **_estimate("azs", one.azs),
            **_estimate("gain", one.gain),
            **_estimate("honest_gain", one.honest_gain),
            **_estimate("gain_per_cost", one.gain_per_cost),
        }

    return {
        "unit": equal.unit,
        "budget": equal.budget,
        "set_by": equal.set_by,
        "methods": [row(one) for one in equal.methods],
    }


def _anytime(evaluation: Evaluation) -> Row:
    compute = evaluation.compute
    return {
        "unit": compute.curves_unit,
        "missing": {str(unit): reason for unit, reason in compute.missing.items()},
        "curves": [
            {
                "method": curve.method,
                "configs": curve.configs,
                "total": curve.total,
                "costs": list(curve.costs),
                "areas": [area.value for area in curve.areas],
                "areas_low": [area.low for area in curve.areas],
                "areas_high": [area.high for area in curve.areas],
            }
            for curve in compute.curves
        ],
    }


def _importance(found: Importances) -> Row:
    return {
        "found": [
            {
                "response": one.response,
                "scope": one.scope,
                "configs": one.configs,
                "r2": one.r2,
                "chance": one.chance,
                "effects": [
                    {"axis": effect.axis.name, **_estimate("main", effect.main), **_estimate("total", effect.total)}
                    for effect in one.effects
                ],
            }
            for one in found.found
        ],
        "refused": [{"response": one.response, "scope": one.scope, "reason": one.reason} for one in found.refused],
        "readings": [
            {"axis": one.axis, "scope": one.scope, "role": one.role, "text": one.text} for one in found.readings
        ],
    }


def _dial(one: DialPath, frontier: Frontier) -> Row:
    return {
        "name": one.dial.name,
        "axis": one.dial.axis,
        "numbers": [frontier.results[row].number for row in one.dial.rows],
        "pin": one.pin,
        "fit": one.path.fit,
        "why": one.path.why,
        "values": one.path.values.tolist(),
        "aka": one.path.x.tolist(),
        "azs": one.path.y.tolist(),
        "aka_se": None if one.path.x_se is None else one.path.x_se.tolist(),
        "azs_se": None if one.path.y_se is None else one.path.y_se.tolist(),
    }


def _advice(item: Advice) -> Row:
    return {
        "kind": item.kind,
        "label": item.label,
        "reason": item.reason,
        "expected_gain": item.expected_gain,
        "trials": item.trials,
        "cost": item.cost,
        "axes": None if item.axes is None else dict(item.axes),
        "aka": None if item.point is None else item.point[0],
        "azs": None if item.point is None else item.point[1],
        "aka_sd": None if item.sd is None else item.sd[0],
        "azs_sd": None if item.sd is None else item.sd[1],
        "number": None if item.result is None else item.result.number,
        "probability": item.probability,
    }


def _place(name: str, point: tuple[float, float] | None) -> Row:
    aka, azs = (None, None) if point is None else point
    return {f"{name}_aka": aka, f"{name}_azs": azs}


def _estimate(name: str, value: Estimate | None) -> Row:
    parts = (None, None, None, None) if value is None else (value.value, value.se, value.low, value.high)
    return dict(zip((name, f"{name}_se", f"{name}_low", f"{name}_high"), parts, strict=True))
