"""Models on their way to the function: read ahead, fetched from S3, verified, kept below /tmp."""
