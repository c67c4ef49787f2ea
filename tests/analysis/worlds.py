"""Synthetic studies with a known truth: the three tables of a grid, made from a few numbers.

A config learns a share u of what the joint model learns, follows the zero-shot to joint line while doing so, and lies
above it by its lift. Scores per dataset are made first; AKA, AZS and GM are their means, as in a real study.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
Frames = dict[str, pd.DataFrame]

ADAPT = ("Birds", "Cars", "DTD", "EuroSAT", "Flowers", "GTSRB", "Satellite", "Sketch", "SVHN")
HOLDOUT = ("CIFAR100", "Flickr30k", "Food", "ImageNet", "MSCOCO", "STL10")


@dataclass(frozen=True, kw_only=True)
class World:
    """The truth of a synthetic study, in fractions. Signs of the effects can be turned to make findings fail."""

    zero_shot: tuple[float, float] = (0.385, 0.679)
    joint: tuple[float, float] = (0.560, 0.625)
    learned: dict[tuple[str, int | None], float] = field(
        default_factory=lambda: {("full", None): 0.85, ("lora", 2): 0.40, ("lora", 16): 0.62}
    )
    timelines: tuple[str, ...] = ("finetune", "ema", "zs")
    weights: tuple[float, ...] = (0.5, 0.8)
    rates: tuple[float, ...] = (1e-5, 1e-4, 1e-3)
    rate_slide: float = 0.10
    rate_cost: float = 0.012
    merge_lift: float = 0.014
    merge_slide: float = 0.35
    base_lift: float = -0.006
    block_sd: float = 0.003
    noise_sd: float = 0.002
    blocks: int = 3
    joint_blocks: int | None = None
    tasks: int = 6
    with_joint: bool = True
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A config and its noise-free final point."""

    config_id: str
    method: str
    rank: int | None
    timeline: str | None
    w: float | None
    lr: float
    point: tuple[float, float]


def truths(world: World) -> tuple[Truth, ...]:
    """All configs of the grid with their true final points."""
    return tuple(_configs(world))


def frames(world: World) -> Frames:
    """The tables `trials`, `tasks` and `scores` of the world."""
    rng = np.random.default_rng(world.seed)
    adapt_offsets, holdout_offsets = _offsets(rng, len(ADAPT), 0.15), _offsets(rng, len(HOLDOUT), 0.12)
    block_shift = rng.normal(0.0, world.block_sd, size=(world.blocks, 2))
    trials: list[dict[str, object]] = []
    tasks: list[dict[str, object]] = []
    scores: list[dict[str, object]] = []
    configs = list(_configs(world))
    if world.with_joint:
        configs.append(
            Truth(config_id="joint", method="joint", rank=None, timeline=None, w=None, lr=1e-4, point=world.joint)
        )
    for truth in configs:
        anchor = truth.method == "joint"
        for block in range((world.joint_blocks or world.blocks) if anchor else world.blocks):
            trial = f"{truth.config_id}-b{block}"
            trials.append(
                {
                    "trial": trial,
                    "kind": "anchor" if anchor else "trial",
                    "config_id": truth.config_id,
                    "block": f"seed{block}-order{block}",
                    "seed": block,
                    "order": block,
                    "method": truth.method,
                    "rank": truth.rank,
                    "timeline": truth.timeline,
                    "rule": None if truth.w is None else "lerp",
                    "w": truth.w,
                    "lr": truth.lr,
                    "status": "done",
                }
            )
            end = np.asarray(truth.point) + block_shift[block] + rng.normal(0.0, world.noise_sd, 2)
            steps = (0, world.tasks) if anchor else range(world.tasks + 1)
            for task in steps:
                x, y = _on_the_way(np.asarray(world.zero_shot), end, task / world.tasks)
                adapt = _spread(rng, x, adapt_offsets, 0.0 if task == 0 else 0.01)
                holdout = _spread(rng, y, holdout_offsets, 0.0 if task == 0 else 0.006)
                aka, azs = float(adapt.mean()), float(holdout.mean())
                flops = 2.1e13 * task * (0.7 if truth.method == "lora" else 1.0)
                tasks.append(
                    {
                        "trial": trial,
                        "task": task,
                        "aka": aka,
                        "azs": azs,
                        "gm": float(np.sqrt(aka * azs)),
                        "cost_flops": flops,
                        "cost_mafs": flops * (0.6 if truth.method == "lora" else 1.0),
                        "wall_s": 4.0 * task + 0.3 * block,
                    }
                )
                for group, names, values in (("adapt", ADAPT, adapt), ("holdout", HOLDOUT, holdout)):
                    scores += [
                        {
                            "trial": trial,
                            "task": task,
                            "dataset": name,
                            "group": group,
                            "metric": "recall@5" if name in ("Flickr30k", "MSCOCO") else "accuracy",
                            "value": float(value),
                            "n": 1000,
                        }
                        for name, value in zip(names, values, strict=True)
                    ]
    return {"trials": pd.DataFrame(trials), "tasks": pd.DataFrame(tasks), "scores": pd.DataFrame(scores)}


def write_study(study_dir: Path, tables: Frames) -> Path:
    """Write the tables where a study keeps them."""
    folder = study_dir / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return study_dir


def _configs(world: World) -> Iterator[Truth]:
    slope = (world.joint[1] - world.zero_shot[1]) / (world.joint[0] - world.zero_shot[0])
    for (method, rank), learned in world.learned.items():
        for step, rate in enumerate(world.rates):
            for timeline in world.timelines:
                for w in world.weights if timeline != "finetune" else (None,):
                    u = learned + world.rate_slide * (step - 1)
                    lift = world.base_lift - world.rate_cost * step
                    if w is not None:
                        u *= 1 - world.merge_slide * w
                        lift *= 1 - w
                        lift += world.merge_lift * (4 * w * (1 - w) if timeline == "ema" else 0.6)
                    x = world.zero_shot[0] + u * (world.joint[0] - world.zero_shot[0])
                    y = world.zero_shot[1] + slope * (x - world.zero_shot[0]) + lift
                    name = f"{method}{rank or ''}-{timeline}{'' if w is None else w}-{rate:g}"
                    yield Truth(config_id=name, method=method, rank=rank, timeline=timeline, w=w, lr=rate, point=(x, y))


def _on_the_way(start: FloatArray, end: FloatArray, share: float) -> tuple[float, float]:
    """Learning saturates; retention dips after the first task and recovers."""
    dip = 0.006 * np.exp(-4 * share) if 0 < share < 1 else 0.0
    x, y = start + (end - start) * np.array([share**0.6, share**0.8])
    return float(x), float(y - dip)


def _offsets(rng: np.random.Generator, size: int, sd: float) -> FloatArray:
    values = rng.normal(0.0, sd, size)
    return np.asarray(np.clip(values - values.mean(), -0.3, 0.25), dtype=float)


def _spread(rng: np.random.Generator, mean: float, offsets: FloatArray, sd: float) -> FloatArray:
    """Dataset values around a mean; the noise sums to zero, so that the mean is exact up to clipping."""
    noise = rng.normal(0.0, sd, len(offsets)) if sd else np.zeros(len(offsets))
    return np.asarray(np.clip(mean + offsets - offsets.mean() + noise - noise.mean(), 0.0, 1.0), dtype=float)
