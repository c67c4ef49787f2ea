"""Releases: pretrained weights of one size, and the card that says how they were made and on which world.

The shipped ones lie beside this file. `python -m trainables.workloads.pocket.pretrain` makes them again, and makes
those of another draw of the world in a folder of the user's. This file imports no torch, since plans read releases.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainables.frozen import ConfigError
from trainables.workloads.pocket.settings import Pocket, Size
from trainables.workloads.pocket.world import WORLD_VERSION

SHIPPED = Path(__file__).parent


@dataclass(frozen=True)
class Release:
    """Pretrained weights of one size in a folder."""

    size: Size
    folder: Path = SHIPPED

    @property
    def weights(self) -> Path:
        """The file of the weights: half-precision tensors by parameter name."""
        return self.folder / f"pocket-{self.size}.safetensors"

    @property
    def card_file(self) -> Path:
        """The file of the card."""
        return self.folder / f"pocket-{self.size}.json"

    @cached_property
    def card(self) -> dict[str, Any]:
        """Recipe, scores and world of the weights."""
        card: dict[str, Any] = json.loads(self.card_file.read_text(encoding="utf-8"))
        return card

    @property
    def world_seed(self) -> int:
        """The seed of the world that the weights were pretrained on."""
        return int(self.card["recipe"]["world_seed"])

    @cached_property
    def digest(self) -> str:
        """Digest of the weights."""
        return hashlib.sha256(self.weights.read_bytes()).hexdigest()


def release_of(settings: Pocket) -> Release:
    """The release that a study is about.

    Raises:
        ConfigError: the folder has no weights of this size, or those of an earlier world.
    """
    if settings.world is None:
        return Release(settings.size)
    release = Release(settings.size, Path(settings.world))
    remedy = (
        f"python -m trainables.workloads.pocket.pretrain --size {settings.size} --world-seed 1 --out {settings.world}"
    )
    for file in (release.weights, release.card_file):
        if not file.is_file():
            raise ConfigError(f"workload.world: {file} is missing; name a folder that was made by: {remedy}")
    if release.card["world_version"] != WORLD_VERSION:
        raise ConfigError(f"workload.world: {settings.world} is of an earlier version of the world; make it: {remedy}")
    return release
