"""What people see and do on the demo's pages, after a year of work."""

from __future__ import annotations

import re
from html import unescape

import pytest

from app.controllers import audit
from app.models import Customer, Invoice, Order, OrderImport, Product, User
from app.pages.trail import SAID
from so import DB, Activity, activity, queue
from so.systems.auth.events import NAMES as AUTH_EVENTS
from so.systems.worker import Worker
from so.testing import Client
from tests.demo.conftest import PASSWORD

SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def _in_it(year):
    with year:
        yield


@pytest.fixture(scope="module")
def people(year):
    """Clients by role, each logged in once."""
    found = {}

    def log_in(role):
        if role not in found:
            client = found[role] = Client(year, headers=SAME)
            given = {"email": f"{role}@demo.example", "password": PASSWORD}
            client.post("/login", data=given).assert_status(302)
        return found[role]

    return log_in


def rows_of(html):
    return re.findall(r"<tr>(?:(?!</tr>).)*<td.*?</tr>", html, re.DOTALL)


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


# --- guests -----------------------------------------------------------------------------------


def test_a_guest_reads_what_to_try_with_each_login(year):
    html = Client(year).get("/").text

    for name in ("Ada Moreau", "Marta Lindqvist", "Ben Okafor", "Wen Zhao"):
        assert f"<h2>{name}</h2>" in html
    assert html.count('action="/login"') == 4
    assert 'href="/docs"' in html
    assert len(set(re.findall(r'id="([^"]+)"', html))) == len(re.findall(r'id="([^"]+)"', html))


def test_the_passwords_of_the_demo_are_shown_to_nobody_in_production(year, monkeypatch):
    monkeypatch.setattr(year, "environment", lambda *names: "production")

    Client(year).get("/").assert_redirect("/login")


def test_the_guides_and_the_pages_lead_to_each_other(year, people):
    assert 'href="/docs"' in people("clerk").get("/orders").text
    assert re.search(
        r'<a href="/"[^>]*>(?:<[^>]+>)*[^<]*SixOrbit ERP', Client(year).get("/docs").text
    )
    assert 'href="/"' in Client(year).get("/docs/queue-system").text


# --- lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "figure"),
    [
        ("/orders?status=open", "Open orders"),
        ("/invoices?status=submitted", "Invoices to decide"),
        ("/invoices?status=draft", "Invoices to submit"),
        ("/products?stock=low", "Products low in stock"),
    ],
)
def test_each_figure_leads_to_the_list_that_it_counts(people, path, figure):
    client = people("manager")
    shown = re.search(
        rf'href="{re.escape(path)}"[^>]*><b>(\d+)</b><span>{figure}', client.get("/").text
    )

    assert f"of {shown[1]}</p>" in client.get(path).text


def test_every_customer_is_found_and_can_order(people):
    last = Customer.order_by_desc("id").first()
    client = people("clerk")

    assert f'<option value="{last.id}">' in client.get("/orders/create").text
    assert last.name in client.get(f"/customers?q={last.number}").text
    data = {"customer_id": str(last.id), "items[0][product_id]": "2", "items[0][quantity]": "1"}
    client.post("/orders", data=data).assert_status(302)
    assert Order.order_by_desc("id").first().customer_id == last.id


def test_customers_are_narrowed_by_a_search_and_one_that_was_chosen_stays(people):
    html = people("clerk").get("/orders/create?customer=zenith&customer_id=3").text

    options = re.search(r'name="customer_id".*?</select>', html, re.DOTALL)[0]
    names = re.findall(r"<option[^>]*>([^<]*)", options)
    assert (names[0], len(names)) == ("Choose a customer", 18)
    assert sum("Zenith" in name for name in names) == 16
    assert re.findall(r'<option value="(\d+)" selected', options) == ["3"]


def test_a_list_is_sorted_by_a_click_and_turned_by_another(people):
    client = people("manager")
    html = client.get("/invoices?sort=amount&status=approved").text
    shown = [row for row in rows_of(html) if "approved" in row]
    lowest = Invoice.where("status", "approved").order_by("amount").first()

    assert lowest.number in shown[0]
    assert 'aria-sort="ascending"' in html
    assert "sort=-amount&amp;status=approved" in html or "status=approved&amp;sort=-amount" in html
    client.get("/invoices?sort=note").assert_ok()


