"""Facts about concepts (`Identity.facts`), computed once and kept in the cache."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.files import locked, whole
from trainables.frozen import digest

_VERSION = 1
"""Raised by every change of how facts are computed."""


def cached_fact(
    kind: str, follows_from: Sequence[str], cache: Path, find: Callable[[], NDArray[np.generic]]
) -> NDArray[np.generic]:
    """The facts of a kind: from the cache, or computed and kept there.

    Args:
        kind: such as "loss".
        follows_from: digests of all inputs of the computation, which name the file.
        cache: the cache folder.
        find: computes the facts.
    """
    path = cache / "facts" / f"{kind}-{digest([kind, *follows_from, _VERSION])[:24]}.npy"
    known = _known(path)
    if known is None:
        with locked(path):
            known = _known(path)
            if known is None:
                known = find()
                with whole(path) as made, made.open("wb") as file:
                    np.save(file, known)
    return known


def _known(path: Path) -> NDArray[np.generic] | None:
    try:
        found: NDArray[np.generic] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found
