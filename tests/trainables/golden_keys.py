"""Recorded names of results, a digest for each row of each table, in a file that only grows: `golden_keys.json`.

A digest covers the configs of its case and all keys that follow from them, computed under a fixed version in the place
of NUMERICS_VERSION, and without the mark of a version. So neither a new row nor a raised version changes what is
recorded of the others. A new row is added by

python -m tests.trainables.golden_keys
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from search_spaces.space import AXES, Scalar
from tests.trainables.toys import IDENTITY, NEW, trial
from trainables.config import TrialConfig
from trainables.frozen import digest
from trainables.lineages import Lineages
from trainables.merging.rule import LINES, ROWS
from trainables.merging.timeline import RECENCIES, TIMELINES
from trainables.methods.method import METHODS
from trainables.methods.parts import PENALTIES, PROJECTIONS
from trainables.nodes import cost_key, scores_key
from trainables.schedules import SCHEDULES
from trainables.streams.orderings import BOTH_WAYS
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.identity import identify_clip
from trainables.workloads.clip.settings import Clip, Model
from trainables.workloads.identity import Identity
from trainables.workloads.noop.identity import identify_noop
from trainables.workloads.noop.settings import Noop
from trainables.workloads.pocket.identity import identify_pocket
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.settings import Evaluation, Subset

FILE = Path(__file__).with_suffix(".json")
COMMAND = "python -m tests.trainables.golden_keys"

NUMERICS = 0
"""The version that everything is recorded under."""

Axes = dict[str, Scalar]

# -- cases -------------------------------------------------------------------------------------------------------------

_EMA: Axes = {"timeline": "ema", "w": 0.5}
_SMALL: dict[str, Axes] = {"peft": {"arguments": {"r": 4}}}
"""Sizes for the toy model, where a method's own are too large for it."""

SETTINGS: dict[str, Axes] = {
    "method": {"method": "bitfit"},
    "rank": {"method": "lora", "rank": 3},
    "timeline": {"timeline": "last-all"},
    "start": {"start": "base", "serve": "patched", "w": 0.5},
    "serve": {"start": "last", "serve": "ema", "w": 0.5},
    "rule": {"timeline": "ema", "rule": "magmax"},
    "w": {"timeline": "ema", "w": 0.25},
    "chain": {**_EMA, "chain": "first"},
    "recency": {"timeline": "offline", "recency": "sqrt"},
    "wise_ft": {"wise_ft": 0.3},
    "lifetime": {"method": "lora", "lifetime": "fold"},
    "density": {"timeline": "ema", "rule": "dare", "density": 0.4},
    "prune_top": {"timeline": "ema", "rule": "breadcrumbs", "prune_top": 0.02},
    "mask_strength": {"timeline": "all-all", "rule": "tall_masks", "mask_strength": 0.5},
    "agree": {"timeline": "all-all", "rule": "tall_masks", "agree": 1},
    "fisher_floor": {**_EMA, "rule": "fisher", "penalty": "ewc", "fisher_floor": 1e-6},
    "merge_scale": {"timeline": "ema", "rule": "ties", "merge_scale": 0.5},
    "lines": {"timeline": "ema", "rule": "ties", "lines": "linear"},
    "lines_first": {"timeline": "ema", "rule": "ties", "lines": "linear", "lines_first": 0.25},
    "lines_more": {"timeline": "ema", "rule": "ties", "lines": "linear", "lines_more": 0.25},
    "merge_logit_scale": {**_EMA, "merge_logit_scale": "latest"},
    "lr": {"lr": 3e-4},
    "weight_decay": {"weight_decay": 0.1},
    "clip_norm": {"clip_norm": 2.0},
    "schedule": {"schedule": "rsqrt"},
    "warmup": {"warmup": 0.2},
    "cooldown": {"schedule": "rsqrt", "cooldown": 0.25},
    "peaks": {"peaks": "1, 0.5, 0.25"},
    "pool_share": {"pool_share": 0.5, "new_share": 0.25, "buffer_share": 0.25},
    "new_share": {"pool_share": 0, "new_share": 1, "buffer_share": 0},
    "buffer_share": {"pool_share": 0.25, "new_share": 0.25, "buffer_share": 0.5},
    "buffer_size": {"buffer_size": 5},
    "buffer_policy": {"buffer_size": 5, "buffer_policy": "balanced"},
    "batch_size": {"batch_size": 16},
    "steps": {"steps": 4},
    "precision": {"precision": "bf16"},
    "temperature": {"temperature": 0.05},
    "online_ema": {"online_ema": 0.9},
    "tasks": {"tasks": 4},
    "steps_factors": {"steps_factors": "2, 1, 0.5"},
    "ordering": {"ordering": "reversed_random"},
    "embedding": {"ordering": "similarity", "embedding": "image"},
    "start_concept": {"ordering": "similarity", "start_concept": "toy/5"},
    "dataset": {"dataset": "toy"},
    "penalty": {"method": "bitfit", "penalty": "l2init", "strength": 2},
    "projection": {"penalty": "si", "projection": "galore"},
    "logit_scale": {"logit_scale": False},
    "n": {"method": "freeze_first_layers", "n": 2},
    "targets": {"method": "lora", "targets": "q+v"},
    "towers": {"method": "lora", "towers": "image"},
    "layers": {"method": "lora", "layers": "1"},
    "alpha": {"method": "lora", "alpha": 1.0},
    "block_size": {"method": "oft", "block_size": 8},
    "frequencies": {"method": "fourierft", "frequencies": 100},
    "scaling": {"method": "fourierft", "scaling": 100.0},
    "peft_type": {"method": "peft", "peft_type": "HRA", "arguments": {"r": 4}},
    "arguments": {"method": "peft", "arguments": {"r": 2}},
    "strength": {"method": "ewc", "strength": 7.0},
    "gamma": {"method": "ewc", "gamma": 0.5},
    "fisher_samples": {"method": "ewc", "fisher_samples": 100},
    "xi": {"method": "si", "xi": 1e-3},
    "gap": {"method": "galore", "gap": 50},
    "scale": {"method": "galore", "scale": 1.0},
    "side": {"method": "galore", "side": "left"},
}
"""Every axis with a value that is not its default."""


