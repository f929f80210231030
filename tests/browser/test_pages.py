"""The demo's pages in a real browser, served by a real server."""

from __future__ import annotations

import pytest


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
