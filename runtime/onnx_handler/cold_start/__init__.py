"""What prepares an environment before its first request: initialisation, SnapStart, warm events."""
