"""The systems over the framework tables: activity, queue, notifications, cache, sessions, auth.

Each stands on so.db alone and knows no other system; so.application joins them.
"""
