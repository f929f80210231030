"""The OpenAPI document that `sixorbit openapi` writes."""

from so.config import env

config = {
    "title": env("OPENAPI_TITLE", None),  # None: the application's name
    "version": env("OPENAPI_VERSION", "1.0.0"),  # of your API, not of the framework
    "description": env("OPENAPI_DESCRIPTION", ""),  # may be Markdown
    "prefix": env("OPENAPI_PREFIX", "api"),  # only routes whose path begins so; "" for all
    "servers": env.list("OPENAPI_SERVERS", []),  # base URLs, such as https://erp.example.com
}
