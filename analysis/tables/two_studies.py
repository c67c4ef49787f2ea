"""Two studies in one plane: on the blocks that both have, evaluated on one suite, from the same zero-shot model.

Where one of these does not hold, points of the two cannot be compared, and the `TableError` says what differs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from analysis.tables.balance import in_order
from analysis.tables.column_roles import joined
from analysis.tables.contract import TableError, stacked
from analysis.tables.suites import of_trials, ordered, suite_of
from analysis.tables.tables import JOINT, LeftOut, Tables

STUDY = "study"
"""The axis that says which study a config is of."""

SAME = 1e-6
SHOWN = 3


def merge_studies(first: Tables, second: Tables) -> Tables:
    """The configs of both, with a further axis `study`, and the joint anchor of the first that has one.

    A config or a trial that both have is there twice, as `id@study`.

    Raises:
        TableError: if they have no block in common, other suites, or other zero-shot scores, or say different
            things of a column or a method.
    """
    names = (first.name, second.name if second.name != first.name else f"{second.name} (2)")
    for tables, name in zip((first, second), names, strict=True):
        if STUDY in tables.trials.columns:
            raise TableError(f"{name} has a column {STUDY!r} already; rename it", table="trials")
    blocks = tuple(block for block in first.blocks if block in second.blocks)
    if not blocks:
        raise TableError(
            f"{names[0]} and {names[1]} have no block in common, so that nothing is paired: "
            f"{_some(first.blocks)} and {_some(second.blocks)}"
        )
    warnings = _check_suites(first, second, names)
    first, second = _on_blocks(first, blocks), _on_blocks(second, blocks)
    _check_zero_shot(first, second, names)
    own, other = _joint(first), _joint(second)
    if own is not None:
        second = _without(second, second.trials.loc[second.trials["kind"] == "anchor", "trial"])
        if other is not None and max(abs(a - b) for a, b in zip(own, other, strict=True)) > SAME:
            warnings.append(
                f"The joint points differ: AKA and AZS are {_point(own)} in {names[0]} and {_point(other)} in "
                f"{names[1]}; that of {names[0]} is used."
            )
    elif other is not None:
        warnings.append(f"{names[0]} has no joint point; that of {names[1]} is used for both.")
    twice = {name: set(first.trials[name]) & set(second.trials[name]) for name in ("trial", "config_id")}
    both = together([_named(tables, name, twice) for tables, name in zip((first, second), names, strict=True)], names)
    return replace(both, warnings=(*both.warnings, *warnings))


def together(studies: Sequence[Tables], names: Sequence[str]) -> Tables:
    """The trials of studies with the same blocks; what several of them have by one name is there once.

    Raises:
        TableError: a trial has other numbers in another study, or studies say different things of a column or a method.
    """
    said = " and ".join(names)

    def rows(part: str, *order: str) -> pd.DataFrame:
        frames: list[pd.DataFrame] = [getattr(tables, part) for tables in studies]
        frames = [frame for frame in frames if len(frame)] or frames[:1]
        whole = pd.concat(frames, ignore_index=True)
        found = whole.drop_duplicates(["trial", *order])
        if order and len(whole.drop_duplicates(["trial", *order, "aka", "azs"])) > len(found):
            raise TableError(f"{said} have a trial in common that scored differently", table=part)
        return found.sort_values(["trial", *order], ignore_index=True)

    def scores(part: str) -> pd.DataFrame:
        found = stacked([getattr(tables, part) for tables in studies])
        return ordered(found.drop_duplicates(["trial", "task", "dataset"], ignore_index=True))[0]

    trials = rows("trials")
    roles = studies[0].roles
    sizes = {tables.parameters for tables in studies} - {None}
    for tables, name in zip(studies[1:], names[1:], strict=True):
        roles = joined(roles, tables.roles, (names[0], name))
    return Tables(
        name=said,
        trials=trials.sort_values(["config_id", "block"], ignore_index=True),
        tasks=rows("tasks", "task"),
        scores=scores("scores"),
        inside=rows("inside", "task", "step"),
        ends=rows("ends", "task"),
        end_scores=scores("end_scores"),
        blocks=studies[0].blocks,
        counts={
            **{key: sum(tables.counts[key] for tables in studies) for key in studies[0].counts},
            "used": len(trials),
            "configs": trials.loc[trials["kind"] == "trial", "config_id"].nunique(),
        },
        left_out=in_order([one for tables in studies for one in tables.left_out]),
        warnings=tuple(
            f"{name}: {text}" for tables, name in zip(studies, names, strict=True) for text in tables.warnings
        ),
        roles=roles,
        parameters=sizes.pop() if len(sizes) == 1 else None,
    )


def _check_suites(first: Tables, second: Tables, names: tuple[str, str]) -> list[str]:
    """Refuse other data sets, groups, metrics or sizes, during the stream or at its ends."""
    for part, where in (("end_scores", "at the ends of streams"), ("scores", "during streams")):
        own, other = (suite_of(getattr(tables, part)) for tables in (first, second))
        if not own or not other:
            lacking = " and ".join(name for name, suite in zip(names, (own, other), strict=True) if not suite)
            return [f"No scores of datasets: {lacking}. That both have one suite is known from zero-shot alone."]
        problems = [
            f"{name} alone has {_some(sorted(set(mine) - set(theirs)))}"
            for name, mine, theirs in ((names[0], own, other), (names[1], other, own))
            if set(mine) - set(theirs)
        ]
        for field in ("group", "metric", "n"):
            differ = [
                f"{name} ({getattr(own[name], field)} and {getattr(other[name], field)})"
                for name in sorted(set(own) & set(other))
                if getattr(own[name], field) != getattr(other[name], field)
            ]
            if differ:
                problems.append(f"{field} differs for {_some(differ)}")
        if problems:
            raise TableError(f"{names[0]} and {names[1]} have other suites {where}: {'; '.join(problems)}")
    return []


def _check_zero_shot(first: Tables, second: Tables, names: tuple[str, str]) -> None:
    """Refuse other zero-shot scores on any block, as means and by data set."""
    both = f"the zero-shot models of {names[0]} and {names[1]} are not the same"
    starts = [_starts(tables).groupby("block")[["aka", "azs"]].mean() for tables in (first, second)]
    for column in ("aka", "azs"):
        for block, ours, theirs in zip(starts[0].index, starts[0][column], starts[1][column], strict=True):
            if abs(ours - theirs) > SAME:
                raise TableError(f"{both}: {column} is {ours:.6f} and {theirs:.6f} at task 0 of block {block}")
    if len(first.end_scores) and len(second.end_scores):
        parts = [
            of_trials(tables.end_scores, _starts(tables)["trial"]).query("task == 0").groupby("dataset")["value"].mean()
            for tables in (first, second)
        ]
        values_D = (parts[0] - parts[1]).abs()
        if (values_D > SAME).any():
            differ = [
                f"{name} ({parts[0][name]:.6f} and {parts[1][name]:.6f})" for name in values_D[values_D > SAME].index
            ]
            raise TableError(f"{both}: task 0 differs on {_some(differ)}")


def _starts(tables: Tables) -> pd.DataFrame:
    trials = tables.trials.loc[tables.trials["kind"] == "trial", ["trial", "block"]]
    return tables.ends[tables.ends["task"] == 0].merge(trials, on="trial")


def _joint(tables: Tables) -> tuple[float, float] | None:
    """Mean AKA and AZS of the joint anchor, None if there is none."""
    chosen = tables.trials[(tables.trials["kind"] == "anchor") & (tables.trials["method"] == JOINT)]
    ends = (
        tables.ends[tables.ends["trial"].isin(chosen["trial"])]
        .sort_values("task")
        .drop_duplicates("trial", keep="last")
    )
    return None if ends.empty else (float(ends["aka"].mean()), float(ends["azs"].mean()))


def _on_blocks(tables: Tables, blocks: tuple[str, ...]) -> Tables:
    """A study without the trials of other blocks; an anchor without any of these blocks stays."""
    trials = tables.trials
    inside = trials["block"].isin(blocks)
    elsewhere = (trials["kind"] == "anchor") & ~trials["config_id"].isin(trials.loc[inside, "config_id"])
    gone = trials[~(inside | elsewhere)]
    if gone.empty:
        return tables
    left_out = [
        LeftOut(trial=trial, config_id=config_id, block=block, reason="the other study does not have its block")
        for trial, config_id, block in zip(gone["trial"], gone["config_id"], gone["block"], strict=True)
    ]
    dropped = sorted(set(gone["block"]))
    found = _without(tables, gone["trial"])
    return replace(
        found,
        blocks=blocks,
        left_out=(*tables.left_out, *left_out),
        warnings=(
            *tables.warnings,
            f"{len(gone)} trials are left out, of blocks that only one study has: {_some(dropped)}.",
        ),
    )


def _without(tables: Tables, gone: "pd.Series[str]") -> Tables:
    def kept(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[~frame["trial"].isin(gone)].reset_index(drop=True) if len(frame) else frame

    trials = kept(tables.trials)
    return replace(
        tables,
        trials=trials,
        tasks=kept(tables.tasks),
        scores=of_trials(tables.scores, trials["trial"]),
        inside=kept(tables.inside),
        ends=kept(tables.ends),
        end_scores=of_trials(tables.end_scores, trials["trial"]),
    )


def _named(tables: Tables, study: str, twice: Mapping[str, set[str]]) -> Tables:
    """A study with its name as an axis; ids of the other study, too, get this name appended."""

    def new(column: str, names: Iterable[str]) -> list[str]:
        return [f"{name}@{study}" if name in twice[column] else name for name in names]

    trials = tables.trials.assign(
        **{column: new(column, tables.trials[column]) for column in ("trial", "config_id")}, **{STUDY: study}
    )

    def rows(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(trial=new("trial", frame["trial"])) if len(frame) else frame

    def scores(frame: pd.DataFrame) -> pd.DataFrame:
        trial = frame["trial"].cat
        return frame.assign(trial=trial.rename_categories(new("trial", trial.categories)))

    return replace(
        tables,
        trials=trials,
        tasks=rows(tables.tasks),
        scores=scores(tables.scores),
        inside=rows(tables.inside),
        ends=rows(tables.ends),
        end_scores=scores(tables.end_scores),
    )


def _point(point: tuple[float, float]) -> str:
    return f"({100 * point[0]:.2f}, {100 * point[1]:.2f})"


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
