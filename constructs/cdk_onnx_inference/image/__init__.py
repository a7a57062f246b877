"""The image of a service: the runtime, its models, the user's own processing."""
