"""The operations console: the page that is open all day.

Read in this order: provider (how it comes into an application), site (a request's way to a page
or an action), access (who may), pages/ (what is shown: one module a page, data and drawing
apart), actions (what can be done), history (the figures of the last day, kept by the workers),
watch (slow and failing requests), frame and parts (how everything looks). Take `ConsoleProvider`
out of `app.providers`, and nothing of it is left.
"""

from so.web.console.provider import ConsoleProvider

__all__ = ["ConsoleProvider"]
