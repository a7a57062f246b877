"""A deployed CloudWatch dashboard, drawn with what the twin itself recorded."""
