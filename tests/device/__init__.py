"""Measurements and checks that a GPU has to make, in one script: `python -m tests.device`."""

import os

# Libraries ask at their import whether there is a GPU; asked in this way, processes can be forked afterwards.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
