"""Synthetic worlds as arrays: configs on a known curve of the plane, seen many times through noise.

Lighter than `worlds`, which makes the tables of a whole study: here a thousand studies are one array.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.plane.points import Points

FloatArray = npt.NDArray[np.float64]
Tails = Literal["normal", "t3"]

ZERO_SHOT = (0.385, 0.679)
JOINT = (0.560, 0.625)
FLOOR = JOINT[1] - abs(ZERO_SHOT[1] - JOINT[1]) / 2
REFERENCE = (ZERO_SHOT[0], FLOOR)
BOX = (JOINT[0] - ZERO_SHOT[0]) * (ZERO_SHOT[1] - FLOOR)


@dataclass(frozen=True, kw_only=True)
class ArrayWorld:
    """True points (configs, 2) and what was observed (runs, configs, blocks, 2): AKA and AZS, fractions."""

    truth: FloatArray
    observed: FloatArray

    @property
    def runs(self) -> tuple[Points, ...]:
        """Every run as the points of a study whose anchors are known exactly."""
        blocks = self.observed.shape[2]
        z, j = np.tile(ZERO_SHOT, (blocks, 1)), np.tile(JOINT, (blocks, 1))
        return tuple(Points(x=run[..., 0], y=run[..., 1], zero_shot=z, joint=j) for run in self.observed)


def world(
    *,
    bow: float,
    lift: float,
    noise_sd: float,
    block_sd: float,
    configs: int,
    blocks: int,
    runs: int = 400,
    seed: int = 0,
    tails: Tails = "normal",
) -> ArrayWorld:
    """Configs on one curve (see `curve`), observed with noise (see `observe`)."""
    truth = curve(bow=bow, lift=lift, configs=configs)
    observed = observe(
        truth,
        noise_sd=noise_sd,
        block_sd=block_sd,
        blocks=blocks,
        runs=runs,
        rng=np.random.default_rng(seed),
        tails=tails,
    )
    return ArrayWorld(truth=truth, observed=observed)


def curve(*, bow: float, lift: float, configs: int) -> FloatArray:
    """Points (configs, 2) on a concave arc: `lift` above the Z-J line, and `bow` more in its middle."""
    u = np.linspace(0.1, 0.9, configs)
    (x_z, y_z), (x_j, y_j) = ZERO_SHOT, JOINT
    return np.stack((x_z + u * (x_j - x_z), y_z + u * (y_j - y_z) + lift + 4 * bow * u * (1 - u)), axis=1)


def observe(
    truth_C2: FloatArray,
    *,
    noise_sd: float,
    block_sd: float,
    blocks: int,
    runs: int,
    rng: np.random.Generator,
    tails: Tails = "normal",
) -> FloatArray:
    """The points (runs, configs, blocks, 2) with noise of their own and noise that all configs of a block share."""

    def noise(*shape: int) -> FloatArray:
        if tails == "normal":
            return rng.normal(size=shape)
        return np.asarray(rng.standard_t(3, size=shape) / np.sqrt(3), dtype=float)

    shared = block_sd * noise(runs, 1, blocks, 2)
    return np.asarray(truth_C2[:, np.newaxis] + shared + noise_sd * noise(runs, len(truth_C2), blocks, 2), dtype=float)
