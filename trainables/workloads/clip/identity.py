"""The identity of a model of open_clip and a manifest: digests, concepts and anatomy, found before anything trains."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.frozen import ConfigError
from trainables.runtime import Runtime
from trainables.streams.mentions import mentions
from trainables.workloads.clip.data.pack import Pack
from trainables.workloads.clip.models import open_model
from trainables.workloads.clip.opening import open_clip_workload, pack_of
from trainables.workloads.clip.settings import Clip
from trainables.workloads.concept_facts import cached_fact
from trainables.workloads.identity import Identity, Scored


def identify_clip(config: Clip, cache: Path) -> Identity:
    """The identity of a CLIP workload; the model and the manifest are made ready once and kept in the cache.

    Raises:
        ConfigError: the model or the manifest cannot be used.
    """
    model = open_model(config.model, cache)
    pack = pack_of(config, cache)
    known = Identity(
        base=model.base_digest,
        data=f"{pack.data}-{config.crop:g}",
        suite=pack.suite,
        concepts=pack.concepts,
        tests=tuple(Scored(len(test.rows), len(test.classes)) for test in pack.tests),
        pool_samples=len(pack.train[-1].rows),
        anatomy=model.anatomy,
        warnings=tuple(_cut_texts(config, pack)),
    )
    return replace(known, facts=partial(_facts, config, known, cache))


def _cut_texts(config: Clip, pack: Pack) -> Iterator[str]:
    for kind, (cut, count) in pack.cut.items():
        if cut:
            what = f"{cut} of {count} {'distinct captions' if kind == 'captions' else 'prompts of classes'}"
            yield f"{config.data}: {what} are longer than the context of {config.model.name} and lose their ends"


def _facts(config: Clip, identity: Identity, cache: Path, kind: str) -> NDArray[np.generic]:
    """Facts of a kind about all concepts; see `Identity.facts`."""
    pack = pack_of(config, cache)
    if kind == "year":
        undated = [name for name, year in zip(pack.concepts, pack.years, strict=True) if year is None]
        if undated:
            raise ConfigError(
                f"ordering: it needs the year of every concept; {config.data} has none for {len(undated)} of them, "
                f"such as {', '.join(undated[:3])}; add a column year, or use another ordering"
            )
        return np.array(pack.years)

    def find() -> NDArray[np.generic]:
        if kind == "count":
            if not pack.pool_captions():
                raise ConfigError(
                    f"ordering: frequency counts concepts in the captions of the pool; {config.data} has no pool: "
                    "import one, or use another ordering"
                )
            return mentions([name.partition("/")[2] for name in pack.concepts], pack.pool_captions())
        return open_clip_workload(config, identity, Runtime(cache=cache)).facts(kind)

    return cached_fact(kind, [identity.base, identity.data, identity.suite], cache, find)