def test_pages_are_numbered_and_keep_what_was_chosen(people):
    html = people("manager").get("/orders?status=shipped&page=2").text

    assert "26–50 of" in html
    pages = re.findall(r'<a href="([^"]*)"(?: aria-current="(\w+)")?>(\d+)</a>', html)
    assert [(number, here) for _, here, number in pages][:3] == [
        ("1", ""),
        ("2", "page"),
        ("3", ""),
    ]
    assert all("status=shipped" in url for url, _, _ in pages)


def test_a_search_for_documents_looks_into_numbers_and_customers(people):
    client, order = people("manager"), Order.with_("customer").first()

    assert order.number in client.get(f"/orders?q={order.number}").text
    assert order.number in client.get(f"/orders?q={order.customer.number}").text
    assert "Nothing here fits" in client.get("/orders?q=nobody-at-all").text
    assert "There are not so many pages" in client.get("/orders?page=99999").text


def test_what_is_not_for_sale_can_be_found_again(people):
    product = Product.find(9)
    product.update(is_active=False)
    client = people("manager")

    assert product.sku not in client.get("/products").text
    assert product.sku in client.get("/products?stock=off").text
    product.update(is_active=True)


def test_the_navigation_says_where_one_is(people):
    html = people("manager").get("/invoices/1").text

    assert re.findall(r'<a href="([^"]*)" aria-current="page">', html) == ["/invoices"]


# --- invoices ---------------------------------------------------------------------------------


def test_rejecting_asks_for_a_reason_and_tells_it_to_the_owner(people):
    invoice = Invoice.where("status", "submitted").first()
    client, path = people("manager"), f"/invoices/{invoice.id}"
    html = client.get(path).text
    assert ("<button>Approve</button>" in html, html.count('name="note"')) == (True, 2)
    assert len(set(re.findall(r'id="([^"]+)"', html))) == len(re.findall(r'id="([^"]+)"', html))

    headers = {"Referer": f"http://localhost{path}"}
    client.post(f"{path}/reject", data={"note": " "}, headers=headers).assert_redirect(path)
    html = client.get(path).text
    assert "Say why, so that its owner knows what to mend." in html
    assert html.count('aria-invalid="true"') == 1
    client.post(f"{path}/reject", data={"note": "Wrong price"}, headers=headers)

    assert invoice.refresh().status == "rejected"
    assert "Wrong price" in text_of(people("clerk").get(path).text)


# --- words ------------------------------------------------------------------------------------


def test_a_deed_and_what_it_changed_are_one_entry_with_names(people):
    row = Activity.for_event("approved").order_by_desc("id").first()
    html = people("manager").get(f"/audit?event=approved&q={row.subject_label}").text
    (entry,) = re.findall(r"<li><div.*?</div></li>", html, re.DOTALL)

    said = text_of(entry)
    assert row.causer_label in said
    assert "Invoice approved for payment" in said
    assert "Status: submitted → approved" in said
    for untold in ("decided_by", "lock_version", "updated"):
        assert untold not in said


def test_the_trail_says_names_for_keys(people):
    ada, ben = User.find(1), User.first_where("role", "clerk")
    invoice = Invoice.where("status", "draft").first()
    invoice.force_fill({"owner_id": ada.id}).save()
    invoice.force_fill({"owner_id": ben.id}).save()

    said = text_of(people("manager").get(f"/invoices/{invoice.id}").text)
    assert "Owner: Ada Moreau → Ben Okafor" in said


def test_the_trail_says_in_words_what_happened_to_accounts(people):
    ada, ben = User.find(1), User.first_where("role", "clerk")
    for event, who in (("lockout", ben), ("ended", ben), ("locked", ada), ("failed", ben)):
        entry = activity("auth").event(event).performed_on(ben).caused_by(who)
        entry.with_properties({"reason": "two_factor"}).log(event)

    said = text_of(people("manager").get("/audit").text)

    assert set(AUTH_EVENTS) <= SAID.keys()
    for words in (
        "Ben Okafor · was kept out for a while: too many tries",
        "Ben Okafor · ended other sessions",
        "Ada Moreau · locked out · Ben Okafor",
        "Ben Okafor · did not get in: wrong code of the second factor",
    ):
        assert words in said


def test_the_trail_is_narrowed_by_person_and_by_day_on_the_readers_clock(people):
    client = people("manager")
    wen = User.first_where("role", "warehouse")

    html = client.get(f"/audit?causer={wen.id}&subject_type=order").text
    assert set(re.findall(r"<p><b>([^<]*)</b>", html)) == {"Wen Zhao"}
    assert "Nothing here" in client.get("/audit?from=2001-01-01&to=2001-01-02").text
    client.get("/audit?from=x&to[]=y&causer=%00").assert_ok()


