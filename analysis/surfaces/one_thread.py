"""Linear algebra on one thread: a report's matrices are small, and on busy cores threads wait for each other.

A Gaussian process of 200 configs took 0.3 s of CPU on one thread and 15 s on two that shared their cores with others.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def on_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that BLAS has one thread while it runs."""
    limited: Callable[P, R] = threadpool_limits.wrap(limits=1, user_api="blas")(function)
    return limited
