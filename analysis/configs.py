"""A config: what a trial was told, without seed and order, and the name a reader knows it by.

Axes are the columns of the trials table that are constant within every config; one that does not apply is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

AxisValue = str | float | int | bool | None

NOT_AXES = frozenset({"trial", "kind", "config_id", "block", "seed", "order", "status", "error", "reason", "message"})
KNOWN_AXES = ("method", "rank", "timeline", "rule", "w", "lr")
METHOD_NAMES: Mapping[str, str] = {
    "full": "full",
    "lora": "LoRA",
    "dora": "DoRA",
    "vera": "VeRA",
    "galore": "GaLore",
    "ewc": "EWC",
    "si": "SI",
    "joint": "joint",
}
TIMELINE_NAMES: Mapping[str, str] = {
    "finetune": "fine-tuning",
    "ema": "EMA-merge",
    "ft": "FT-merge",
    "zs": "ZS-merge",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """One config. `family` is the method with its rank; `label` names the config among those of its study."""

    config_id: str
    label: str
    family: str
    timeline: str | None
    axes: Mapping[str, AxisValue]

    @property
    def timeline_name(self) -> str:
        """The timeline in words."""
        return "-" if self.timeline is None else TIMELINE_NAMES.get(self.timeline, self.timeline)

    def number(self, axis: str) -> float | None:
        """The value of a numeric axis, None where it does not apply."""
        value = self.axes.get(axis)
        return None if value is None or isinstance(value, str) else float(value)


def configs_of(trials: pd.DataFrame) -> tuple[Config, ...]:
    """The configs of a trials table, by config_id, with labels that name only what varies between them."""
    names = axis_names(trials)
    firsts = trials.sort_values(["config_id", "block"]).drop_duplicates("config_id")
    axes = {
        str(row["config_id"]): {name: _value(row[name], name) for name in names} for row in firsts.to_dict("records")
    }
    varying = [name for name in names if len({values[name] for values in axes.values()} - {None}) > 1]
    labels = {config_id: _label(values, varying) for config_id, values in axes.items()}
    shared = {label for label in labels.values() if list(labels.values()).count(label) > 1}
    return tuple(
        Config(
            config_id=config_id,
            label=f"{labels[config_id]} ({config_id[:8]})" if labels[config_id] in shared else labels[config_id],
            family=family_name(values),
            timeline=None if values["timeline"] is None else str(values["timeline"]),
            axes=values,
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
    return all(
        left.axes[name] == right.axes[name] or left.axes[name] is None or right.axes[name] is None
        for name in left.axes
        if name not in differ
    )


def context(config: Config, *, differ: Sequence[str]) -> tuple[tuple[str, AxisValue], ...]:
    """Everything but the axes in `differ`, as a key."""
    return tuple((name, value) for name, value in config.axes.items() if name not in differ)


def family_name(axes: Mapping[str, AxisValue]) -> str:
    """Method and rank, such as "LoRA r16"."""
    method = METHOD_NAMES.get(str(axes["method"]), str(axes["method"]))
    return method if axes["rank"] is None else f"{method} r{short(axes['rank'])}"


def short(value: AxisValue) -> str:
    """A value as people write it: 3e-4, 0.8, 16, none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if value != 0 and not 1e-2 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.6g}"


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Lists and other values that have no hash as text."""
    return column.map(repr) if column.dtype == object else column


def _value(value: object, name: str) -> AxisValue:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and name == "rank" and value.is_integer():
        return int(value)
    return value if isinstance(value, str | float | int | bool) else str(value)


def _label(axes: Mapping[str, AxisValue], varying: Sequence[str]) -> str:
    parts = [family_name(axes)]
    if axes["timeline"] is not None:
        timeline = TIMELINE_NAMES.get(str(axes["timeline"]), str(axes["timeline"]))
        parts.append(timeline if axes["w"] is None else f"{timeline} w={short(axes['w'])}")
    parts += [
        f"{name} {short(axes[name])}"
        for name in varying
        if name not in ("method", "rank", "timeline", "w") and axes[name] is not None
    ]
    return ", ".join(parts)
