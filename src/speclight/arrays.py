"""Names for the arrays that are passed around; a docstring gives the shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
ComplexArray = npt.NDArray[np.complex128]
IntArray = npt.NDArray[np.int64]
WordArray = npt.NDArray[np.uint64]  # raw random words
BoolArray = npt.NDArray[np.bool_]
