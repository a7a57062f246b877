"""Ratios against named baselines, measured side by side in one run. `python -m benchmarks`; see README.md."""
