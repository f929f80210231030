"""The demo's forms when they are refused, and its links below a prefix."""

from __future__ import annotations

import re

import pytest

from app.models import Order, Product
from so.testing import Client
from tests.demo.conftest import PASSWORD
from tests.web.test_forms import control, described


def sent_back(client, path, to, data, **options):
    """The page at *path* after its form, sent to *to*, was refused."""
    headers = {"Referer": f"http://localhost{path}"}
    client.post(to, data=data, headers=headers, **options).assert_redirect(path)
    return client.get(path).text


def test_a_refused_order_keeps_its_lines_and_says_at_which_one(person):
    product = Product.find(2)
    data = {
        "customer_id": "3",
        "items[0][product_id]": "1", "items[0][quantity]": "2",
        "items[2][product_id]": "2", "items[2][quantity]": str(product.stock + 1),
        "items[3][product_id]": "", "items[3][quantity]": "",
    }  # fmt: skip
    count = Order.count()
    html = sent_back(person("clerk"), "/orders/create", "/orders", data)

    assert (
        described(html, "items[2][quantity]") == f"Only {product.stock} of {product.name} are left."
    )
    assert f'value="{product.stock + 1}"' in control(html, "items[2][quantity]")
    assert 'value="2"' in control(html, "items[0][quantity]")
    assert re.findall(r'<option value="(\d+)" selected', html) == ["3", "1", "2"]
    assert html.count('aria-invalid="true"') == 1
    assert re.search(r'<a href="#items-2-quantity">Line 3: Only ', html)
    assert Order.count() == count


def test_a_form_that_is_sent_twice_makes_one_order(person):
    client = person("clerk")
    [sending] = re.findall(r'name="sending" value="([^"]+)"', client.get("/orders/create").text)
    data = {"customer_id": "3", "items[0][product_id]": "1", "items[0][quantity]": "1"}
    count = Order.count()

    first, again, other = (
        client.post("/orders", data={**data, "sending": one}) for one in (sending, sending, "")
    )

    assert again.headers["Location"] == first.headers["Location"] != other.headers["Location"]
    assert Order.count() == count + 2
    client.post("/orders", data={**data, "sending": sending})
    assert "This form was sent before" in client.get(first.headers["Location"]).text


def test_who_goes_back_and_sends_the_same_order_is_asked(person):
    client, count = person("clerk"), Order.count()
    data = {"customer_id": "4", "items[0][product_id]": "1", "items[0][quantity]": "1"}
    client.post("/orders", data={**data, "sending": "a-form"})

    html = sent_back(client, "/orders/create", "/orders", {**data, "sending": "fetched-anew"})

    number = Order.order_by_desc("id").first().number
    assert described(html, "again") == f"You placed the same order just now: {number}."
    assert Order.count() == count + 1
    client.post("/orders", data={**data, "sending": "fetched-anew", "again": "1"})
    assert Order.count() == count + 2


def test_a_line_without_a_product_is_no_empty_line(person):
    data = {"customer_id": "3", "items[4][quantity]": "7", "items[4][product_id]": ""}
    html = sent_back(person("clerk"), "/orders/create", "/orders", data)

    assert described(html, "items[4][product_id]") == "The product field is required."
    assert 'value="7"' in control(html, "items[4][quantity]")


def test_a_product_on_two_lines_that_is_not_enough_is_told_at_both(person):
    stock = Product.find(1).stock
    data = {"customer_id": "3"} | {f"items[{at}][product_id]": "1" for at in (1, 3)}
    data |= {f"items[{at}][quantity]": str(stock) for at in (1, 3)}
    html = sent_back(person("clerk"), "/orders/create", "/orders", data)

    assert f"Only {stock} of" in described(html, "items[1][quantity]")
    assert f"Only {stock} of" in described(html, "items[3][quantity]")


def test_an_order_without_lines_says_so_once(person):
    html = sent_back(person("clerk"), "/orders/create", "/orders", {"customer_id": "3"})

    assert '<p class="error" id="items-error"><span>Fill at least one line.</span></p>' in html


def test_searching_for_a_customer_keeps_the_whole_order(person):
    client, count = person("clerk"), Order.count()
    data = {
        "customer": "zenith", "customer_id": "3",
        "items[0][product_id]": "1", "items[0][quantity]": "2",
        "items[6][product_id]": "", "items[6][quantity]": "many",
    }  # fmt: skip
    for pressed in ({"by": "find"}, {"by": "enter"}, {"by": "enter", "searched": "alder"}):
        html = sent_back(client, "/orders/create", "/orders", data | pressed)

        assert html.count("<form") - html.count('action="/logout"') == 1
        assert "16 fit “zenith”." in described(html, "customer_id")
        assert html.count("Zenith") == 16
        assert 'value="zenith"' in control(html, "customer")
        assert re.findall(r'<option value="(\d+)" selected', html) == ["3", "1"]
        assert 'value="2"' in control(html, "items[0][quantity]")
        assert 'value="many"' in control(html, "items[6][quantity]")
        assert 'aria-invalid="' not in html
    assert Order.count() == count


