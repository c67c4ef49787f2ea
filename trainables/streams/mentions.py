"""Mentions: counts of captions that name concepts by whole words, in one pass whatever the number of concepts."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+")


def mentions(concepts: Sequence[str], samples: Iterable[Sequence[str]]) -> NDArray[np.int64]:
    """The number of samples with a caption that names each concept, in the order of the concepts; case does not count.

    Args:
        concepts: names, of one word or several.
        samples: the captions of each sample.
    """
    wanted: dict[tuple[str, ...], list[int]] = {}
    for i, concept in enumerate(concepts):
        wanted.setdefault(_words(concept), []).append(i)
    lengths = sorted({len(words) for words in wanted})
    found = np.zeros(len(concepts), dtype=np.int64)
    for captions in samples:
        named: set[tuple[str, ...]] = set()
        for words in map(_words, captions):
            for length in lengths:
                named.update(words[i : i + length] for i in range(len(words) - length + 1))
        for words in named & wanted.keys():
            found[wanted[words]] += 1
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))
