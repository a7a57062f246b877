"""Prebuilt stacks: each is a small user of the constructs, and can be copied as one."""
