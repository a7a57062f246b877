"""Metrics as CloudWatch has them, made of the twin's own records: values, statistics, metric math, alarms."""
