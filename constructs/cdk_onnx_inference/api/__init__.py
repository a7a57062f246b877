"""APIs in front of functions."""
