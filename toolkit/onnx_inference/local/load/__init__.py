"""Load on the deployed API, and the report of what the execution environments made of it."""
