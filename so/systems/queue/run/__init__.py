"""One run of a job: the runner and its verdict, middleware around it, its end written down."""
