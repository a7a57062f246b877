"""A module that cannot be imported."""

print("importing")
raise RuntimeError("no model here")
