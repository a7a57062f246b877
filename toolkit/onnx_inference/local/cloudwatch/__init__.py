"""Metrics in CloudWatch's terms, computed from the twin's own records: values, statistics, metric math, alarms."""
