"""Cold starts with a large model, from disk and from S3, against handlers without this runtime."""
