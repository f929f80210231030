"""The application itself."""

from so.config import env

config = {
    "name": env("APP_NAME", "SixOrbit ERP"),  # shown in titles and mails
    "env": env("APP_ENV", "local"),  # production, staging, local or testing
    "debug": env("APP_DEBUG", False),  # true: error pages show code; never in production
    "url": env("APP_URL"),  # the address in generated URLs; unset: that of each request
    "key": env("APP_KEY"),  # signs cookies and URLs; `sixorbit key:generate` makes one
    "previous_keys": env.list("APP_PREVIOUS_KEYS", []),  # still accepted after a change of the key
    "storage": env("APP_STORAGE", "storage"),  # folder for everything that is written
    "providers": [  # registered in this order, then booted
        "so.web.docs.DocsProvider",  # the guides at /docs
        "so.web.openapi.OpenApiProvider",  # what `sixorbit openapi` asks
        "app.providers.AppProvider",
    ],
    "routes": ["app/routes.py"],  # run when the router is first needed
    "middleware": [],  # around every request, outermost first
}
