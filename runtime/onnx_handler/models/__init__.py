"""The models of a function: opened, run, kept in memory."""
