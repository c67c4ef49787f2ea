"""Every ordering of a stream as long as that of arXiv 2408.14471: 18 381 concepts of 41 data sets, 512-D embeddings.

Facts are random (clusters of 60 concepts); what computing them from a model takes is not in here. In units of one sort
of as many numbers, and the peak of the process over what it had with the facts alone.

Measured (two hyper-threads of an AMD EPYC core):

* similarity 24 500 sorts (13 s, one thread, beside other work); its path is 0.46 of a random one, and the peak of
  memory 0.17 of a matrix of all distances in float64. All others 4 to 14 sorts (7 ms at most).

    python -m tests.benchmarks.orderings
"""

import json
import resource
import time

import numpy as np
from numpy.typing import NDArray

from tests.trainables.streams.test_paths import length
from trainables.streams.orderings import ORDERINGS, Stream, ordered

CONCEPTS, DATASETS, WIDTH = 18_381, 41, 512


def main() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CONCEPTS // 60, WIDTH)).astype(np.float32)
    points = centres[rng.integers(len(centres), size=CONCEPTS)]
    points += rng.standard_normal((CONCEPTS, WIDTH), dtype=np.float32)
    known: dict[str, NDArray[np.generic]] = {
        "loss": rng.random(CONCEPTS),
        "count": rng.integers(10_000, size=CONCEPTS),
        "year": np.sort(rng.integers(2008, 2024, size=CONCEPTS)),
        "text": points,
    }
    concepts = tuple(f"d{i * DATASETS // CONCEPTS}/{i}" for i in range(CONCEPTS))
    before = _peak()
    numbers = rng.random(CONCEPTS)
    unit = min(_seconds(lambda: np.sort(numbers)) for _ in range(20))
    found: dict[str, object] = {"one sort, ms": round(1e3 * unit, 2)}
    for name in ORDERINGS:
        began = time.perf_counter()
        order = ordered(Stream.model_validate({"ordering": name}), 0, concepts=concepts, facts=known.__getitem__)
        seconds = time.perf_counter() - began
        found[name] = {"seconds": round(seconds, 2), "sorts": round(seconds / unit)}
        if name == "similarity":
            path = np.array([int(concept.partition("/")[2]) for concept in order])
            found["path / random path"] = round(length(points, path) / length(points, rng.permutation(CONCEPTS)), 3)
    found["peak memory over a matrix of float64 distances"] = round((_peak() - before) / (8 * CONCEPTS**2), 3)
    print(json.dumps(found, indent=2))


def _seconds(what: object) -> float:
    assert callable(what)
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
