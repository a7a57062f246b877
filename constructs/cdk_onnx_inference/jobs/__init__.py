"""Asynchronous inference."""
