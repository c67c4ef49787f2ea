"""The tables of a study as one value, which `loading` makes and all numbers of a report are computed from."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.roles import Roles

JOINT = "joint"
"""The method of the anchor that was trained on the data of all tasks at once."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A trial that is in the tables and not in the statistics."""

    trial: str
    config_id: str
    block: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Finished trials on common blocks. The frames belong to this object: do not change them.

    `trials` and `tasks` hold the configs AND the joint anchor (if any); `blocks` are those that every config has.
    `inside` has a row for every evaluation within a task; most studies have none. Where a study scores a subset of the
    test images during the stream, `tasks` and `scores` are of the subset, and `ends` and `end_scores` of all images:
    task 0 and the last task. Everywhere else these are rows of `tasks` and `scores`. Names in scores are categories;
    a study without scores of datasets has no rows there. `roles` say what the columns of `trials` are for. `parameters`
    is the number of parameters of the study's model; None where the tables do not say it, or say it in a column.
    """

    name: str
    trials: pd.DataFrame
    tasks: pd.DataFrame
    scores: pd.DataFrame
    inside: pd.DataFrame
    ends: pd.DataFrame
    end_scores: pd.DataFrame
    blocks: tuple[str, ...]
    counts: Mapping[str, int]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    roles: Roles
    parameters: int | None = None
