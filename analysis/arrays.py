"""Types of arrays. The suffix of an array's name says its axes: `values_CS` is (configs, blocks).

Letters: C configs, S blocks (seeds and orders), T tasks, N rows, D columns, K values or groups, and the length itself
where it is fixed (`points_N2`: AKA and AZS).
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
