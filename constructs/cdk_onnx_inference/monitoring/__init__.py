"""Metrics, alarms and a dashboard."""
