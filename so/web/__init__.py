"""Pages on top of everything, removable: the guides at /docs, the OpenAPI document.

Read in this order: docs.py (the pages), markdown.py, layout.py; openapi.py and schemas.py (the
document); forms.py (forms that come back as they were sent); console/ (a room of its own).
"""
