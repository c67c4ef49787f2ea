"""Randomness as an argument: generators derived from names, so that a draw depends on nothing but its name.

A generator is made from labels such as (seed, task, step, "captions"). No global seed is read or set, so worker
processes can be used again and two trials with equal prefixes draw equal numbers.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def entropy(*labels: int | str) -> int:
    """128 bits that depend on the labels alone."""
    text = "\x1f".join(f"{type(label).__name__}:{label}" for label in labels)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def generator(*labels: int | str) -> np.random.Generator:
    """A numpy generator for these labels."""
    return np.random.Generator(np.random.PCG64(entropy(*labels)))


@contextmanager
def torch_seed(*labels: int | str) -> Iterator[None]:
    """Seed torch's global CPU generator, which libraries such as peft draw from, inside the block only."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(entropy(*labels) % 2**63)
        yield