def configs() -> Iterator[tuple[str, tuple[Axes, ...]]]:
    """Names of the cases that are configs, each with the axis values of its configs."""
    for name in METHODS:
        own: Axes = {"method": name, **_SMALL.get(name, {})}
        ema: Axes = {"timeline": "ema", "w": 0.9}
        yield f"methods/{name}", (own, {**own, **ema}, {**own, "seed": 2, "order": 1, "tasks": 4})
    for name, places in TIMELINES.items():
        rules = ("lerp", "ties") if "all" in places else ("lerp", "slerp", "ties")
        yield f"timelines/{name}", tuple({"timeline": name, "rule": rule, "w": 0.25, "tasks": 4} for rule in rules)
    for name in ROWS:
        two: Axes = {**_EMA, "rule": name, "penalty": "ewc"}
        many: Axes = {"timeline": "all-all", "rule": name, "penalty": "ewc", "tasks": 4}
        yield f"rules/{name}", (*((two,) if name != "tall_masks" else ()), *((many,) if name != "slerp" else ()))
    for name in LINES:
        yield f"lines/{name}", ({"timeline": "ema", "rule": "dare", "lines": name},)
    for name in ("merge", "base", "latest"):
        yield f"logit-scales/{name}", ({"timeline": "offline", "merge_logit_scale": name},)
    for name in RECENCIES:
        yield f"recencies/{name}", ({"timeline": "all-all", "recency": name, "tasks": 4},)
    for name in SCHEDULES:
        yield f"schedules/{name}", ({"schedule": name},)
    for name in BOTH_WAYS:
        yield f"orderings/{name}", ({"ordering": name}, {"ordering": name, "order": 1})
    for name in PENALTIES:
        yield f"penalties/{name}", ({"method": "lnfit", "penalty": name}, {"method": "lora", "penalty": name})
    for name in PROJECTIONS:
        yield f"projections/{name}", ({"projection": name}, {"method": "locked_image", "projection": name})
    for name in AXES:
        yield f"settings/{name}", (SETTINGS[name],) if name in SETTINGS else ()
    yield "merging/nothing-of-the-new", ({"timeline": "ema", "w": 1.0},)


def workloads() -> Iterator[tuple[str, Callable[[], object]]]:
    """Names of the cases that are workloads, each with what is hashed of it."""
    yield "workloads/pocket", lambda: _pocket(Pocket(pool=512))
    yield "workloads/noop", lambda: _known(Noop(datasets=6), identify_noop(Noop(datasets=6), Path("cache")))
    yield "workloads/clip", _clip
    for subset in (Subset(share=0.5, seed=0), Subset(share=0.5, seed=1)):  # named as before `least` could be said
        yield f"subsets/{subset.share:g}-seed-{subset.seed}", partial(_subset, subset)


