"""Event source mappings of queues, and pipes from tables' streams."""
