"""What a person meets when something goes wrong: words, a way on, and what they had typed."""

from __future__ import annotations

import re

import pytest

from so import DB, Application, Response, Router, abort, auth, old, redirect, session
from so.http.flash import MOST_KEPT
from so.testing import Client
from so.web.forms import form

SAME = {"Sec-Fetch-Site": "same-origin"}
PAGE = "http://localhost/orders/new"


@pytest.fixture
def site(tmp_path):
    """An application with a login, a form behind it, and room for pages of its own."""
    settings = {
        "app": {"env": "testing", "key": "k" * 32, "storage": str(tmp_path), "name": "Acme"},
        "logging": {"default": "null", "channels": {"null": {"driver": "null"}}},
    }
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__init__.py").touch()
    (tmp_path / "app/models.py").write_text("from so import Model\nclass User(Model): pass\n")
    with Application(tmp_path, settings) as app:
        app.install_tables()
        DB.statement("create table users (id integer primary key, email text, password text)")
        DB.table("users").insert({"id": 1, "email": "ada@x.y", "password": ""})
        with Router.group(middleware="web"):
            Router.get("/login", lambda: Response.html(str(session("note") or "Who are you?")))
            Router.post("/login", log_in)
            with Router.group(middleware="auth"):
                Router.get("/orders/new", draw_form)
                Router.post("/orders", lambda: redirect("/done"))
        Router.get("/gone", lambda: abort(404, "There is no such order."))
        Router.get("/broken", lambda: 1 / 0)
        Router.get("/shut", lambda: abort(403))
        yield app


def log_in():
    auth().login_using_id(1)
    return redirect().intended("/")


def draw_form():
    f = form("/orders")
    parts = f(f.text("customer", "Customer"), f.rows("items", lambda row: row.number("n", "N")))
    return Response.html(f"{session('note')} {parts} {old('password')}")


def write_page(app, name, body):
    folder = app.base_path("app/errors")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(f"def page(request, error):\n    {body}\n")


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/nowhere", 404, "There is no such page"),
        ("/gone", 404, "There is no such order."),
        ("/broken", 500, "Something went wrong on our side"),
        ("/shut", 403, "You may not see this"),
    ],
)
def test_an_error_is_told_in_words_for_people(site, path, status, told):
    answer = Client(site).get(path)

    answer.assert_status(status).assert_see(told)
    for technical in ("route", "nowhere", "Traceback", "ZeroDivisionError", "unauthorized"):
        assert technical not in answer.text
    assert answer.headers["X-Request-Id"] in answer.text


def test_it_has_the_name_of_the_application_and_leads_on(site):
    headers = {"Referer": "http://localhost/orders"}
    html = Client(site).get("/nowhere", headers=headers, environ={"SCRIPT_NAME": "/erp"}).text

    assert '<header><a href="/erp/">Acme</a></header>' in html
    assert ">To the first page</a>" in html
    assert "Back to where you were" not in html  # the page before lies outside the prefix
    html = Client(site).get("/nowhere", headers=headers).text
    assert '<a href="http://localhost/orders">Back to where you were</a>' in html


@pytest.mark.parametrize(
    "referer", ["http://evil.example/", "javascript:alert(1)", "//evil.example"]
)
def test_it_leads_to_no_other_site(site, referer):
    html = Client(site).get("/nowhere", headers={"Referer": referer}).text

    assert "evil" not in html
    assert "javascript" not in html


def test_the_login_is_offered_where_it_helps_and_where_there_is_one(site):
    client = Client(site)

    assert '<a href="/login">Log in as somebody else</a>' in client.get("/shut").text
    assert "/login" not in client.get("/nowhere").text
    html = client.post("/login", headers={"Referer": "http://localhost/login"}).text
    assert "This page was open for too long" in html
    assert '<a href="http://localhost/login">Back to where you were</a>' in html


def test_an_application_draws_its_own(site):
    write_page(site, "404", 'return f"Not here: {error.message}"')
    write_page(site, "5xx", 'return {"sorry": True}, 500')

    answer = Client(site).get("/gone")
    assert (answer.status, answer.text) == (404, "Not here: There is no such order.")
    assert answer.headers["Cache-Control"] == "no-store"
    assert Client(site).get("/broken").json() == {"sorry": True}
    assert "You may not see this" in Client(site).get("/shut").text
    assert Client(site).get("/gone", headers={"Accept": "application/json"}).json("status") == 404


def test_a_setting_names_another_function(site):
    site.base_path("app/shown.py").write_text(
        "def nothing(request, error):\n    return 'Nothing.'\n"
    )
    site.config.set("http.error_pages", {404: "app.shown.nothing"})

    assert Client(site).get("/nowhere").text == "Nothing."


@pytest.mark.parametrize("body", ["1 / 0", "return object()"])
def test_a_page_that_fails_itself_gives_way_and_is_written_down(site, body):
    write_page(site, "404", body)

    assert "There is no such page" in Client(site).get("/nowhere").assert_status(404).text
    assert "failed to draw" in site.storage_path("logs/emergency.log").read_text()


# --- a login that was lost ----------------------------------------------------------------


def fill(site, data, **options):
    """A client whose session is gone when it sends the form, after the login."""
    client = Client(site, headers=SAME)
    headers = {"Referer": PAGE, **options}
    client.post("/orders", data=data, headers=headers).assert_redirect("/login")
    return client


def test_a_form_sent_without_its_login_comes_back_as_it_was(site):
    data = {"customer": "Ada", "items[3][n]": "7", "password": "hunter2", "_token": "x"}
    client = fill(site, data)
    assert "You had been logged out" in client.get("/login").text

    client.post("/login").assert_redirect(PAGE)
    html = client.get("/orders/new").text

    assert "Here is what you had typed" in html
    assert 'value="Ada"' in html
    assert re.search(r'name="items\[3\]\[n\]"', html)
    assert "hunter2" not in html
    assert 'value="Ada"' not in client.get("/orders/new").text


def test_the_way_somebody_wanted_to_go_meanwhile_counts_and_brings_no_old_input(site):
    client = fill(site, {"customer": "Ada"})
    client.get("/orders/new?copy=1").assert_redirect("/login")

    client.post("/login").assert_redirect("/orders/new?copy=1")
    assert "Ada" not in client.get("/orders/new?copy=1").text


@pytest.mark.parametrize("referer", ["http://evil.example/x", ""])
def test_what_does_not_come_from_a_page_of_ours_is_not_kept(site, referer):
    client = fill(site, {"customer": "Ada"}, Referer=referer)

    assert "You had been logged out" not in client.get("/login").text
    client.post("/login").assert_redirect("/")


def test_a_form_too_large_is_not_kept_and_its_page_still_is(site):
    client = fill(site, {"customer": "A" * MOST_KEPT})

    client.post("/login").assert_redirect(PAGE)
    assert "AAAA" not in client.get("/orders/new").text


def test_a_program_gets_its_401_and_leaves_nothing(site):
    client = Client(site, headers={**SAME, "Accept": "application/json"})
    client.post("/orders", json={"customer": "Ada"}).assert_status(401)

    client.post("/login").assert_status(302)
    assert "Ada" not in client.get("/orders/new").text
