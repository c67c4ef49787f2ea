"""Sine and angle by arithmetic alone against those of numpy."""

import numpy as np

from trainables.workloads.pocket.world.drawing.circle import angle, cosine, length, sine

TURNS = np.linspace(-3, 3, 2001, dtype=np.float32)


def test_sine_and_cosine() -> None:
    np.testing.assert_allclose(sine(TURNS), np.sin(2 * np.pi * TURNS.astype(float)), atol=2e-6)
    np.testing.assert_allclose(cosine(TURNS), np.cos(2 * np.pi * TURNS.astype(float)), atol=2e-6)


def test_angle_and_length() -> None:
    turns = TURNS[np.abs(TURNS) < 0.5]
    x, y = 3 * cosine(turns), 3 * sine(turns)
    np.testing.assert_allclose(angle(x, y), turns, atol=2e-6)
    np.testing.assert_allclose(length(x, y), 3, rtol=2e-6)
    assert angle(np.zeros(1, np.float32), np.zeros(1, np.float32)) == 0
