"""Small things every room may use: clock, ids, scope, signing, typed JSON, markup, supervising.

Nothing here knows a database, a request or a job; it imports nothing of ours but the errors.
"""
