"""The Open Inference Protocol v2, over Lambda's HTTP events."""
