"""A world in which all claims are tested and true: methods, recipes and merges by hand, as in `ways`."""

from dataclasses import replace
from typing import Any

import numpy as np

from analysis.findings.evidence import Evidence
from tests.analysis.ways import Way, evidence, plain, way


def merge(start: str, serve: str, aka: float, azs: float, **axes: Any) -> Way:
    """A merge with the axes of recipes and data, as `plain` has them."""
    base: dict[str, Any] = {"schedule": "cosine", "temperature": None, "ordering": "random", "pool_share": 0.33}
    return way(start, serve, aka, azs, **{**base, "steps": 14, **axes})


METHODS = [
    plain(0.48, 0.66, method="lora", rank=2),
    plain(0.54, 0.66, method="lora", rank=64),
    plain(0.5, 0.66, method="dora", rank=4),
    plain(0.44, 0.78, method="lnfit"),
    plain(0.45, 0.77, method="bitfit"),
    plain(0.44, 0.76, method="vera", rank=4),
    plain(0.57, 0.64, method="galore", rank=8),
    plain(0.46, 0.74, method="ewc", strength=1.0),
    plain(0.42, 0.79, method="ewc", strength=100.0),
    plain(0.6, 0.62, method="si"),
    plain(0.5, 0.7, method="locked_image"),
    plain(0.45, 0.7, method="locked_text"),
]
RECIPES = [
    plain(0.5, 0.69, lr=1e-4),
    plain(0.6, 0.62),
    plain(0.55, 0.5, lr=1e-2, first=(0.5, 0.7)),
    plain(0.6, 0.62, schedule="rsqrt"),
    plain(0.5, 0.72, schedule="autoregressive_cosine"),
    plain(0.6, 0.74, schedule="autoregressive_rsqrt"),
    plain(0.62, 0.7, size="m"),
    plain(0.6, 0.62, steps=56),
    plain(0.6, 0.62, first=(0.5, 0.75), temperature=0.07),
    plain(0.6, 0.62, ordering="time"),
    plain(0.5, 0.62, buffer_share=0.0),
    plain(0.58, 0.6, pool_share=0.0),
    plain(0.6, 0.62, dataset="Birds"),
]
OF_TIES: tuple[dict[str, Any], ...] = ({}, {"rule": "ties", "density": 0.2})
MERGES = [
    *(merge("ema", "ema", 0.6, 0.74, w=0.5, **more) for more in OF_TIES),
    merge("ema", "ema", 0.55, 0.77, w=0.9),
    merge("base", "ema", 0.595, 0.73, w=0.5),
    merge("base", "ema", 0.55, 0.76, w=0.9),
    merge("base", "all", 0.5, 0.79),
    merge("ema", "ema", 0.7, 0.78, w=0.5, size="m"),
    merge("ema", "ema", 0.62, 0.78, w=0.5, steps=56),
]
WORLD = [*METHODS, *RECIPES, *MERGES]


def study_of(*others: Way, noise: float = 0.0005, seed: int = 0, blocks: int = 3) -> Evidence:
    """The world with other configs; the noise of a config does not depend on those that come after it."""
    base = {"size": "s", "dataset": None, "batch_size": 128, "penalty": None, "online_ema": None}
    ways = [(replace(config, axes={**base, **config.axes}), aka, azs) for config, aka, azs in (*WORLD, *others)]
    found = evidence(*ways, noise=noise, seed=seed, blocks=blocks)
    alone = next(row for row, config in enumerate(found.configs) if config.axes["dataset"] is not None)
    scores = np.random.default_rng(seed).normal((0.4, 0.6), (0.0, noise), (blocks, 2))
    return replace(found, alone={alone: scores})
