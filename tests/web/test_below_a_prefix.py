"""An application below a prefix of a larger site: every address it says is below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so.application import Application
from so.testing import Client

PREFIX = "/intra/erp"
ROUTES = """
from so import Response, Router, h, redirect, route, session, url
from so.web.forms import form


def page():
    session().put("seen", True)
    link = h("a", route("orders"), href=url("/orders"))
    return Response.html(form("/orders")(send="Send") + link)


with Router.group(middleware="web"):
    Router.get("/", page).name("home")
    Router.get("/old", lambda: redirect("/new"))
    Router.get("/login", lambda: "log in").name("login")
    Router.get("/orders", lambda: "orders").name("orders").middleware("auth")
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("prefix")
    (folder / "app").mkdir()
    (folder / "app" / "__init__.py").touch()
    (folder / "app" / "routes.py").write_text(ROUTES)
    (folder / "docs").mkdir()
    (folder / "docs" / "one.md").write_text("# One\n\nSee [two](two.md).\n")
    (folder / "docs" / "two.md").write_text("# Two\n\nBack to [one](/docs/one).\n")
    memory = {"driver": "sqlite", "database": ":memory:"}
    config = {
        "app": {
            "env": "local",
            "key": "k" * 32,
            "providers": ["so.web.docs.DocsProvider", "so.web.console.ConsoleProvider"],
        },
        "database": {"default": "memory", "connections": {"memory": memory, "cache": memory}},
        "session": {"path": PREFIX, "cookie": "erp_session"},
    }
    with Application(folder, config) as app:
        app.install_tables()
        yield app


@pytest.fixture(params=["script name", "forwarded"])
def site(app: Application, request: pytest.FixtureRequest) -> Client:
    """The whole site: by WSGI's own word, or by the field of a proxy that is trusted."""
    app.config.set("trustedproxy.proxies", ["127.0.0.1"])

    def portal(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        assert path.startswith(PREFIX), f"{path} left the application"
        environ["PATH_INFO"] = path[len(PREFIX) :]
        environ["REMOTE_ADDR"] = "127.0.0.1"
        if request.param == "forwarded":
            environ["HTTP_X_FORWARDED_PREFIX"] = PREFIX
        else:
            environ["SCRIPT_NAME"] = PREFIX
        return app(environ, start_response)

    return Client(portal)


def addresses(html: str) -> list[str]:
    found = re.findall(r"""(?:href|src|action)=["']([^"'#][^"']*)["']""", html)
    return [one for one in found if not one.startswith(("http://", "https://", "data:"))]


def test_a_visitor_is_sent_to_the_login_below_it(site: Client):
    site.get(f"{PREFIX}/orders").assert_redirect(f"{PREFIX}/login")


def test_a_redirect_stays_below_it(site: Client):
    site.get(f"{PREFIX}/old").assert_redirect(f"{PREFIX}/new")


def test_urls_routes_and_forms_are_below_it(site: Client):
    page = site.get(f"{PREFIX}/").text

    assert addresses(page)
    for address in addresses(page):
        assert address.startswith(PREFIX)
    assert f"{PREFIX}/orders</a>" in page


@pytest.mark.parametrize("path", ["/docs", "/docs/one", "/docs/two", "/docs/search?q=two"])
def test_links_of_the_guides_are_below_it(site: Client, path: str):
    found = addresses(site.get(PREFIX + path).assert_ok().text)

    assert found
    for address in found:
        assert address.startswith(PREFIX), address


@pytest.mark.parametrize("path", ["/console", "/console/queue", "/console/database"])
def test_links_of_the_console_are_below_it(site: Client, path: str):
    found = addresses(site.get(PREFIX + path).assert_ok().text)

    assert found
    for address in found:
        assert address.startswith(PREFIX), address


def test_cookies_go_where_they_are_told_to(site: Client):
    answer = site.get(f"{PREFIX}/")

    cookies = answer.headers.get_all("Set-Cookie") if hasattr(answer.headers, "get_all") else []
    cookies = cookies or [value for name, value in answer.headers.items() if name == "set-cookie"]
    assert cookies
    for cookie in cookies:
        assert f"Path={PREFIX}" in cookie
        assert not cookie.startswith("__Host-")


def test_another_wsgi_server_finds_the_application_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import subprocess
    import sys

    (tmp_path / "erp" / "app").mkdir(parents=True)
    (tmp_path / "erp" / "app" / "__init__.py").touch()
    (tmp_path / "erp" / "app" / "routes.py").write_text(
        "from so import Router\n\nRouter.get('/', lambda: 'the erp')\n"
    )
    (tmp_path / "erp" / ".env").write_text("APP_ENV=local\n")
    code = (
        "from so.wsgi import application; from so.testing import Client; "
        "print(Client(application).get('/').text)"
    )
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-c", code]
    environ = {"SIXORBIT_BASE": str(tmp_path / "erp"), "PYTHONPATH": str(root)}
    done = subprocess.run(words, cwd="/", env=environ, capture_output=True, text=True, check=False)

    assert done.stdout == "the erp\n", done.stderr
