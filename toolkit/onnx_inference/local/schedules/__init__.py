"""What happens by the clock: schedules of EventBridge and scaling by Application Auto Scaling."""
