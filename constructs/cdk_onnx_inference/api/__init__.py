"""APIs in front of a function."""
