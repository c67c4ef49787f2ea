"""Drawing: from a signed-distance field to a 32x32 RGB picture, with numpy only.

A form is a field of signed distances (positive inside), so that one warp serves every style: thicker or thinner strokes
are an offset, blur is a softer edge, an outline is a band around zero. A picture is ``ground + mask * (ink - ground)``.
All randomness comes from the ``numpy.random.Generator`` passed in. Shapes: fields [64, 64], masks [32, 32] in [0, 1].
"""

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIDE = 32
FIELD = 64

Floats = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]

HUES: dict[str, float] = {
    "red": 0.0,
    "orange": 0.08,
    "yellow": 0.15,
    "green": 0.33,
    "cyan": 0.5,
    "blue": 0.63,
    "purple": 0.76,
    "magenta": 0.88,
}
COLOURS: tuple[str, ...] = (*HUES, "white", "black")

_ROWS, _COLUMNS = np.meshgrid(
    np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2,
    np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2,
    indexing="ij",
)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How freely a form is placed: half-widths of uniform draws, around an upright form of 22 px in the middle."""

    scale: tuple[float, float] = (0.85, 1.2)
    turn_degrees: float = 8.0
    shear: float = 0.1
    stretch: float = 0.12
    shift_px: float = 2.5
    wave_px: float = 0.4


def distance_field(mask_HW: NDArray[np.bool_]) -> Floats:
    """Signed distance in field pixels of a [128, 128] silhouette, as a [64, 64] field."""
    inside = ndimage.distance_transform_edt(mask_HW)
    outside = ndimage.distance_transform_edt(~mask_HW)
    signed = np.where(mask_HW, inside - 0.5, 0.5 - outside) / 2
    return np.ascontiguousarray(signed.reshape(FIELD, 2, FIELD, 2).mean(axis=(1, 3)), dtype=np.float32)


def place(field_HW: Floats, pose: Pose, rng: np.random.Generator) -> Floats:
    """Signed distances, in image pixels, of the form after a random affine map and a gentle wave."""
    draw = rng.uniform(-1, 1, 12)
    scale = pose.scale[0] + (pose.scale[1] - pose.scale[0]) * (draw[0] + 1) / 2
    angle = np.deg2rad(pose.turn_degrees * draw[1])
    cosine, sine = np.cos(angle), np.sin(angle)
    stretch = np.exp(pose.stretch * draw[2])
    rows, columns = _ROWS - pose.shift_px * draw[3], _COLUMNS - pose.shift_px * draw[4]
    if pose.wave_px:
        turns = 2 * np.pi / SIDE * (1.25 + 0.75 * draw[5:7])
        bend = pose.wave_px * draw[7:9]
        rows, columns = (
            rows + np.float32(bend[0]) * np.sin(columns * turns[0] + np.pi * draw[9]),
            columns + np.float32(bend[1]) * np.sin(rows * turns[1] + np.pi * draw[10]),
        )
    step = FIELD / SIDE / scale
    field_rows = (cosine * rows - sine * columns) * step * stretch + (FIELD - 1) / 2
    field_columns = (sine * rows + cosine * columns + pose.shear * draw[11] * rows) * step / stretch + (FIELD - 1) / 2
    placed = ndimage.map_coordinates(field_HW, (field_rows, field_columns), order=1, mode="nearest")
    return np.asarray(placed / step, dtype=np.float32)


def fill(distance_HW: Floats, *, weight_px: float = 0.0, softness_px: float = 1.0) -> Floats:
    """Mask of the inside, ``weight_px`` thicker on each side, with an edge ``softness_px`` wide."""
    return np.asarray(np.clip((distance_HW + weight_px) / softness_px + 0.5, 0, 1), dtype=np.float32)


def outline(distance_HW: Floats, *, width_px: float) -> Floats:
    """Mask of a line ``width_px`` wide along the edge."""
    return fill(width_px / 2 - np.abs(distance_HW))


def coarsen(mask_HW: Floats, cells: int) -> Floats:
    """The mask as a scan of ``cells`` x ``cells`` pixels would keep it, enlarged again."""
    small = ndimage.zoom(
        ndimage.uniform_filter(mask_HW, SIDE / cells), cells / SIDE, order=1, grid_mode=True, mode="nearest"
    )
    return enlarge(small)


def enlarge(small_HW: Floats) -> Floats:
    """A small square mask, enlarged to [32, 32] with linear interpolation."""
    factor = SIDE / small_HW.shape[0]
    large = ndimage.zoom(small_HW, factor, order=1, grid_mode=True, mode="nearest")
    return np.asarray(np.clip(large, 0, 1), dtype=np.float32)


def colour(name: str, rng: np.random.Generator) -> Colour:
    """A random colour that people would call ``name``."""
    draw = rng.uniform(0, 1, 3)
    if name == "white":
        return _rgb(draw[0], 0.06 * draw[1], 0.92 + 0.08 * draw[2])
    if name == "black":
        return _rgb(draw[0], 0.5 * draw[1], 0.12 * draw[2])
    return _rgb(HUES[name] + 0.04 * (draw[0] - 0.5), 0.75 + 0.25 * draw[1], 0.75 + 0.25 * draw[2])


def ground(ink: Colour, rng: np.random.Generator, *, neutral: bool = False) -> Colour:
    """A random ground that the ink stands out from; ``neutral`` keeps its colour pale or dark."""
    for _ in range(8):
        draw = rng.uniform(0, 1, 4)
        if draw[3] < 0.4:
            chosen = _rgb(draw[0], 0.5 * draw[1], 0.3 * draw[2])
        elif draw[3] < 0.7 or neutral:
            chosen = _rgb(draw[0], 0.2 * draw[1], 0.7 + 0.3 * draw[2])
        else:
            chosen = _rgb(draw[0], 0.3 + 0.5 * draw[1], 0.3 + 0.6 * draw[2])
        if sum((a - b) ** 2 for a, b in zip(ink, chosen, strict=True)) > 0.36:
            return chosen
    luminance = 0.3 * ink[0] + 0.59 * ink[1] + 0.11 * ink[2]
    return (0.05, 0.05, 0.05) if luminance > 0.5 else (0.95, 0.95, 0.95)


def is_dark(shade: Colour) -> bool:
    """Whether people would call the colour dark."""
    return 0.3 * shade[0] + 0.59 * shade[1] + 0.11 * shade[2] < 0.4


def paint(mask_HW: Floats, ink: Colour, back: Colour, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture [32, 32, 3] of the mask in ink on a lightly shaded, slightly noisy ground."""
    draw = rng.uniform(-1, 1, 3)
    shade_HW = (0.1 / SIDE) * (draw[0] * _ROWS + draw[1] * _COLUMNS)
    low, high = np.asarray(back, dtype=np.float32), np.asarray(ink, dtype=np.float32)
    picture = low + mask_HW[..., None] * (high - low) + shade_HW[..., None]
    noise = rng.standard_normal((SIDE, SIDE, 3), dtype=np.float32)
    picture += np.float32(0.02 + 0.02 * draw[2]) * noise
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255), dtype=np.uint8)


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
