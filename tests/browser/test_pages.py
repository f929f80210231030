"""The demo in a real browser: walked through by a person, by the keyboard, on a phone."""

from __future__ import annotations

import pytest

from tests.support.looking import bring_checker, faults, too_wide, torn_words

TAB, ENTER, DOWN = "\ue004", "\ue007", "\ue015"
CSV = (
    "order_number,line_no,order_date,customer_number,customer_name,sku,quantity,unit_price\n"
    "W-1,1,2026-01-31,C-00001,Alder Building,SKU-0001,2,10.00\n"
    "W-1,2,soon,C-00001,Alder Building,SKU-0002,2,10.00\n"
)


@pytest.fixture(scope="module")
def walker(browser):
    """The browser, with the accessibility checker in its pages."""
    bring_checker(browser)
    return browser


def log_in(browser, site, role):
    browser.ask("DELETE", "/cookie")
    browser.open(f"{site}/login")
    browser.find("#email").type(f"{role}@demo.example")
    browser.find("#password").type("demo-password")
    browser.press("Log in")
    assert browser.says("Overview")


def begin(browser, site):
    """As somebody who has never been here."""
    browser.look_as()
    browser.open(f"{site}/favicon.ico")
    browser.ask("DELETE", "/cookie")
    browser.open(site)
    assert browser.says("Try it as one of four people")


def is_in_order(browser):
    """The page that is open fits a desk and a phone, and everybody can use it."""
    found = [*too_wide(browser), *faults(browser)]
    browser.look_as(width=390)
    found += [f"390: {one}" for one in too_wide(browser)]
    browser.look_as()
    return found == [] or found


@pytest.mark.slow
def test_an_order_with_mistakes_goes_all_the_way_to_its_approval(walker, site, tmp_path):
    browser = walker
    begin(browser, site)
    assert is_in_order(browser) is True

    browser.press("Log in as Ben")
    browser.link("New order").click()
    browser.find("#customer_id option:nth-child(3)").click()
    for line, quantity in ((0, "2"), (1, "99999"), (2, "")):
        browser.find(f'[name="items[{line}][product_id]"] option:nth-child({line + 2})').click()
        browser.find(f'[name="items[{line}][quantity]"]').type(quantity)
    browser.press("Place order")
    assert browser.says("Line 3: The quantity field is required.")
    browser.find("#items-2-quantity").type("3")
    browser.press("Place order")
    assert browser.says("Line 2: Only ")
    assert is_in_order(browser) is True

    browser.find('a[href="#items-1-quantity"]').click()
    browser.find("#items-1-quantity").type("1")
    browser.press("Place order")
    assert browser.says("The order was placed.")
    browser.press("Make the invoice")
    browser.press("Submit for approval")
    assert browser.says("The invoice was submitted.")
    invoice = browser.url
    browser.press("Log out")

    begin(browser, site)
    browser.press("Log in as Marta")
    browser.find('a[href="/invoices?status=submitted"]').click()
    browser.open(invoice)
    assert is_in_order(browser) is True
    browser.run("document.querySelector('button.danger').form.note.required = false")
    browser.press("Reject")
    assert browser.says("Say why, so that its owner knows what to mend.")
    assert is_in_order(browser) is True
    browser.find("textarea[aria-invalid]").type("The price is that of last year.")
    browser.press("Reject")
    assert browser.says("The invoice was rejected.")
    assert browser.says("“The price is that of last year.”")
    browser.press("Log out")

    begin(browser, site)
    browser.press("Log in as Ben")
    browser.find('a[href="/notifications"]').click()
    for width in (1024, 800, 390):
        browser.look_as(width=width)
        assert torn_words(browser) == [], width
    browser.look_as()
    browser.link("Invoice rejected").click()
    assert browser.says("The price is that of last year.")
    browser.press("Log out")
    assert browser.says("Remember me")


