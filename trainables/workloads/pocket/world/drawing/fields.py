"""Distance fields: a form as its signed distances, positive inside, so that one warp serves every style.

A thicker stroke is an offset, blur is a softer edge, an outline is a band around zero. Forms that are drawn once
(glyphs, polygons) are kept as fields [64, 64] and read between their points; discs, boxes and bars are formulas.
Shapes: N pictures of 32 x 32; all results are [N, 32, 32] in pixels of the picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trainables.workloads.pocket.world.drawing.circle import cosine, length, sine
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints

SIDE = 32
FIELD = 64
RASTER = 2 * FIELD

ROWS: Floats = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2)[:, None] + np.zeros((1, SIDE), dtype=np.float32)
"""The pixels' places from the middle of the picture, downwards."""
COLUMNS: Floats = np.ascontiguousarray(ROWS.T)
"""The pixels' places from the middle of the picture, to the right."""


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How freely a form is placed: half-widths of uniform draws, around an upright form of 22 px in the middle.

    Attributes:
        scale: smallest and largest size.
        turn_degrees: turn.
        shear: shear of columns by rows.
        stretch: rows are made longer and columns shorter by this share.
        shift_px: shift along both axes.
        wave_px: height of a gentle wave along both axes.
    """

    scale: tuple[float, float] = (0.85, 1.2)
    turn_degrees: float = 8.0
    shear: float = 0.1
    stretch: float = 0.12
    shift_px: float = 2.5
    wave_px: float = 0.4


UPRIGHT = Pose()
LOOSE = Pose(scale=(0.8, 1.3), turn_degrees=15, shear=0.25, stretch=0.25, shift_px=3.5, wave_px=1.3)
TURNED = Pose(scale=(0.8, 1.25), turn_degrees=20, shear=0.1, stretch=0.1, shift_px=4, wave_px=0.2)


def distance_field(mask_HW: NDArray[np.bool_]) -> Floats:
    """The field [64, 64], in field pixels, of a silhouette [128, 128]."""
    inside: NDArray[Any] = ndimage.distance_transform_edt(mask_HW)
    outside: NDArray[Any] = ndimage.distance_transform_edt(~mask_HW)
    signed = np.where(mask_HW, inside - 0.5, 0.5 - outside).astype(np.float32) / 2
    upper, lower = signed[0::2], signed[1::2]
    return np.ascontiguousarray((upper[:, 0::2] + upper[:, 1::2] + lower[:, 0::2] + lower[:, 1::2]) / 4)


def place(
    fields_KFF: Floats,
    which_N: Ints,
    pose: Pose,
    draws: Draws,
    *,
    scale_N: Floats | None = None,
    turn_N: Floats | float = 0.0,
    shift_N2: Floats | float = 0.0,
) -> Floats:
    """The fields of these numbers after a random affine map and a gentle wave.

    Args:
        fields_KFF: fields to choose from.
        which_N: the field of each picture.
        pose: how far the map may go.
        draws: the pictures' randomness.
        scale_N: sizes in place of random ones.
        turn_N: turns clockwise before the random one.
        shift_N2: shifts to the right and down, in pixels, before the random one.
    """
    draw = np.moveaxis(draws.uniforms(11, -1, 1), 1, 0)[:, :, None, None]
    size_N = draws.uniform(*pose.scale)
    shift = np.broadcast_to(np.asarray(shift_N2, dtype=np.float32), (len(draws), 2))
    turn = _wide(turn_N) + np.float32(pose.turn_degrees / 360) * draw[0]
    stretch = 1 + np.float32(pose.stretch) * draw[1]
    columns = COLUMNS - (_wide(shift[:, 0]) + np.float32(pose.shift_px) * draw[2])
    rows = ROWS - (_wide(shift[:, 1]) + np.float32(pose.shift_px) * draw[3])
    if pose.wave_px:
        waves = (np.float32(1.25) + np.float32(0.75) * draw[4:6]) / SIDE
        bend = np.float32(pose.wave_px) * draw[6:8]
        rows, columns = (  # along one axis a wave is the same for all rows, or for all columns
            rows + bend[0] * sine(columns[:, :1] * waves[0] + draw[8] / 2),
            columns + bend[1] * sine(rows[:, :, :1] * waves[1] + draw[9] / 2),
        )
    step = np.float32(FIELD / SIDE) / _wide(size_N if scale_N is None else scale_N)
    along, across = cosine(turn) * step, sine(turn) * step
    field_rows = (along * rows - across * columns) * stretch + np.float32((FIELD - 1) / 2)
    sheared = columns + np.float32(pose.shear) * draw[10] * rows
    field_columns = (across * rows + along * sheared) / stretch + np.float32((FIELD - 1) / 2)
    return _between(fields_KFF, which_N, field_rows, field_columns) / step


def disc(x_N: Floats, y_N: Floats, radius_N: Floats | float) -> Floats:
    """Discs, by the place of their middle (right and down of the picture's) and their radius."""
    return _wide(radius_N) - length(COLUMNS - _wide(x_N), ROWS - _wide(y_N))


def box(left_N: Floats, top_N: Floats, right_N: Floats, bottom_N: Floats) -> Floats:
    """Upright boxes; distances outside of a corner are too small, which no edge shows."""
    across = np.minimum(COLUMNS - _wide(left_N), _wide(right_N) - COLUMNS)
    return np.minimum(across, np.minimum(ROWS - _wide(top_N), _wide(bottom_N) - ROWS))


def bar(x0_N: Floats, y0_N: Floats, x1_N: Floats, y1_N: Floats, width_N: Floats | float) -> Floats:
    """Straight strokes with round ends, `width_N` wide."""
    x0, y0 = _wide(x0_N), _wide(y0_N)
    dx, dy = _wide(x1_N) - x0, _wide(y1_N) - y0
    along = ((COLUMNS - x0) * dx + (ROWS - y0) * dy) / np.maximum(dx * dx + dy * dy, np.float32(1e-6))
    along = np.minimum(np.maximum(along, 0), 1)
    return _wide(width_N) / 2 - length(COLUMNS - x0 - along * dx, ROWS - y0 - along * dy)


def _wide(value_N: Floats | float) -> Floats:
    return np.asarray(value_N, dtype=np.float32).reshape(-1, 1, 1)


def _between(fields_KFF: Floats, which_N: Ints, rows_NHW: Floats, columns_NHW: Floats) -> Floats:
    """The fields' values between four points each; beyond the edge those of the edge."""
    edge = np.float32(FIELD - 1.001)
    rows_NHW = np.minimum(np.maximum(rows_NHW, 0), edge)
    columns_NHW = np.minimum(np.maximum(columns_NHW, 0), edge)
    row, column = rows_NHW.astype(np.int32), columns_NHW.astype(np.int32)
    down, right = rows_NHW - row, columns_NHW - column
    flat = fields_KFF.reshape(-1)
    first = (row * FIELD + column).astype(np.int64) + (which_N * (FIELD * FIELD))[:, None, None]
    upper = np.take(flat, first)
    upper += right * (np.take(flat, first + 1) - upper)
    lower = np.take(flat, first + FIELD)
    lower += right * (np.take(flat, first + (FIELD + 1)) - lower)
    return upper + down * (lower - upper)
