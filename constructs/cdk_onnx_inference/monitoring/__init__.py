"""Metrics, alarms on them, and pictures of them."""
