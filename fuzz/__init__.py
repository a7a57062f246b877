"""Coverage-guided fuzzing of the handler: what it must hold, and the grammar that its inputs are made by."""
