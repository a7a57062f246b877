"""Load on a deployed API, and the report of how requests and execution environments fared."""
