"""Pages on top of everything, removable: the guides at /docs, the OpenAPI document.

Read in this order: docs.py (how the guides come into an application), docs_site.py (the pages),
markdown.py, layout.py; openapi.py, operations.py and schemas.py (the document); inbox.py and
inbox_site.py; forms.py (forms that come back as they were sent); console/ (a room of its own).
What a provider needs to answer is loaded with the router: a command needs none of it.
"""
