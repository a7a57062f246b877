"""Jobs: their messages, their records, and the work on them."""
