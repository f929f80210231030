"""The tables of the queue and their SQL: six of them, each method on the connection it is given.

Nothing here knows what a queue is, what a job does, or who asks.

Read in this order: sql (reading, trying again), jobs (storing, claiming, ending) with front,
locks, progress, workers, metrics.
"""
