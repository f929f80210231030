"""Small things every room may use: clock, ids, scope, signing, typed JSON, markup, supervising.

Nothing here knows a database, a request or a job; it imports nothing of ours but the errors.

Read in this order: scope.py and current.py (the two things that are ambient), settings.py,
codec.py, signing.py; the others when they are met.
"""
