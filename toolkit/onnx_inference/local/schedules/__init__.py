"""Schedules of EventBridge, and Application Auto Scaling, on the twin's clock."""
