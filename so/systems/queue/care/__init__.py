"""Looking after the queue: what has failed, what is taken back, and what may be wrong."""
