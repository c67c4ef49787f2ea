"""Comparisons of speed, as ratios within one run. They are scripts, not tests: `python -m tests.benchmarks.NAME`."""
