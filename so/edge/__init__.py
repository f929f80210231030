"""Where HTTP meets a system: middleware for sessions, CSRF, logins, limits and request ids.

Everything here is made by the container and registered under the names in groups.py; the systems
themselves know neither requests nor responses.

Read in this order: groups.py (which middleware there is, by name), context.py (request id,
Scope), session.py, csrf.py, authenticate.py, throttle.py, headers.py.
"""
