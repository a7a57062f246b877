"""The embedded cloud: MiniStack in this process. Nothing outside this package touches its internals."""
