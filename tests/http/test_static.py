"""Static files: what is served, with which headers, and what nobody gets at."""

from __future__ import annotations

import os

import pytest

from so.http.kernel import Kernel
from so.http.router import Router
from so.http.static import StaticFiles
from so.testing import Client


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "public"
    (folder / "css").mkdir(parents=True)
    (folder / "css" / "app.css").write_text("body{}")
    (folder / "css" / "app.3f9ac1d2.css").write_text("p{}")
    (folder / "zahl ü.txt").write_text("0123456789")
    (folder / ".env").write_text("HIDDEN WORDS")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("HIDDEN WORDS")
    (tmp_path / "secret.txt").write_text("HIDDEN WORDS")
    (tmp_path / "public-too").mkdir()
    (tmp_path / "public-too" / "a.txt").write_text("HIDDEN WORDS")
    return folder


@pytest.fixture
def client(root):
    return serving(StaticFiles(root))


def serving(static: StaticFiles) -> Client:
    router = Router()
    router.get("/page", lambda: "a page")
    router.post("/static/in.txt", lambda: "posted")
    return Client(Kernel(router, middleware=[static]))


def test_a_file_is_served_with_its_type_and_version(client):
    result = client.get("/static/css/app.css").assert_ok()

    assert result.text == "body{}"
    result.assert_header("Content-Type", "text/css; charset=utf-8").assert_header("ETag")
    result.assert_header("Cache-Control", "public, max-age=3600")
    result.assert_header("X-Content-Type-Options", "nosniff").assert_header("Last-Modified")


@pytest.mark.parametrize("name", ["css/app.css", "css\\app.css", "c:app.css", "app.css\0"])
def test_what_another_system_would_take_for_a_folder_or_a_drive_names_no_file(root, name):
    if "\0" not in name:
        (root / name).write_text("body{}")

    assert StaticFiles(root).find([name]) is None


def test_a_file_named_by_its_content_is_kept_for_good(client):
    client.get("/static/css/app.3f9ac1d2.css").assert_header(
        "Cache-Control", "public, max-age=31536000, immutable"
    )


def test_a_version_the_browser_holds_is_not_sent_again(client):
    etag = client.get("/static/css/app.css").headers.get("ETag")

    again = client.get("/static/css/app.css", headers={"If-None-Match": etag})

    assert (again.status, again.body) == (304, b"")


def test_a_range_is_sent_as_asked(client):
    result = client.get("/static/zahl%20%C3%BC.txt", headers={"Range": "bytes=2-4"})

    assert (result.status, result.text) == (206, "234")
    result.assert_header("Content-Range", "bytes 2-4/10")
    client.get("/static/zahl%20%C3%BC.txt", headers={"Range": "bytes=99-"}).assert_status(416)


def test_head_sends_no_body(client):
    result = client.head("/static/css/app.css").assert_ok()

    assert (result.body, result.headers.get("Content-Length")) == (b"", "6")


def test_other_requests_pass(client):
    client.get("/page").assert_see("a page")
    client.get("/static/gone.css").assert_not_found()
    client.get("/static").assert_not_found()
    client.get("/css/app.css").assert_not_found()
    client.post("/static/in.txt").assert_see("posted")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret.txt",
        "/static/css/../../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/..%5csecret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/....//secret.txt",
        "/static/..;/secret.txt",
        "/static//secret.txt",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/C:%5cwindows",
        "/static/c:/windows",
        "/static/css/app.css%00.txt",
        "/static/.env",
        "/static/.git/config",
        "/static/css/./app.css",
        "/static/css",
        "/static/css/",
        "/static/../public-too/a.txt",
        "/static/%252e%252e/secret.txt",
        "/static/" + "a" * 5000,
        "/static/css/app.css/",
        "/static/css/app.css/x",
    ],
)
def test_nothing_outside_the_folder_is_served(client, path):
    result = client.get(path)

    assert result.status == 404
    assert "HIDDEN WORDS" not in result.text


def test_a_link_that_leads_out_is_not_followed(client, root, tmp_path):
    os.symlink(tmp_path / "secret.txt", root / "out.txt")
    os.symlink(tmp_path, root / "up")
    os.symlink(root / "circle", root / "circle")
    os.symlink(root / "css" / "app.css", root / "in.css")

    client.get("/static/out.txt").assert_not_found()
    client.get("/static/up/secret.txt").assert_not_found()
    client.get("/static/circle").assert_not_found()
    client.get("/static/in.css").assert_ok()


def test_special_files_are_not_served(client, root):
    os.mkfifo(root / "pipe")

    client.get("/static/pipe").assert_not_found()


def test_a_path_that_is_not_utf8_is_refused(client):
    assert client.get("/static/%ff").status in (400, 404)


def test_a_file_that_cannot_be_opened_is_not_there(client, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("so.http.static.Response.file", refuse)

    client.get("/static/css/app.css").assert_not_found()


def test_the_folder_may_stand_at_the_root_and_have_an_index(root):
    (root / "index.html").write_text("<p>home")
    (root / "css" / "index.html").write_text("<p>styles")
    client = serving(StaticFiles(root, "/", index="index.html", max_age_seconds=5))

    client.get("/").assert_see("home").assert_header("Cache-Control", "public, max-age=5")
    client.get("/css/").assert_see("styles")
    client.get("/page").assert_see("a page")
