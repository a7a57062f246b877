"""A client of the Open Inference Protocol, and its command."""
