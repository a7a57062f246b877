"""Tensors as the Open Inference Protocol writes them, and what a model says of its own."""
