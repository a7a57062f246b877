"""Jobs per second of the worker, and what a million jobs cost."""
