"""The demo's pages in a real browser, served by a real server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.browser import Browser, BrowserMissing

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("so", "app", "bin", "config", "database", "docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of a freshly seeded demo."""
    folder = tmp_path_factory.mktemp("site")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("DB_", "APP_", "COVERAGE"))}
    script = [sys.executable, str(folder / "bin" / "sixorbit")]
    subprocess.run([*script, "demo:seed"], check=True, env=environ, stdout=subprocess.DEVNULL)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    server = subprocess.Popen(
        [*script, "serve", f"--port={port}"], env=environ, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(60)


@pytest.fixture(scope="module")
def browser():
    try:
        opened = Browser()
    except BrowserMissing as missing:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"CI must have a browser: {missing}")
        pytest.skip(f"NO BROWSER, the pages are not looked at: {missing}")
    with opened:
        yield opened


def log_in(browser, site, role):
    browser.ask("DELETE", "/cookie")
    browser.open(f"{site}/login")
    browser.find("#email").type(f"{role}@demo.example")
    browser.find("#password").type("demo-password")
    browser.press("Log in")
    assert browser.says("Overview")


@pytest.mark.slow
def test_a_clerk_takes_an_order_and_a_manager_approves_its_invoice(browser, site):
    log_in(browser, site, "clerk")
    assert browser.says("Overview")
    browser.link("Orders").click()
    browser.link("New order").click()
    browser.find('[name="items[0][product_id]"] option:nth-child(2)').click()
    browser.find('[name="items[0][quantity]"]').send("2")
    browser.press("Place order")
    assert browser.says("The order was placed.")
    browser.press("Make the invoice")
    browser.press("Submit for approval")
    assert browser.says("The invoice was submitted.")
    invoice = browser.url

    log_in(browser, site, "manager")
    browser.find('a[href="/notifications"]').click()
    browser.link("Invoice to approve").click()
    assert browser.says("Decided by")
    assert browser.url == invoice
    browser.press("Approve")
    assert browser.says("The invoice was approved.")
    assert browser.says("Invoice approved for payment")

    log_in(browser, site, "clerk")
    browser.find('a[href="/notifications"]').click()
    assert browser.says("was approved")
    browser.press("Log out")
    assert browser.says("Remember me")
    assert browser.url.endswith("/login")


@pytest.mark.slow
def test_what_was_typed_wrongly_is_shown_beside_its_field(browser, site):
    log_in(browser, site, "manager")
    browser.open(f"{site}/products/create")
    browser.find("#sku").type("SKU-0001")
    browser.find("#name").type("Doubled")
    browser.find("#category").type("Tools")
    browser.find("#price").type("12.345")
    browser.press("Save")

    assert browser.says("The SKU has already been taken.")
    assert browser.says("decimal places")
    assert browser.run("return document.querySelector('#name').value") == "Doubled"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["/", "/products", "/orders", "/docs", "/docs/queue-system"])
def test_pages_ask_nobody_else_and_fit_a_phone(browser, site, page):
    log_in(browser, site, "manager")
    browser.resize(420, 900)
    browser.open(site + page)
    names = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    wide = browser.run(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    browser.resize(1200, 900)

    assert [name for name in names if not name.startswith(site)] == []
    assert wide <= 0
