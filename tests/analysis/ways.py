"""Evidence made by hand: configs with their whole paths, of which claims about merging, recipes and data are asked."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.configs import KNOWN_AXES, AxisValue, Config, family_name
from analysis.findings.evidence import CannotTest, Evidence, Test, Verdict
from analysis.findings.verdicts import decide
from analysis.roles import STANDARD

BLOCKS, TASKS = 3, 6
MARGIN = 0.01
NAMES = {
    ("last", "last"): "finetune",
    ("ema", "ema"): "ema",
    ("base", "ema"): "zs",
    ("base", "all"): "offline",
}
Way = tuple[Config, Sequence[float], Sequence[float]]
ClaimTest = Callable[[Evidence], Test | CannotTest]


def way(
    start: str, serve: str, aka: float, azs: float, *, first: tuple[float, float] = (0.52, 0.8), **axes: AxisValue
) -> Way:
    """A config with its AKA and AZS after every task: zero-shot at (.4, .8), `first`, then straight to the end."""
    merges = {start, serve} & {"ema", "all"}
    values: dict[str, AxisValue] = dict.fromkeys(KNOWN_AXES)
    values |= {"method": "full", "lr": 1e-3, "start": start, "serve": serve, "wise_ft": None, "buffer_share": 0.33}
    values |= {"timeline": NAMES.get((start, serve), f"{start}-{serve}"), "rule": "lerp" if merges else None}
    values |= {"recency": "uniform" if "all" in merges else None, **axes}
    config = Config(
        config_id=f"{start}{serve}{sorted(map(str, axes.items()))}",
        label="",
        setting="",
        family=family_name(values, STANDARD),
        group="full",
        timeline=str(values["timeline"]),
        axes=values,
    )
    paths = [
        np.concatenate([[z], np.linspace(f, end, TASKS)]) for z, f, end in ((0.4, first[0], aka), (0.8, first[1], azs))
    ]
    return config, paths[0].tolist(), paths[1].tolist()


def plain(aka: float, azs: float, *, first: tuple[float, float] = (0.52, 0.8), **axes: AxisValue) -> Way:
    """Fine-tuning without merging, with the axes of recipes and data."""
    base: dict[str, Any] = {"schedule": "cosine", "temperature": None, "ordering": "random", "steps": 14}
    return way("last", "last", aka, azs, first=first, **{**base, "pool_share": 0.33, **axes})


def evidence(
    *ways: Way, noise: float = 0.001, line: float | None = 0.7, seed: int = 0, blocks: int = BLOCKS
) -> Evidence:
    """Blocks differ by noise; the gain is AZS above a flat line. As in a table, all configs have the axes of all."""
    names = dict.fromkeys(name for config, _, _ in ways for name in config.axes)
    configs = [replace(config, axes={name: config.axes.get(name) for name in names}) for config, _, _ in ways]
    rng = np.random.default_rng(seed)
    paths = np.array([[aka, azs] for _, aka, azs in ways]).transpose(0, 2, 1)[:, np.newaxis]
    paths = (paths + rng.normal(0, noise, (len(ways), blocks, TASKS + 1, 2))).clip(0.01, 0.99)
    aka, azs = paths[:, :, -1, 0], paths[:, :, -1, 1]
    gain = {} if line is None else {"gain": azs - line}
    return Evidence(
        configs=tuple(configs),
        values={"AKA": aka, "AZS": azs, "GM": np.sqrt(aka * azs), **gain},  # type: ignore[dict-item]
        margins=dict.fromkeys(("AKA", "AZS", "GM", "gain"), MARGIN),
        zero_shot_aka=np.full(blocks, 0.4),
        paths=paths,
    )


def the_test(outcome: Test | CannotTest) -> Test:
    assert isinstance(outcome, Test), outcome
    return outcome


def verdict(outcome: Test | CannotTest) -> Verdict:
    return decide(the_test(outcome)).verdict


def parts(outcome: Test | CannotTest) -> list[Verdict]:
    """Verdicts of the decisive comparisons, each alone."""
    return [part.verdict for part in the_test(outcome).decisive]


def needs(outcome: Test | CannotTest) -> str:
    assert isinstance(outcome, CannotTest), outcome
    assert outcome.needs
    return "; ".join(outcome.needs)
