"""The pocket benchmark: a procedural world of small pictures with captions, and a small CLIP pretrained on it."""

from trainables.workloads.pocket.samples import Samples, pool, samples
from trainables.workloads.pocket.world import DATASETS, WORLD_VERSION, PocketDataset, pool_sample, render

__all__ = ["DATASETS", "WORLD_VERSION", "PocketDataset", "Samples", "pool", "pool_sample", "render", "samples"]
