"""Deployed CloudWatch dashboards, drawn with the metrics that the twin recorded."""