def digests(*, lineages: Lineages | None = None) -> dict[str, str]:
    """The digest of every case, as the tables have them now.

    Args:
        lineages: those of all trials, where they are planned together; the digests are the same then.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainables.nodes.UNMARKED_VERSION", NUMERICS)
        found = {name: list(_keys(axes, lineages)) for name, axes in configs() if axes}
        said = {name: hashed() for name, hashed in workloads()}
    return {name: digest(value)[:16] for name, value in {**found, **said}.items()}


def _keys(some: tuple[Axes, ...], lineages: Lineages | None) -> Iterator[str]:
    for axes in some:
        yield from keys(trial(**axes), lineages or Lineages(KNOWN, NUMERICS))


def keys(config: TrialConfig, lineages: Lineages) -> Iterator[str]:
    """All names that follow from a config on the toy workload."""
    yield from (config.config_id, config.trial_id, cost_key(config.recipe, KNOWN.base, NUMERICS))
    for step in lineages.of(config, (0.5, 0.75)):
        yield "" if step.update is None else step.update.key
        yield scores_key(step.served, KNOWN.suite)
        yield from (scores_key(one, KNOWN.suite) for one in step.inside)


# -- workloads ---------------------------------------------------------------------------------------------------------

_FACTS = {
    "loss": np.array([3.0, 1.0, 2.0, 8.0, 5.0, 7.0, 6.0, 4.0]),
    "count": np.array([2, 0, 0, 5, 1, 9, 4, 3]),
    "year": np.array([2004, 2001, 2001, 2009, 2004, 2001, 2007, 2005]),
    "image": np.array([[np.cos(angle), np.sin(angle)] for angle in (0.0, 2.0, 0.5, 1.1, 3.0, 2.6, 1.6, 0.2)]),
    "text": np.array([[np.cos(angle), np.sin(angle)] for angle in (2.0, 0.0, 1.1, 0.5, 2.6, 3.0, 0.2, 1.6)]),
}
assert all(len(values) == NEW for values in _FACTS.values())
KNOWN = replace(IDENTITY, facts=_FACTS.__getitem__)
"""The toy workload with all that orderings ask for."""


def _known(config: Pocket | Noop | Clip, identity: Identity) -> list[object]:
    """What keys take of a workload; the base of one with random weights depends on torch."""
    base = "" if isinstance(config, Clip) else identity.base
    sizes = [list(one) for one in identity.tests]
    return [config.text, base, identity.data, identity.suite, identity.concepts, sizes, identity.pool_samples]


def _pocket(config: Pocket) -> list[object]:
    """The pocket benchmark, as if drawn by libraries without versions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainables.workloads.pocket.identity.library_versions", list)
        return _known(config, identify_pocket(config, Path("cache")))


_MODEL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def _clip() -> list[object]:
    """A tiny model of open_clip on a manifest that has every kind of row."""

    def row(number: int, concept: str | None, split: str, **values: object) -> dict[str, object]:
        image = {"image": None, "bytes": f"image {number}".encode(), "caption": [f"picture {number}"]}
        return {**image, "concept": concept, "split": split, "dataset": "new", "group": "adapt", **values}

    rows = [
        *(row(number, f"thing {number % 2}", split) for number, split in enumerate(("train", "train", "test", "test"))),
        *(
            row(number, f"old {number}", "test", dataset="held", group="holdout", templates=["a {}"])
            for number in (4, 5)
        ),
        *(row(number, None, "test", dataset="found", group="holdout", kind="retrieval") for number in (6, 7)),
        *(row(number, None, "train", dataset="web", group="pool") for number in (8, 9)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "model.json").write_text(json.dumps(_MODEL))
        manifest.write(pd.DataFrame(rows), home / "data.parquet")
        model = Model(name=str(home / "model.json"), pretrained="random")
        config = Clip(model=model, data=str(home / "data.parquet"), crop=0.8)
        identity = identify_clip(config, home / "cache")
    return _known(config.model_copy(update={"model": Model(name="m", pretrained="random"), "data": "d"}), identity)


def _subset(subset: Subset) -> list[object]:
    return [subset.text, IDENTITY.suite_of(Evaluation(subset=subset)), subset.size(1000, 10)]


# -- the record --------------------------------------------------------------------------------------------------------


def recorded(file: Path = FILE) -> dict[str, str]:
    """The digests that were recorded."""
    found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return found


def orphaned(known: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What the tables of today no longer find, a line a case."""
    gone = [f"{name}: gone from the tables; put it back" for name in known.keys() - now.keys()]
    moved = [f"{name}: {key} recorded, {now[name]} now" for name, key in known.items() if now.get(name, key) != key]
    return sorted(gone + moved)


def append(file: Path, now: Mapping[str, str]) -> list[str]:
    """Record the cases that are not recorded yet; returns their names.

    Raises:
        SystemExit: a case that is recorded has changed or is gone; nothing is written then.
    """
    known = recorded(file)
    if lost := orphaned(known, now):
        sys.exit("\n".join(["nothing is recorded: what is recorded never changes, and it did:", *lost]))
    new = sorted(now.keys() - known.keys())
    if new:
        file.write_text(json.dumps({**now, **known}, indent=2, sort_keys=True) + "\n")
    return new


if __name__ == "__main__":
    print(f"{FILE.name}: recorded", ", ".join(append(FILE, digests())) or "nothing, all cases are there")
