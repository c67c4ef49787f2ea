"""A config: what a trial was told, without seed and order, and the name a reader knows it by.

Axes are the columns of the trials table that are constant within every config; one that does not apply is None.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analysis.roles import OF_RULE, RATE, STANDARD, SWITCH, Roles

AxisValue = str | float | int | bool | None

NOT_AXES = frozenset({"trial", "kind", "config_id", "block", "seed", "order", "status", "error", "reason", "message"})
KNOWN_AXES = ("method", "rank", "timeline", "rule", "w", "lr")
UNTRAINED = "zeroshot"
ALONE = "dataset"
"""The axis that names the one data set that a config was trained on."""
SHARES = frozenset({"pool_share", "new_share", "buffer_share"})
"""Shares of a batch: a label says them where they are not those of most configs of the study."""
PLAIN = "finetune"
TIMELINE_NAMES: Mapping[str, str] = {
    "finetune": "no merging",
    "ema": "EMA-merge",
    "ft": "FT-merge",
    "zs": "ZS-merge",
    "offline": "offline merge",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """One config. `family` is the method with its parts and rank, `group` the kind of method.

    `label` names the config among those of its study; `setting` is what it adds to approach and timeline. `roles` is
    what the study's tables say of their columns and methods.
    """

    config_id: str
    label: str
    setting: str
    family: str
    group: str
    timeline: str | None
    axes: Mapping[str, AxisValue]
    roles: Roles = field(default=STANDARD, repr=False, compare=False)

    @cached_property
    def approach(self) -> str:
        """The family without its rank."""
        return family_name({**self.axes, "rank": None}, self.roles)

    @property
    def is_full(self) -> bool:
        """Whether the config is full fine-tuning and nothing else."""
        return self.approach == self.roles.method("full").name

    @property
    def timeline_name(self) -> str:
        """The timeline in words."""
        return "-" if self.timeline is None else timeline_name(self.timeline)

    @property
    def trained(self) -> bool:
        """Whether anything is trained; if not, the config is the zero-shot model."""
        return self.axes["method"] != UNTRAINED

    def number(self, axis: str) -> float | None:
        """The value of a numeric axis, None where it does not apply."""
        value = self.axes.get(axis)
        return None if value is None or isinstance(value, str | bool) else float(value)


def configs_of(trials: pd.DataFrame, roles: Roles = STANDARD) -> tuple[Config, ...]:
    """The configs of a trials table, by config_id.

    A label names the axes that vary within the family, and the learning rate wherever the study varies it; what merges
    goes without the family where the study has only one.
    """
    names = axis_names(trials)
    whole = {name for name in names if roles.is_whole(name)}
    follows, switches = roles.marked(names, OF_RULE), roles.marked(names, SWITCH)
    firsts = trials.sort_values(["config_id", "block"]).drop_duplicates("config_id")
    axes = {
        str(row["config_id"]): {name: _value(row[name], whole=name in whole) for name in names}
        for row in firsts.to_dict("records")
    }
    families = {config_id: family_name(values, roles) for config_id, values in axes.items()}
    everywhere = {RATE} & _varying(axes.values(), switches)
    of_family, of_rule = (
        {
            key: _varying([axes[config_id] for config_id in axes if keys[config_id] == key], switches)
            for key in set(keys.values())
        }
        for keys in (families, {config_id: (families[config_id], axes[config_id].get("rule")) for config_id in axes})
    )
    common = {
        (value, name)
        for name in SHARES & set(names)
        for value, count in Counter(values[name] for values in axes.values()).items()
        if 2 * count > len(axes)
    }
    settings = {}
    for config_id, values in axes.items():
        family = families[config_id]
        shown = everywhere | (of_family[family] - follows) | (of_rule[family, values.get("rule")] & follows)
        usual = {name for name in SHARES & set(names) if (values[name], name) in common}
        settings[config_id] = _setting(values, [name for name in names if name in shown - usual])
    alone = len(set(families.values())) == 1
    labels = {
        config_id: _label(families[config_id], axes[config_id], settings[config_id], alone=alone) for config_id in axes
    }
    counted = Counter(labels.values())
    return tuple(
        Config(
            config_id=config_id,
            label=f"{labels[config_id]} ({config_id[:8]})" if counted[labels[config_id]] > 1 else labels[config_id],
            setting=", ".join(part for part in (_rank(values), _weight(values), settings[config_id]) if part),
            family=families[config_id],
            group=group_of(values, roles),
            timeline=None if values["timeline"] is None else str(values["timeline"]),
            axes=values,
            roles=roles,
        )
        for config_id, values in sorted(axes.items())
    )


def axis_names(trials: pd.DataFrame) -> tuple[str, ...]:
    """The known axes, then every further column that is constant within each config and is no measured time."""
    others = [
        str(column)
        for column in trials.columns
        if column not in NOT_AXES and column not in KNOWN_AXES and not str(column).endswith("_s")
    ]
    constant = [
        name for name in others if _plain(trials[name]).groupby(trials["config_id"]).nunique(dropna=False).max() == 1
    ]
    return (*KNOWN_AXES, *sorted(constant))


def matched(left: Config, right: Config, *, differ: Sequence[str]) -> bool:
    """Whether two configs agree outside `differ`; an axis that applies to only one of them cannot disagree."""
    skipped = frozenset(differ)  # a study of thousands of configs asks this millions of times
    return all(
        value == (other := right.axes[name]) or value is None or other is None
        for name, value in left.axes.items()
        if name not in skipped
    )


def context(config: Config, *, differ: Sequence[str]) -> tuple[tuple[str, AxisValue], ...]:
    """Everything but the axes in `differ`, as a key."""
    skipped = frozenset(differ)
    return tuple(item for item in config.axes.items() if item[0] not in skipped)


def timeline_name(timeline: str) -> str:
    """A timeline in words: its own name, or where it starts and what it serves."""
    if timeline in TIMELINE_NAMES:
        return TIMELINE_NAMES[timeline]
    start, _, serve = timeline.partition("-")
    return f"start {start}, serve {serve}" if serve else timeline


def family_name(axes: Mapping[str, AxisValue], roles: Roles) -> str:
    """Method with its rank and with what it is composed with, such as "LoRA r16 + EWC"."""
    name, group = roles.method(str(axes["method"]))
    if axes.get("n") is not None and group == "selective":
        name = f"{name.removesuffix(' layers')} {short(axes['n'])} layer{'s' if axes['n'] != 1 else ''}"
    if axes.get("peft_type") is not None:
        name = f"{name} {axes['peft_type']}"
    parts = [roles.method(str(axes[part])).name for part in ("projection", "penalty") if axes.get(part) is not None]
    if axes.get("rank") is not None:
        rank = f" r{short(axes['rank'])}"
        if axes.get("projection") is not None and group != "adapter":
            parts[0] += rank
        else:
            name += rank
    return " + ".join([name, *parts])


def group_of(axes: Mapping[str, AxisValue], roles: Roles) -> str:
    """The kind of method: what is added to it decides, or the method itself."""
    if axes.get("penalty") is not None:
        return "penalised"
    if axes.get("projection") is not None:
        return "projected"
    return roles.method(str(axes["method"])).group


def short(value: AxisValue) -> str:
    """A value as people write it: 3e-4, 0.8, 16, yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if value != 0 and not 1e-2 <= abs(value) < 1e4:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.6g}"


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Lists and other values that have no hash as text."""
    return column.map(repr) if column.dtype == object else column


def _value(value: object, *, whole: bool) -> AxisValue:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if whole and isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | float | int | bool) else str(value)


def _varying(configs: Iterable[Mapping[str, AxisValue]], switches: Collection[str]) -> set[str]:
    """Axes with more than one value among some configs; one that does not apply has none, which counts for switches."""
    found: dict[str, set[AxisValue]] = {}
    for axes in configs:
        for name, value in axes.items():
            if value is not None or name in switches:
                found.setdefault(name, set()).add(value)
    return {name for name, values in found.items() if len(values) > 1}


def _setting(axes: Mapping[str, AxisValue], names: Sequence[str]) -> str:
    """Axes that neither the family's nor the timeline's name says."""
    said = {"method", "rank", "timeline", "start", "serve", "w", "n", "peft_type", "penalty", "projection"}
    return ", ".join(_axis(name, axes[name]) for name in names if name not in said and axes[name] is not None)


def _axis(name: str, value: AxisValue) -> str:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    return f"{words} {short(value)}"


def _label(family: str, axes: Mapping[str, AxisValue], setting: str, *, alone: bool) -> str:
    parts = [family]
    if axes["timeline"] not in (None, PLAIN):
        timeline = f"{timeline_name(str(axes['timeline']))} {_weight(axes)}".strip()
        parts = [timeline] if alone else [family, timeline]
    return ", ".join([*parts, *([setting] if setting else [])])


def _rank(axes: Mapping[str, AxisValue]) -> str:
    return "" if axes["rank"] is None else f"r{short(axes['rank'])}"


def _weight(axes: Mapping[str, AxisValue]) -> str:
    return "" if axes["w"] is None else f"w={short(axes['w'])}"
