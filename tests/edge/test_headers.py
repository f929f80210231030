"""What browsers are told to refuse."""

from __future__ import annotations

from so.http.response import Response
from tests.edge.conftest import House


def test_attack_clickjacking_no_other_site_may_frame_a_page(house: House):
    house.page("/approve", lambda: "a button")

    answer = house.client().get("/approve")

    assert answer.headers.get("X-Frame-Options") == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in answer.headers.get("Content-Security-Policy")
    assert answer.headers.get("X-Content-Type-Options") == "nosniff"
    assert answer.headers.get("Referrer-Policy") == "same-origin"


def test_what_the_action_says_itself_stays(house: House):
    policy = "default-src 'self'"
    house.page("/x", lambda: Response("x").header("Content-Security-Policy", policy))

    assert house.client().get("/x").headers.get_all("Content-Security-Policy") == [policy]
