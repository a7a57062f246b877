"""Runs image functions as Lambda does, in real runtime processes and without a container engine."""
