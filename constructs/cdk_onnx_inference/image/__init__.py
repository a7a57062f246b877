"""The container image of a service: the runtime, the models, the user's processing."""
