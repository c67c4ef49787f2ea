"""Textures: fields over the whole picture, positive where the ink is; the pool's ten and ten new ones.

A texture is a function of coordinates (in periods, already turned and shifted at random) whose value runs from -1 to 1
over about half a period; ``texture`` turns it into a mask whose edges can be made soft, which is what blur is.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from trainables.workloads.pocket.drawing import SIDE, Floats, fill

Field = Callable[[Floats, Floats, np.random.Generator], Floats]

_Y, _X = np.meshgrid(
    np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2,
    np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2,
    indexing="ij",
)
_TURN = 2 * np.pi


def _wave(x: Floats) -> Floats:
    """A triangle wave of period 1 between -1 and 1, 1 at the integers."""
    wave: Floats = np.asarray(1 - 4 * np.abs(x - np.round(x)), dtype=np.float32)
    return wave


def _speckle(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    del x, y
    return rng.standard_normal((SIDE, SIDE), dtype=np.float32)


def _blobs(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    del x, y
    noise = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE), dtype=np.float32), 2.4, mode="wrap")
    return np.asarray(noise / noise.std(), dtype=np.float32)


def _bricks(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    del rng
    row = np.floor(y * 1.6)
    beds, joints = _wave(y * 1.6) * 2 - 1.2, _wave(x * 0.8 + 0.5 * (row % 2)) * 2 - 1.5
    return np.asarray(np.maximum(beds, joints), dtype=np.float32)


def _honeycomb(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    del rng
    near: list[Floats] = []
    for dx, dy in ((0.0, 0.0), (0.5, 0.5)):
        u, v = x - dx - np.round(x - dx), (y / 1.732 - dy - np.round(y / 1.732 - dy)) * 1.732
        near.append(np.maximum(np.abs(u), 0.5 * np.abs(u) + 0.866 * np.abs(v)))
    return np.asarray((np.minimum(near[0], near[1]) - 0.38) * 8, dtype=np.float32)


def _scales(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    del rng
    row = np.floor(y * 2)
    u = x + 0.5 * (row % 2)
    radius = np.hypot(u - np.round(u), (y * 2 - row) * 0.5)
    return np.asarray((0.09 - np.abs(radius - 0.42)) * 8, dtype=np.float32)


def _basket(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    del rng
    even = (np.floor(x) + np.floor(y)) % 2 == 0
    return np.where(even, _wave(x * 3), _wave(y * 3))


def _plaid(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    del rng
    return np.asarray((_wave(x) > 0.1) * 0.55 + (_wave(y) > 0.1) * 0.55 - 0.5, dtype=np.float32)


def _spiral(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    arm = np.arctan2(y, x) / _TURN
    return _wave(np.hypot(x, y) + (arm if rng.uniform() < 0.5 else -arm))


# name -> (field, largest turn in degrees, (shortest, longest) period in pixels, greatest shift in pixels)
Row = tuple[Field, float, tuple[float, float], float]

POOL_TEXTURES: dict[str, Row] = {
    "horizontal stripes": (lambda _x, y, _: _wave(y), 10, (5, 11), 16),
    "vertical stripes": (lambda x, _y, _: _wave(x), 10, (5, 11), 16),
    "diagonal stripes": (lambda x, y, _: _wave((x + y) * 0.707), 12, (5, 11), 16),
    "checkerboard": (lambda x, y, _: _wave(x) * _wave(y) * 2, 10, (8, 16), 16),
    "polka dots": (lambda x, y, _: (0.32 - np.hypot(x - np.round(x), y - np.round(y))) * 6, 45, (6, 11), 16),
    "rings": (lambda x, y, _: _wave(np.hypot(x, y)), 180, (5, 10), 5),
    "grid": (lambda x, y, _: np.maximum(_wave(x), _wave(y)) * 2 - 1.3, 12, (6, 11), 16),
    "sunburst": (lambda x, y, rng: _wave(np.arctan2(y, x) / _TURN * rng.integers(6, 12)) * 1.5, 180, (8, 8), 5),
    "speckle": (_speckle, 0, (8, 8), 0),
    "blobs": (_blobs, 0, (8, 8), 0),
}

NEW_TEXTURES: dict[str, Row] = {
    "zigzag": (lambda x, y, _: _wave(y + 0.35 * _wave(x * 0.8)), 10, (7, 11), 16),
    "waves": (lambda x, y, _: _wave(y + 0.3 * np.sin(_TURN * x * 0.45)), 10, (6, 10), 16),
    "bricks": (_bricks, 8, (10, 14), 16),
    "honeycomb": (_honeycomb, 30, (8, 12), 16),
    "scales": (_scales, 8, (9, 13), 16),
    "crosshatch": (
        lambda x, y, _: np.maximum(_wave((x + y) * 0.707), _wave((x - y) * 0.707)) * 2 - 1.2,
        8,
        (6, 10),
        16,
    ),
    "basketweave": (_basket, 8, (9, 13), 16),
    "plaid": (_plaid, 8, (8, 12), 16),
    "spiral": (_spiral, 180, (6, 10), 3),
    "harlequin": (lambda x, y, _: _wave((x + 0.5 * y) * 0.8) * _wave((x - 0.5 * y) * 0.8) * 2, 6, (9, 13), 16),
}


def texture(name: str, rng: np.random.Generator, *, softness: float = 0.5, blur_px: float = 0.0) -> Floats:
    """A mask [32, 32] of the texture, turned, shifted and sized at random, then blurred by ``blur_px``."""
    field, turn_degrees, (shortest, longest), shift_px = POOL_TEXTURES.get(name) or NEW_TEXTURES[name]
    draw = rng.uniform(-1, 1, 4)
    angle = np.deg2rad(turn_degrees * draw[0])
    period = shortest + (longest - shortest) * (draw[1] + 1) / 2
    x, y = _X + shift_px * draw[2], _Y + shift_px * draw[3]
    turned_x = np.asarray((np.cos(angle) * x - np.sin(angle) * y) / period, dtype=np.float32)
    turned_y = np.asarray((np.sin(angle) * x + np.cos(angle) * y) / period, dtype=np.float32)
    mask = fill(field(turned_x, turned_y, rng), softness_px=softness)
    return np.asarray(ndimage.gaussian_filter(mask, blur_px, mode="nearest"), dtype=np.float32) if blur_px else mask
