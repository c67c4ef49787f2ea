"""Counter-based randomness: every picture has a key, and its k-th random number is a hash of key and k.

A key is a hash of (world seed, data set, split, index), so a picture is the same whichever pictures are drawn beside it
and in whatever order. The hash is the finaliser of SplitMix64 (Steele et al., OOPSLA 2014): whole numbers alone, which
are equal on every machine. A branch has keys of its own, for draws that only some pictures of a batch need.
Shapes: N pictures.
"""

import hashlib
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


class Draws:
    """Random numbers of N pictures; each method takes the next ones of every picture.

    Attributes:
        keys_N: the key of each picture.
    """

    def __init__(self, keys_N: Keys) -> None:
        self.keys_N = keys_N
        self._taken = 0

    def __len__(self) -> int:
        return len(self.keys_N)

    def branch(self, name: str, rows: Ints | slice = slice(None)) -> "Draws":
        """Draws of some of the pictures (all by default) that share no number with these or with another name's."""
        return Draws(_mixed(self.keys_N[rows] ^ _hash(name)))

    def uniform(self, low: float | Floats = 0.0, high: float | Floats = 1.0) -> Floats:
        """[N] numbers in [low, high)."""
        unit = (self._bits(1)[:, 0] >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        return np.asarray(low + (high - low) * unit, dtype=np.float32)

    def uniforms(self, count: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """[N, count] numbers in [low, high)."""
        unit = (self._bits(count) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        return np.asarray(low + (high - low) * unit, dtype=np.float32)

    def below(self, count: int) -> Ints:
        """[N] whole numbers from 0 to count - 1."""
        return ((self._bits(1)[:, 0] >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype(np.int64)

    def ranked(self, count: int) -> Ints:
        """[N, count] a random order of 0 .. count - 1 for each picture."""
        return np.argsort(self._bits(count), axis=1, kind="stable")

    def grains(self, count: int) -> Floats:
        """[N, count] numbers of mean 0 and deviation 1 that are spread like the sum of two dice."""
        bytes_N = self._bits(-(-count // 4)).view(np.int8).astype(np.float32)
        pairs_N = bytes_N[:, : 2 * count].reshape(len(self), 2, count)
        return np.asarray((pairs_N[:, 0] + pairs_N[:, 1] + 1) * np.float32(1 / 104.512), dtype=np.float32)

    def _bits(self, count: int) -> Keys:
        counters = np.arange(self._taken, self._taken + count, dtype=np.uint64) * _STEP
        self._taken += count
        return _mixed(self.keys_N[:, None] + counters)


def draws(seed: int, name: str, indices: Ints) -> Draws:
    """The randomness of some pictures of a data set's split, or of the pool, in the world of this seed."""
    return Draws(_mixed(_mixed(indices.astype(np.uint64) * _STEP + _hash(name)) ^ _hash(f"world {seed}")))


def _mixed(keys: Keys) -> Keys:
    keys = (keys ^ (keys >> np.uint64(30))) * _FIRST
    keys = (keys ^ (keys >> np.uint64(27))) * _SECOND
    return keys ^ (keys >> np.uint64(31))


@cache
def _hash(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))
