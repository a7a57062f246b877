"""The Lambda host: runs image functions as Lambda does, in real runtime processes."""
