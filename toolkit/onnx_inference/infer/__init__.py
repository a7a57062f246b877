"""A small client of the Open Inference Protocol, as a command."""
