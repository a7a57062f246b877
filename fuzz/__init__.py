"""Coverage-guided fuzzing of the handler: the targets, and the grammar that makes inputs from bytes."""
