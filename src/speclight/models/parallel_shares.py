"""What numba's loops call in a parallel region of OpenMP (`openmp`), and the form of such a loop.

Its functions must be known to the compiler when a loop that calls them is compiled.
"""

from __future__ import annotations

from typing import Any

from numba import cfunc, types

thread: Any = types.ExternalFunction("omp_get_thread_num", types.int32())
threads: Any = types.ExternalFunction("omp_get_num_threads", types.int32())
barrier: Any = types.ExternalFunction("GOMP_barrier", types.void())
# Compiles one thread's share of a loop, kept on disk: it is given the addresses of what it works on.
share: Any = cfunc(types.void(types.CPointer(types.voidptr)), cache=True)
