"""Synthetic studies with a known truth: the three tables of a grid, made from a few numbers.

A config learns a share u of what the joint model learns, follows the zero-shot to joint line while doing so, and lies
above it by its lift. Scores per dataset are made first; AKA, AZS and GM are their means, as in a real study.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.frontier import Frontier, build_frontier
from analysis.tables.loading import make_tables

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
    """A config and its noise-free final point; `axes` are further columns of the trials table, `cost` its MAFs."""

    config_id: str
    method: str
    rank: int | None
    timeline: str | None
    w: float | None
    lr: float
    point: tuple[float, float]
    axes: Mapping[str, object] = field(default_factory=dict)
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A method's truth at the middle learning rate: its share of joint's learning and its lift, in points."""

    slide: float
    lift: float
    rank: int | None = None
    axes: Mapping[str, object] = field(default_factory=dict)
    cost: float = 1.0


SCOPE = {"targets": "attention+mlp", "towers": "all", "layers": "all", "lifetime": "continue"}
EWC = {"strength": 1.0, "gamma": 1.0, "fisher_samples": 50_000}
KINDS: Mapping[str, Kind] = {
    "full": Kind(slide=0.85, lift=-1.6),
    "lnfit": Kind(slide=0.12, lift=-0.1, cost=0.55),
    "bitfit": Kind(slide=0.15, lift=-0.2, cost=0.57),
    "locked_image": Kind(slide=0.55, lift=-1.2, cost=0.5),
    "locked_text": Kind(slide=0.50, lift=-1.4, cost=0.8),
    "freeze_first_layers": Kind(slide=0.70, lift=-1.2, axes={"n": 2}, cost=0.85),
    "freeze_last_layers": Kind(slide=0.45, lift=-0.8, axes={"n": 2}, cost=0.95),
    "freeze_attention": Kind(slide=0.65, lift=-1.3, cost=0.9),
    "freeze_mlp": Kind(slide=0.50, lift=-1.0, cost=0.85),
    "lora": Kind(slide=0.40, lift=-1.0, rank=4, axes={**SCOPE, "alpha": 4.0}, cost=0.62),
    "dora": Kind(slide=0.42, lift=-1.05, rank=4, axes={**SCOPE, "alpha": 4.0}, cost=0.68),
    "vera": Kind(slide=0.16, lift=-0.2, rank=4, axes=SCOPE, cost=0.63),
    "ia3": Kind(slide=0.13, lift=-0.15, axes={**SCOPE, "targets": "k+v+mlp_out"}, cost=0.6),
    "rslora": Kind(slide=0.44, lift=-1.1, rank=4, axes={**SCOPE, "alpha": 4.0}, cost=0.62),
    "pissa": Kind(slide=0.48, lift=-1.2, rank=4, axes={**SCOPE, "alpha": 4.0}, cost=0.62),
    "oft": Kind(slide=0.36, lift=-0.6, axes={**SCOPE, "block_size": 8}, cost=0.75),
    "loha": Kind(slide=0.31, lift=-0.8, rank=4, axes={**SCOPE, "alpha": 4.0}, cost=0.66),
    "lokr": Kind(slide=0.29, lift=-0.6, rank=4, axes={**SCOPE, "alpha": 4.0}, cost=0.64),
    "fourierft": Kind(slide=0.19, lift=-0.4, axes={**SCOPE, "frequencies": 200, "scaling": 150.0}, cost=0.7),
    "galore": Kind(
        slide=0.62, lift=-1.3, rank=8, axes={"gap": 200, "scale": 2.0, "side": "std", "logit_scale": True}, cost=0.9
    ),
    "ewc": Kind(slide=0.22, lift=-0.4, axes=EWC, cost=1.3),
    "si": Kind(slide=0.85, lift=-1.6, axes={"strength": 0.5, "xi": 1e-7}, cost=1.25),
    "l2init": Kind(slide=0.60, lift=-1.4, axes={"strength": 0.01}, cost=1.15),
}
MORE_KINDS: Mapping[str, Kind] = {
    **KINDS,
    "zeroshot": Kind(slide=0.0, lift=0.0, cost=0.0),
    "lora 64": Kind(slide=0.58, lift=-1.05, rank=64, axes={**SCOPE, "alpha": 64.0}, cost=0.65),
    "lora + ewc": Kind(slide=0.25, lift=-0.6, rank=4, axes={**SCOPE, **EWC, "alpha": 4.0, "penalty": "ewc"}, cost=0.9),
    "ewc strong": Kind(slide=0.08, lift=-0.1, axes={**EWC, "strength": 100.0}, cost=1.3),
    "peft": Kind(slide=0.33, lift=-0.7, axes={"peft_type": "HRA", "arguments": "{}", "lifetime": "continue"}, cost=0.7),
}


