"""A short path through points, by nearest neighbours and then 2-opt, without a matrix of all distances.

Finding the shortest Hamiltonian path is out of reach for thousands of points; this one is found in seconds. Only the
similarities of each point to its nearest neighbours are kept.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

_NEIGHBOURS = 24
_SWEPT = 8
"""Neighbours that 2-opt looks at."""

_SWEEPS = 4
_BLOCK_NUMBERS = 1 << 24
"""The number of similarities that are held at once: 64 MB."""


def short_path(points_ND: Floats, start: int) -> Indices:
    """An order of all points, beginning at `start`, with a small sum of cosine distances between neighbours.

    Args:
        points_ND: embeddings; they are normalised here.
        start: number of the first point.
    """
    norms = np.linalg.norm(points_ND, axis=1, keepdims=True)
    points = np.ascontiguousarray(points_ND / np.maximum(norms, 1e-12), dtype=np.float32)
    neighbours = _nearest(points, min(_NEIGHBOURS, len(points) - 1))
    path = _greedy(points, neighbours, start)
    for _ in range(_SWEEPS):
        if not _two_opt(points, neighbours[:, :_SWEPT], path):
            break
    return path


def _nearest(points: Floats, count: int) -> Indices:
    """The `count` nearest of each point, nearest first."""
    found = np.empty((len(points), count), dtype=np.int64)
    rows = max(1, _BLOCK_NUMBERS // len(points))
    for begin in range(0, len(points), rows):
        similar = points[begin : begin + rows] @ points.T
        here = np.arange(len(similar))
        similar[here, begin + here] = -np.inf
        best = np.argpartition(-similar, count - 1, axis=1)[:, :count] if count else found[begin : begin + rows]
        order = np.argsort(-np.take_along_axis(similar, best, axis=1), axis=1, kind="stable")
        found[begin : begin + rows] = np.take_along_axis(best, order, axis=1)
    return found


def _greedy(points: Floats, neighbours: Indices, start: int) -> Indices:
    """The path that always goes on to the nearest point that is left."""
    left = points.copy()  # rows of the points that are left come first
    row_of, point_at, count = np.arange(len(points)), np.arange(len(points)), len(points)
    path = np.empty(len(points), dtype=np.int64)
    visited = np.zeros(len(points), dtype=bool)
    here = start
    for i in range(len(points)):
        path[i], visited[here] = here, True
        count -= 1
        row, last = row_of[here], point_at[count]
        left[row], point_at[row], row_of[last] = left[count], last, row
        if not count:
            break
        near = neighbours[here]
        free = near[~visited[near]]
        here = int(free[0]) if len(free) else int(point_at[np.argmax(left[:count] @ points[here])])
    return path


def _two_opt(points: Floats, neighbours: Indices, path: Indices) -> bool:
    """Reverse stretches of the path in place where that shortens it, and return whether any was; the start stays."""
    place = np.empty(len(path), dtype=np.int64)
    place[path] = np.arange(len(path))
    last, turned = len(path) - 1, False
    for here in path.copy():
        for other in neighbours[here]:
            a, b = sorted((int(place[here]), int(place[other])))
            if b - a < 2:
                continue
            # Edges a-(a+1) and b-(b+1) become a-b and (a+1)-(b+1); at the end of the path only the first counts.
            old = points[path[a]] @ points[path[a + 1]]
            new = points[path[a]] @ points[path[b]]
            if b < last:
                old += points[path[b]] @ points[path[b + 1]]
                new += points[path[a + 1]] @ points[path[b + 1]]
            if new > old + 1e-6:
                path[a + 1 : b + 1] = path[a + 1 : b + 1][::-1]
                place[path[a + 1 : b + 1]] = np.arange(a + 1, b + 1)
                turned = True
    return turned
