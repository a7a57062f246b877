"""Imported by the interpreter itself, when it is about to begin: notes the time."""

import sys
from time import perf_counter

sys.cold_start_ready = perf_counter()  # type: ignore[attr-defined]
