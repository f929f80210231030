"""The icon that every browser asks for."""

from __future__ import annotations

import pytest

from so import Application, Response, Router
from so.testing import Client


@pytest.fixture
def site(tmp_path):
    with Application(tmp_path, {"app": {"storage": str(tmp_path)}}) as app:
        yield app


def test_there_is_an_icon_without_doing_anything(site):
    answer = Client(site).get("/favicon.ico").assert_ok()

    answer.assert_header("Content-Type", "image/x-icon").assert_header("Cache-Control")
    assert answer.body[:4] == b"\x00\x00\x01\x00"
    assert Client(site).get("/erp/favicon.ico", environ={"SCRIPT_NAME": "/erp"}).status == 404
    assert Client(site).get("/favicon.ico", environ={"SCRIPT_NAME": "/erp"}).status == 200
    assert Client(site).post("/favicon.ico").status == 404


def test_a_file_of_the_application_takes_its_place(site):
    site.base_path("public").mkdir()
    site.base_path("public/favicon.ico").write_bytes(b"own icon")

    answer = Client(site).get("/favicon.ico")
    assert (answer.body, answer.headers["Content-Type"]) == (b"own icon", "image/x-icon")


def test_so_does_a_route(site):
    Router.get("/favicon.ico", lambda: Response("drawn", 200, {"Content-Type": "text/plain"}))

    assert Client(site).get("/favicon.ico").text == "drawn"


def test_it_can_be_left_to_another_server(tmp_path):
    settings = {"app": {"storage": str(tmp_path)}, "static": {"enabled": False}}
    with Application(tmp_path, settings) as app:
        assert Client(app).get("/favicon.ico").status == 404
