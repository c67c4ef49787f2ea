"""Frontiers of synthetic studies that several tests look at."""

import pytest

from analysis.frontier import Frontier
from tests.analysis.worlds import MORE_KINDS, World, frames, frontier_of, method_frames


@pytest.fixture(scope="module")
def study() -> Frontier:
    return frontier_of(frames(World(tasks=1)))


@pytest.fixture(scope="module")
def methods() -> Frontier:
    return frontier_of(method_frames(World(tasks=1, noise_sd=0.001), MORE_KINDS))
