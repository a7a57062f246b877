"""How a large model is loaded, and where it comes from: each against what a handler does without this runtime."""
