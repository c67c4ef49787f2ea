"""Linear algebra of a report: on one thread while it runs, and as before afterwards."""

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits

from analysis.surfaces.one_thread import on_one_thread


def threads() -> set[int]:
    assert np.__version__
    assert scipy.linalg.blas  # both bring a BLAS of their own
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_has_one_thread_while_the_function_runs() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        assert on_one_thread(threads)() == {1}
        assert threads() == before
