"""Where HTTP meets a system: middleware for sessions, CSRF, logins, limits and request ids.

Everything here is made by the container and registered under the names in groups.py; the systems
themselves know neither requests nor responses.
"""
