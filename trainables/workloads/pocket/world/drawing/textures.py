"""Textures: values over the whole picture, positive where the ink is; the pool's ten and ten new ones.

A texture is a function of coordinates (in periods, already turned and shifted at random) whose value runs from -1 to 1
over about half a period; `texture` makes masks of it. Shapes: [N, 32, 32].
"""

from collections.abc import Callable, Sequence

import numpy as np

from trainables.workloads.pocket.world.drawing.circle import angle, cosine, length, sine
from trainables.workloads.pocket.world.drawing.fields import COLUMNS, ROWS, SIDE
from trainables.workloads.pocket.world.drawing.masks import blurred, fill
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints

Field = Callable[[Floats, Floats, Draws], Floats]


def _wave(x: Floats) -> Floats:
    """A triangle wave of period 1 between -1 and 1, 1 at the integers."""
    return 1 - 4 * np.abs(x - np.rint(x))


def _round(x: Floats) -> Floats:
    """The distance to the nearest integer, with its sign."""
    rest: Floats = x - np.rint(x)
    return rest


def _odd_row(row: Floats) -> Floats:
    """1 in odd rows and 0 in even ones."""
    odd: Floats = row - 2 * np.floor(row / 2)
    return odd


def _speckle(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    return draws.grains(SIDE * SIDE).reshape(-1, SIDE, SIDE)


def _blobs(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    noise = draws.grains(SIDE * SIDE).reshape(-1, SIDE, SIDE)
    blobs: Floats = blurred(noise, 12, wrapped=True) * np.float32(8.7)  # of deviation 1 again
    return blobs


def _bricks(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    row = np.floor(y * np.float32(1.6))
    joints = _wave(x * np.float32(0.8) + _odd_row(row) / 2) * 2 - np.float32(1.5)
    field: Floats = np.maximum(_wave(y * np.float32(1.6)) * 2 - np.float32(1.2), joints)
    return field


def _honeycomb(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    near = []
    for shift in (np.float32(0), np.float32(0.5)):
        u, v = np.abs(_round(x - shift)), np.abs(_round(y / np.float32(1.732) - shift)) * np.float32(1.732)
        near.append(np.maximum(u, np.float32(0.5) * u + np.float32(0.866) * v))
    field: Floats = (np.minimum(near[0], near[1]) - np.float32(0.38)) * 8
    return field


def _scales(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    row = np.floor(y * 2)
    radius = length(_round(x + _odd_row(row) / 2), y - row / 2)
    field: Floats = (np.float32(0.09) - np.abs(radius - np.float32(0.42))) * 8
    return field


def _basket(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    even = _odd_row(np.floor(x) + np.floor(y)) == 0
    return np.where(even, _wave(x * 3), _wave(y * 3))


def _plaid(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    bands = [(_wave(z) > 0.1).astype(np.float32) * np.float32(0.55) for z in (x, y)]
    return bands[0] + bands[1] - np.float32(0.5)


def _spiral(x: Floats, y: Floats, draws: Draws) -> Floats:
    hand = np.where(draws.uniform() < 0.5, np.float32(1), np.float32(-1))[:, None, None]
    return _wave(length(x, y) + hand * angle(x, y))


def _sunburst(x: Floats, y: Floats, draws: Draws) -> Floats:
    rays = (6 + draws.below(6)).astype(np.float32)[:, None, None]
    return _wave(angle(x, y) * rays) * np.float32(1.5)


def _dots(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    return (np.float32(0.32) - length(_round(x), _round(y))) * 6


def _diagonal(x: Floats, y: Floats) -> Floats:
    return _wave((x + y) * np.float32(0.707))


def _crosshatch(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    return np.maximum(_diagonal(x, y), _diagonal(x, -y)) * 2 - np.float32(1.2)


def _harlequin(x: Floats, y: Floats, draws: Draws) -> Floats:  # noqa: ARG001
    half = y / 2
    return _wave((x + half) * np.float32(0.8)) * _wave((x - half) * np.float32(0.8)) * 2


# name -> (field, largest turn in degrees, (shortest, longest) period in pixels, greatest shift in pixels)
Row = tuple[Field, float, tuple[float, float], float]

POOL_TEXTURES: dict[str, Row] = {
    "horizontal stripes": (lambda _x, y, _: _wave(y), 10, (5, 11), 16),
    "vertical stripes": (lambda x, _y, _: _wave(x), 10, (5, 11), 16),
    "diagonal stripes": (lambda x, y, _: _diagonal(x, y), 12, (5, 11), 16),
    "checkerboard": (lambda x, y, _: _wave(x) * _wave(y) * 2, 10, (8, 16), 16),
    "polka dots": (_dots, 45, (6, 11), 16),
    "rings": (lambda x, y, _: _wave(length(x, y)), 180, (5, 10), 5),
    "grid": (lambda x, y, _: np.maximum(_wave(x), _wave(y)) * 2 - np.float32(1.3), 12, (6, 11), 16),
    "sunburst": (_sunburst, 180, (8, 8), 5),
    "speckle": (_speckle, 0, (8, 8), 0),
    "blobs": (_blobs, 0, (8, 8), 0),
}

NEW_TEXTURES: dict[str, Row] = {
    "zigzag": (lambda x, y, _: _wave(y + np.float32(0.35) * _wave(x * np.float32(0.8))), 10, (7, 11), 16),
    "waves": (lambda x, y, _: _wave(y + np.float32(0.3) * sine(x * np.float32(0.45))), 10, (6, 10), 16),
    "bricks": (_bricks, 8, (10, 14), 16),
    "honeycomb": (_honeycomb, 30, (8, 12), 16),
    "scales": (_scales, 8, (9, 13), 16),
    "crosshatch": (_crosshatch, 8, (6, 10), 16),
    "basketweave": (_basket, 8, (9, 13), 16),
    "plaid": (_plaid, 8, (8, 12), 16),
    "spiral": (_spiral, 180, (6, 10), 3),
    "harlequin": (_harlequin, 6, (9, 13), 16),
}


def textures(names: Sequence[str], which_N: Ints, draws: Draws, *, softness_N: Floats | float = 0.5) -> Floats:
    """Masks of textures, turned, shifted and sized at random; `which_N` are places in `names`."""
    masks = np.empty((len(draws), SIDE, SIDE), dtype=np.float32)
    softness_N = np.broadcast_to(np.asarray(softness_N, dtype=np.float32), len(draws))
    for k in np.unique(which_N):
        rows = np.flatnonzero(which_N == k)
        masks[rows] = _masks(names[k], draws.branch("texture", rows), softness_N[rows])
    return masks


def _masks(name: str, draws: Draws, softness_N: Floats) -> Floats:
    field, turn_degrees, period_px, shift_px = POOL_TEXTURES.get(name) or NEW_TEXTURES[name]
    draw = np.moveaxis(draws.uniforms(3, -1, 1), 1, 0)[:, :, None, None]
    turn = np.float32(turn_degrees / 360) * draw[0]
    period = draws.uniform(*period_px)[:, None, None]
    x, y = COLUMNS + np.float32(shift_px) * draw[1], ROWS + np.float32(shift_px) * draw[2]
    along, across = cosine(turn) / period, sine(turn) / period
    return fill(field(along * x - across * y, across * x + along * y, draws), softness_px=softness_N)
