"""Figures: pictures with parts that mean something: dots to count, and dials to read.

Each function draws one random example for each picture, as masks [N, 32, 32] in [0, 1]; grey is a second ink.
"""

import numpy as np

from trainables.workloads.pocket.world.drawing.circle import cosine, sine
from trainables.workloads.pocket.world.drawing.fields import SIDE, bar, disc
from trainables.workloads.pocket.world.drawing.masks import fill, outline, over
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints

_MOST_DOTS = 8


def dots(count_N: Ints, draws: Draws) -> Floats:
    """So many dots, from 1 to 8, that do not touch, in some of the nine cells of a loose grid."""
    cells_N9 = draws.ranked(9)
    radius_N = draws.uniform(2.25, 3.75)
    slack_N = np.float32(4.75) - radius_N
    distance = np.full((len(draws), SIDE, SIDE), -SIDE, dtype=np.float32)
    for k in range(_MOST_DOTS):
        off = draws.uniforms(2, -1, 1)
        x_N = (10 * (cells_N9[:, k] % 3 - 1)).astype(np.float32) + off[:, 0] * slack_N
        y_N = (10 * (cells_N9[:, k] // 3 - 1)).astype(np.float32) + off[:, 1] * slack_N
        distance = np.maximum(distance, disc(x_N, y_N, np.where(k < count_N, radius_N, np.float32(-SIDE))))
    return fill(distance)


def dials(hour_N: Ints, draws: Draws) -> Floats:
    """Dials whose hand points to the hour, from 1 to 12, give or take six degrees."""
    x_N, y_N = np.moveaxis(draws.uniforms(2, -2, 2), 1, 0)
    radius_N = draws.uniform(10, 13.5)
    turn_N = (hour_N / 12).astype(np.float32) - np.float32(0.25) + draws.uniform(-6 / 360, 6 / 360)
    mask = np.float32(0.66) * outline(disc(x_N, y_N, radius_N), width_px=draws.uniform(1.0, 2.0))
    has_ticks_N = draws.uniform() < 0.5
    for k in range(12):
        turn = np.full(1, k / 12, dtype=np.float32)
        across, down = cosine(turn), sine(turn)
        inner_N = np.where(has_ticks_N, radius_N - np.float32(2.5), radius_N)
        tick = bar(x_N + inner_N * across, y_N + inner_N * down, x_N + radius_N * across, y_N + radius_N * down, 1.0)
        mask = over(mask, 0.66, fill(tick))
    length_N, width_N = radius_N * draws.uniform(0.72, 0.92), draws.uniform(2, 3.5)
    hand = bar(x_N, y_N, x_N + length_N * cosine(turn_N), y_N + length_N * sine(turn_N), width_N)
    return over(mask, 1.0, fill(np.maximum(hand, disc(x_N, y_N, width_N * np.float32(0.8)))))
