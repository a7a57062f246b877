"""How a new version gets traffic."""
