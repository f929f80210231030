"""Pages on top of everything, removable: the guides at /docs, the OpenAPI document."""
