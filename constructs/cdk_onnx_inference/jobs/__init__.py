"""Asynchronous inference: jobs that are queued, and answered later."""
