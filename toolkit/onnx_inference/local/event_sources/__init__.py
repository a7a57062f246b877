"""What carries events to functions by itself: event source mappings of queues, and pipes of tables' streams."""