def method_truths(world: World, kinds: Mapping[str, Kind] = KINDS) -> tuple[Truth, ...]:
    """Every kind at every learning rate: larger ones learn a little more and forget more."""
    found = []
    for name, kind in kinds.items():
        for step, rate in enumerate(world.rates):
            share = kind.slide * (0.72, 1.0, 1.12)[step]
            lift = kind.lift / 100 * (0.85, 1.0, 1.7)[step]
            logit_scale = kind.rank is None and name not in ("lnfit", "bitfit")
            found.append(
                Truth(
                    config_id=f"{name.replace(' ', '')}-{rate:g}",
                    method=name.split()[0],
                    rank=kind.rank,
                    timeline="finetune",
                    w=None,
                    lr=rate,
                    point=_place(world, share, lift),
                    axes={"logit_scale": logit_scale, "penalty": None, "projection": None, **kind.axes},
                    cost=kind.cost,
                )
            )
    return tuple(found)


def truths(world: World) -> tuple[Truth, ...]:
    """All configs of the grid with their true final points."""
    return tuple(_configs(world))


def method_frames(world: World, kinds: Mapping[str, Kind] = KINDS) -> Frames:
    """The tables of a study of many methods without merging."""
    return _frames(world, list(method_truths(world, kinds)))


def frames(world: World) -> Frames:
    """The tables `trials`, `tasks` and `scores` of the world."""
    return _frames(world, list(_configs(world)))


def _frames(world: World, configs: list[Truth]) -> Frames:
    rng = np.random.default_rng(world.seed)
    adapt_offsets, holdout_offsets = _offsets(rng, len(ADAPT), 0.15), _offsets(rng, len(HOLDOUT), 0.12)
    block_shift = rng.normal(0.0, world.block_sd, size=(world.blocks, 2))
    trials: list[dict[str, object]] = []
    tasks: list[dict[str, object]] = []
    scores: list[dict[str, object]] = []
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
                    **truth.axes,
                    "status": "done",
                }
            )
            end = np.asarray(truth.point) + block_shift[block] + rng.normal(0.0, world.noise_sd, 2)
            steps = (0, world.tasks) if anchor else range(world.tasks + 1)
            for task in steps:
                x, y = _on_the_way(np.asarray(world.zero_shot), end, task / world.tasks)
                if truth.method == "zeroshot":
                    x, y = world.zero_shot
                adapt = _spread(rng, x, adapt_offsets, 0.0 if task == 0 else 0.01)
                holdout = _spread(rng, y, holdout_offsets, 0.0 if task == 0 else 0.006)
                aka, azs = float(adapt.mean()), float(holdout.mean())
                flops = 2.1e13 * task * (0.7 if truth.method == "lora" else 1.0)
                mafs = 0.6 if truth.method == "lora" else 1.0
                if truth.cost is not None:
                    flops, mafs = 2.1e13 * task * min(truth.cost, 1.0) ** 0.5, truth.cost**0.5
                seconds = 4.0 * task * (1.0 if truth.cost is None else truth.cost)
                tasks.append(
                    {
                        "trial": trial,
                        "task": task,
                        "aka": aka,
                        "azs": azs,
                        "gm": float(np.sqrt(aka * azs)),
                        "cost_flops": flops,
                        "cost_mafs": flops * mafs,
                        "wall_s": seconds + 0.3 * block,
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


def frontier_of(tables: Frames) -> Frontier:
    """The frontier of synthetic tables."""
    return build_frontier(make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study"))


def write_study(study_dir: Path, tables: Frames) -> Path:
    """Write the tables where a study keeps them."""
    folder = study_dir / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return study_dir


def _configs(world: World) -> Iterator[Truth]:
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
                    name = f"{method}{rank or ''}-{timeline}{'' if w is None else w}-{rate:g}"
                    point = _place(world, u, lift)
                    yield Truth(config_id=name, method=method, rank=rank, timeline=timeline, w=w, lr=rate, point=point)


def _place(world: World, slide: float, lift: float) -> tuple[float, float]:
    """A share of the way from zero-shot to joint, and a lift above the line, as a fraction."""
    (x_z, y_z), (x_j, y_j) = world.zero_shot, world.joint
    return x_z + slide * (x_j - x_z), y_z + slide * (y_j - y_z) + lift


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
