"""The models of a function: how they are loaded, run, and kept in memory."""
