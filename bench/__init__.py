"""Benchmarks: `make bench`. Ratios against other programs, measured in one run, side by side."""