@pytest.mark.slow
def test_a_file_is_imported_and_what_was_wrong_is_shown(walker, site, house, tmp_path):
    browser, file = walker, tmp_path / "walk.csv"
    file.write_text(CSV)
    begin(browser, site)
    browser.press("Log in as Ben")
    browser.link("Imports").click()
    browser.find("#file").send(str(file))
    browser.press("Import")
    assert browser.says("walk.csv")
    house.run("bin/sixorbit", "queue:work", "--stop-when-empty", "--workers=0", "--memory=0")

    assert browser.says("order_date must be a date")  # the page asks again by itself
    assert browser.says("W-1,2,soon,C-00001,Alder Building,SKU-0002,2,10.00")
    assert is_in_order(browser) is True
    browser.find('a[href="/notifications"]').click()
    browser.link("Import finished").click()
    assert browser.says("Rejected lines")


@pytest.mark.slow
def test_the_keyboard_alone_is_enough(walker, site):
    browser = walker
    begin(browser, site)

    def go_to(text):
        """Tab until the focus is on *text*."""
        for _ in range(60):
            browser.keys(TAB)
            script = (
                "const e = document.activeElement; return e.options ? e.id : e.innerText || e.id"
            )
            if str(browser.run(script)).strip() == text:
                ring = "return getComputedStyle(document.activeElement).outlineStyle"
                assert browser.run(ring) != "none"
                return
        raise AssertionError(f"{text} is not reached: {browser.url}")

    go_to("Log in as Marta")
    browser.keys(ENTER)
    assert browser.says("Overview")
    browser.keys(TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.keys(ENTER)
    go_to("New order")
    browser.keys(ENTER)
    assert browser.says("Find a customer")
    go_to("items-0-product_id")
    browser.keys(DOWN)
    browser.keys(TAB)
    browser.keys("2")
    browser.run("document.activeElement.form.customer.focus()")  # back up, as Shift and Tab go
    browser.keys(*"zenith", ENTER)
    assert browser.says("16 fit “zenith”.")
    assert browser.run("return document.activeElement.id") == "customer_id"
    assert is_in_order(browser) is True
    browser.keys(DOWN)
    go_to("items-0-quantity")
    assert browser.run("return document.activeElement.value") == "2"
    browser.keys(ENTER)
    assert browser.says("The order was placed.")
    assert browser.says("Zenith")
    go_to("Audit")
    browser.keys(ENTER)
    assert browser.says("Order placed for")
    go_to("Log out")
    browser.keys(ENTER)
    assert browser.says("Remember me")


@pytest.mark.slow
def test_a_form_whose_login_was_lost_comes_back(walker, site):
    browser = walker
    begin(browser, site)
    browser.press("Log in as Ben")
    browser.link("New order").click()
    browser.find("#customer_id option:nth-child(3)").click()
    browser.find('[name="items[3][product_id]"] option:nth-child(5)').click()
    browser.find('[name="items[3][quantity]"]').type("4")
    browser.ask("DELETE", "/cookie")
    browser.press("Place order")
    assert browser.says("You had been logged out")
    assert is_in_order(browser) is True

    browser.find("#email").type("clerk@demo.example")
    browser.find("#password").type("demo-password")
    browser.press("Log in")
    assert browser.says("Here is what you had typed")
    assert browser.run("return document.querySelector('#items-3-quantity').value") == "4"
    browser.press("Place order")
    assert browser.says("The order was placed.")


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


TELL = """
from so.application import Application
with Application("."):
    from app.models import User
    from app.notifications import WorkFinished
    one = User.where("email", "manager@demo.example").first()
    one.mark_all_as_read()
    one.notify_now(WorkFinished("The report is ready", "It has 12 pages.", "/reports"))
"""


@pytest.mark.slow
def test_what_is_told_shows_in_the_page_that_is_open(walker, house, site):
    browser = walker
    log_in(browser, site, "manager")
    say = "document.querySelector('h1').textContent = e.detail.data.title"
    browser.run(f"document.addEventListener('notification', e => {{ {say} }})")

    house.run("-c", TELL)

    assert browser.says("The report is ready")
    bell = "return document.querySelector('[data-unread]').innerText"
    assert browser.run(bell).split() == ["1", "unread"]