def test_the_trail_is_walked_page_by_page_and_tells_each_entry_once(people):
    client, path, told = people("manager"), "/audit?causer=2", []
    while path:
        html = client.get(path).text
        told += re.findall(r'<li><div class="soft"><time datetime="([^"]*)"', html)
        older = re.search(r'href="([^"]*)">Older', html)
        path = older and unescape(older[1]).removeprefix("http://localhost")

    rows = Activity.where("causer_type", "user").where("causer_id", "2").get()
    assert len(told) == len({row.batch_uuid or row.id for row in rows})
    assert told == sorted(told, reverse=True)


def test_a_search_that_looked_through_enough_rows_offers_to_go_on(people, monkeypatch):
    monkeypatch.setattr(audit, "LOOKED_THROUGH", 600)
    html = people("manager").get("/audit?q=no-such-thing").text

    assert "Nothing here" in html
    assert "Searched 600 rows at most; older ones may fit as well." in html


def test_a_device_is_called_what_its_owner_calls_it(year):
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0.0.0 Safari/537.36"
    given = {"email": "warehouse@demo.example", "password": PASSWORD}
    Client(year, headers=SAME).post("/login", data=given)
    client = Client(year, headers={**SAME, "User-Agent": agent})
    client.post("/login", data=given)

    assert "Chrome on Windows" in client.get("/account").text
    assert "By: Chrome on Windows." in client.get("/notifications").text


def test_each_user_reads_numbers_and_dates_in_their_own_form(people):
    order = Order.order_by_desc("total").first()
    swedish = people("manager").get(f"/orders/{order.id}").text
    british = people("clerk").get(f"/orders/{order.id}").text

    assert f"{order.total:,.2f}".replace(",", "\u00a0").replace(".", ",") in swedish
    assert f"{order.total:,.2f}" in british
    assert f">{order.ordered_on:%d/%m/%Y}</time>" in british
    assert f">{order.ordered_on}</time>" in swedish


def test_a_user_changes_how_they_read_them(people):
    client = people("admin")
    data = {"locale": "de-DE", "timezone": "Europe/Berlin"}
    client.post("/preferences", data=data).assert_redirect("/preferences")
    assert "1.234.567,50" in client.get("/preferences").text

    headers = {"Accept": "application/json"}
    given = {"locale": "xx", "timezone": "../etc"}
    client.post("/preferences", data=given, headers=headers).assert_invalid("locale", "timezone")
    client.post("/preferences", data={"locale": "", "timezone": ""})
    assert (User.find(1).locale, User.find(1).timezone) == (None, None)


def test_a_price_may_be_typed_as_its_user_writes_numbers(people):
    client, product = people("warehouse"), Product.find(5)
    fields = {"name": product.name, "category": "Tools", "stock": "50", "reorder_level": "5",
              "price": "1.234,50", "is_active": "1"}  # fmt: skip
    client.put("/products/5", data=fields).assert_status(302)

    assert str(Product.find(5).price) == "1234.50"
    assert 'value="1.234,50"' in client.get("/products/5/edit").text
    client.put("/products/5", data={**fields, "price": "12.50"}).assert_status(302)
    assert str(Product.find(5).price) == "12.50"


def test_a_task_that_was_seen_and_never_ran_says_so(people):
    seen = {"task": "Report of last month", "run_at": 60, "host": "erp1", "started_at": 61}
    DB.table("queue_schedule_runs").insert(seen)

    tasks = people("admin").get("/console/schedule?format=json").json()["tasks"]

    assert [(task["task"], task["last_run"]) for task in tasks][0] == (seen["task"], None)


def test_the_example_to_import_is_good_and_nothing_new_the_second_time(people):
    client = people("clerk")
    answer = client.get("/imports/example.csv")
    assert "orders-example.csv" in answer.headers["Content-Disposition"]
    for _ in range(2):
        client.post("/imports", files={"file": ("orders-example.csv", answer.body, "text/csv")})
        Worker(queue()).run_all()

    first, second = OrderImport.order_by_desc("id").limit(2).get()[::-1]
    assert (first.imported, first.rejected) == (40, 0)
    assert (second.imported, second.repeated) == (0, 40)


def test_a_failed_import_says_why_and_shows_its_lines(people):
    client = people("clerk")

    assert "Its columns seem to be separated by semicolons" in client.get("/imports/3").text
    html = client.get("/imports/2").text
    assert "X12-9000001,1,31.02.2026,C-00007,Alder Facilities,SKU-0007,4,12.50" in html
