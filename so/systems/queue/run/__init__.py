"""One run of a job: the runner and its verdict, middleware around it, its end written down.

Read in this order: run.py (one run, and what its job may say), runner.py (making and running it),
workshop.py (what that takes), middleware.py, ending.py (what came of it, in the tables).
"""
