"""The pages: each a module with TITLE, `data(app, request)` and `draw(data, view)`."""
