"""Benchmarks: each compares its subjects side by side in one run, and reports ratios."""