def test_an_order_is_placed_after_a_search(person):
    client, count = person("clerk"), Order.count()
    data = {
        "customer": " zenith ", "customer_id": "3",
        "items[0][product_id]": "2", "items[0][quantity]": "1",
    }  # fmt: skip
    for pressed in ({}, {"searched": "alder"}, {"by": "enter", "searched": "zenith"}):
        answer = client.post("/orders", data=data | pressed)

        assert answer.headers["Location"] == f"/orders/{Order.order_by_desc('id').first().id}"
    assert Order.count() == count + 3


def test_every_other_form_comes_back_with_its_reasons(person, demo):
    client = person("manager")

    html = sent_back(client, "/products/create", "/products", {"name": "Bolt", "price": "1.234"})
    told = "The price field must have 0-2 decimal places. Such as 1\xa0234,50."
    assert described(html, "price") == told
    assert 'value="1.234"' in control(html, "price")
    assert 'value="Bolt"' in control(html, "name")
    assert described(html, "sku") == "The SKU field is required."

    Product.find(1).update(is_active=True)
    path = "/products/1/edit"
    data = {"_method": "PUT", "name": "", "price": "2", "stock": "1"}
    html = sent_back(client, path, "/products/1", data)
    assert described(html, "name") == "The name field is required."
    assert "checked" not in control(html, "is_active")

    html = sent_back(client, "/imports", "/imports", {})
    assert described(html, "file").startswith("The file field is required. The first line names")
    assert described(html, "file").endswith("Choose the file again.")

    html = sent_back(client, "/reports", "/reports", {"month": "soon"})
    assert 'value="soon"' in control(html, "month")
    assert 'aria-invalid="true"' in control(html, "month")

    guest = Client(demo, headers={"Sec-Fetch-Site": "same-origin"})
    data = {"email": "x@demo.example", "password": "secret-word", "remember": "1"}
    html = sent_back(guest, "/login", "/login", data)
    assert described(html, "email") == "These credentials do not match our records."
    assert 'value="x@demo.example"' in control(html, "email")
    assert "checked" in control(html, "remember")
    assert "secret-word" not in html


@pytest.mark.parametrize(
    "environ",
    [
        {"SCRIPT_NAME": "/erp"},
        {"HTTP_X_FORWARDED_PREFIX": "/erp"},
        {"HTTP_X_FORWARDED_PREFIX": "/erp", "SCRIPT_NAME": "/erp"},
    ],
)
def test_no_link_of_any_page_leads_out_of_the_prefix(demo, environ):
    demo.config.set("trustedproxy.proxies", ["127.0.0.1"])
    demo.forget_instance("kernel")
    client = Client(demo, headers={"Sec-Fetch-Site": "same-origin"})

    def follow(path: str) -> str:
        answer = client.get(path, environ=environ)
        targets = re.findall(r'(?:href|action|src)="([^"#]*)', answer.text)
        assert [
            t for t in targets if t and not re.match(r"(?:http://localhost)?/erp(?:/|$)", t)
        ] == []
        assert "/erp/erp" not in answer.text
        return answer.text

    answer = client.get("/orders", environ=environ)
    assert answer.headers["Location"] == "/erp/login"
    follow("/login")
    data = {"email": "manager@demo.example", "password": PASSWORD}
    answer = client.post("/login", data=data, environ=environ)
    assert answer.headers["Location"] == "http://localhost/erp/orders"
    for path in (
        "/", "/products", "/products?page=2", "/products/create", "/products/1", "/customers",
        "/customers/1", "/orders", "/orders/1", "/orders/create", "/invoices", "/invoices/1",
        "/imports", "/reports", "/notifications", "/account", "/audit?page=1", "/preferences",
        "/docs", "/docs/getting-started", "/docs/search?q=queue", "/nowhere",
    ):  # fmt: skip
        follow(path)


def test_an_error_calls_a_field_as_its_label_does(person):
    html = sent_back(person("clerk"), "/account", "/account/password", {"current": ""})

    assert "Current password</label>" in html
    assert described(html, "current") == "The current password field is required."
