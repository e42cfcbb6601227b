"""Settings of the whole test run, made before any test module imports a numerical library."""

import os

# The models of most tests have a few thousand weights: threads cost more than they give, and with as many
# test processes as cores (pytest -n) they would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
