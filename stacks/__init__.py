"""Prebuilt stacks. Each is a small user of the constructs, and can be copied as an example."""
