"""How a model's files come to the function: read ahead, downloaded from S3, verified, cached below /tmp."""
