"""The demo ERP as people and programs use it, on both engines."""

from __future__ import annotations

import io
import re

import pytest

from app.importing import WrongFile, run_import
from app.jobs import GenerateMonthlyReport
from app.models import Customer, Invoice, Order, OrderImport, OrderLine, Product, Report, User
from app.seed import write_orders
from so import DB, Activity, cache
from so.console.kernel import Kernel

PAGES = ["/", "/products", "/products/1", "/products/create", "/products/1/edit", "/customers",
         "/customers/1", "/orders", "/orders/1", "/orders/create", "/invoices", "/imports",
         "/reports", "/notifications", "/account", "/audit"]  # fmt: skip


def work(demo):
    kernel = Kernel(demo)
    assert (
        kernel.call("queue:work --queue=default,reports --stop-when-empty --workers=0 --memory=0")
        == 0
    )
    return kernel.output()


@pytest.fixture
def invoice(program):
    """An invoice of the clerk, submitted for approval."""
    clerk = program("clerk")
    order = clerk.post(
        "/api/v1/orders", json={"customer_id": 1, "items": [{"product_id": 1, "quantity": 2}]}
    ).json("data")
    made = clerk.post(f"/api/v1/orders/{order['id']}/invoice").json("data")
    clerk.post(f"/api/v1/invoices/{made['id']}/submit").assert_status(200)
    return Invoice.find(made["id"])


def test_every_page_is_drawn(person):
    client = person("manager")
    for page in PAGES:
        answer = client.get(page)
        assert answer.status == 200, page
        assert "<h1>" in answer.text
        outside = re.findall(r'(?:src|href)="(https?://[^"]*)"', answer.text)
        assert [url for url in outside if "localhost" not in url] == []


def test_guests_are_sent_to_the_login(demo):
    from so.testing import Client

    Client(demo).get("/orders").assert_redirect("/login")
    assert Client(demo).get("/api/v1/orders").status == 401


def test_a_wrong_password_is_refused_and_kept_out_of_the_form(demo):
    from so.testing import Client

    client = Client(demo, headers={"Sec-Fetch-Site": "same-origin", "Referer": "/login"})
    client.post("/login", data={"email": "clerk@demo.example", "password": "wrong-one"})
    page = client.get("/login").text

    assert "do not match" in page
    assert "clerk@demo.example" in page
    assert "wrong-one" not in page


def test_a_form_without_its_token_is_refused(demo):
    from so.testing import Client

    answer = Client(demo).post("/login", data={"email": "clerk@demo.example", "password": "x"})
    assert answer.status == 419


def test_roles_decide_what_may_be_done(person, program):
    assert person("clerk").get("/audit").status == 403
    assert program("warehouse").post("/api/v1/orders", json={}).status == 403


def test_placing_an_order_takes_the_stock_and_prices_of_today(program, demo):
    product = Product.find(1)
    answer = program("clerk").post(
        "/api/v1/orders",
        json={"customer_id": 1, "items": [{"product_id": 1, "quantity": 2}]},
    )

    assert answer.status == 201
    order = Order.find(answer.json("data.id"))
    assert order.total == product.price * 2
    assert Product.find(1).stock == product.stock - 2
    assert order.activities().count() >= 1


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([{"product_id": 1, "quantity": 1_000_000}], "items.0.quantity"),
        ([{"product_id": 1, "quantity": 1}, {"product_id": 9999, "quantity": 1}],
         "items.1.product_id"),
        ([{"product_id": 1, "quantity": 0}], "items.0.quantity"),
        ([{"product_id": "1 or 1=1", "quantity": 1}], "items.0.product_id"),
        ([], "items"),
        ("nonsense", "items"),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_is_refused_whole(program, items, field):
    before = (Order.count(), Product.find(1).stock)
    answer = program("clerk").post("/api/v1/orders", json={"customer_id": 1, "items": items})

    assert answer.status == 422
    assert field in answer.json("errors")
    assert (Order.count(), Product.find(1).stock) == before


def test_low_stock_is_told_to_the_warehouse(program):
    product = Product.find(1)
    product.update(stock=product.reorder_level + 1)
    items = [{"product_id": 1, "quantity": 2}]
    program("clerk").post("/api/v1/orders", json={"customer_id": 1, "items": items})

    assert User.first_where("role", "warehouse").unread_count() == 1


def test_an_order_is_taken_through_the_form(person):
    client = person("clerk")
    data = {"customer_id": "1", "items[0][product_id]": "2", "items[0][quantity]": "3",
            "items[1][product_id]": "", "items[1][quantity]": ""}  # fmt: skip
    answer = client.post("/orders", data=data)
    assert answer.status == 302
    assert OrderLine.order_by_desc("id").first().quantity == 3


@pytest.mark.parametrize("items", [1e308, True, "x", ["x"], {"a": "x"}, None])
def test_an_order_whose_items_are_no_lines_is_refused(person, items):
    answer = person("clerk").post("/orders", json={"customer_id": 1, "items": items})

    answer.assert_invalid("items")


def test_approving_writes_the_trail_and_tells_the_owner(program, invoice):
    manager = program("manager")
    answer = manager.post(f"/api/v1/invoices/{invoice.id}/approve", json={"note": "fine"})

    assert answer.json("data.status") == "approved"
    texts = Activity.for_subject(invoice).pluck("description")
    assert "Invoice approved for payment" in texts
    approved = Activity.for_subject(invoice).for_event("approved").first()
    assert approved.causer.role == "manager"
    assert approved.properties["note"] == "fine"
    inbox = program("clerk").get("/api/v1/notifications").json("data")
    assert inbox[0]["data"]["title"] == "Invoice approved"


def test_nobody_decides_twice_or_on_an_invoice_of_their_own(program, invoice):
    assert program("clerk").post(f"/api/v1/invoices/{invoice.id}/approve").status == 403
    manager = program("manager")
    here = f"/api/v1/invoices/{invoice.id}/reject"
    assert manager.post(here).status == 422
    assert manager.post(here, json={"note": " "}).status == 422
    assert manager.post(here, json={"note": "Wrong price"}).status == 200
    assert manager.post(f"/api/v1/invoices/{invoice.id}/approve").status == 409
    own = Invoice.find(invoice.id)
    own.force_fill({"status": "submitted", "owner_id": User.first_where("role", "manager").id})
    own.save()
    assert manager.post(f"/api/v1/invoices/{invoice.id}/approve").status == 403


def test_the_approval_flow_through_pages(person, invoice):
    client = person("manager")
    assert "Approve" in client.get(f"/invoices/{invoice.id}").text
    client.post(f"/invoices/{invoice.id}/approve", data={"note": ""}).assert_status(302)
    page = client.get(f"/invoices/{invoice.id}").text
    assert "The invoice was approved." in page
    assert "Invoice approved for payment" in page


def test_shipping_tells_whoever_took_the_order(person, demo):
    order = Order.where("status", "open").first()
    person("warehouse").post(f"/orders/{order.id}/ship").assert_status(302)

    assert order.refresh().status == "shipped"
    assert User.find(order.user_id).unread_notifications[0].data["title"] == "Order Shipped"


def test_the_catalogue_is_cached_and_forgotten_when_a_product_changes(person):
    client = person("manager")
    client.get("/products")
    assert cache().has("catalogue")
    fields = {"name": "Renamed", "category": "Tools", "price": "1.50", "stock": "5",
              "reorder_level": "1", "is_active": "1"}  # fmt: skip
    client.put("/products/1", data=fields).assert_status(302)

    assert not cache().has("catalogue")
    assert "Renamed" in client.get("/products").text


def test_a_change_that_is_rolled_back_leaves_the_catalogue_alone(person):
    person("manager").get("/products")
    DB.begin_transaction()
    Product.find(1).update(name="Ghost")
    DB.roll_back()

    assert cache().has("catalogue")


def csv_of(lines, seed=1, bad_every=0):
    text = io.StringIO()
    write_orders(text, lines, seed, bad_every)
    return text.getvalue()


def begin(text, path):
    path.write_text(text, encoding="utf-8")
    return OrderImport.create(file_name=path.name, path=str(path))


def test_importing_a_file_by_upload_runs_as_a_job_with_progress(demo, program):
    clerk = program("clerk")
    files = {"file": ("orders.csv", csv_of(1200, bad_every=300).encode())}
    job = clerk.post("/api/v1/imports", files=files).json("data")
    assert clerk.get(f"/api/v1/imports/{job['id']}").json("data.status") == "waiting"

    work(demo)

    done = clerk.get(f"/api/v1/imports/{job['id']}").json("data")
    assert (done["status"], done["percent"]) == ("finished", 100)
    assert (done["imported"], done["rejected"], done["total_lines"]) == (1196, 4, 1200)
    assert [error["line_no"] for error in done["errors"]] == [301, 601, 901, 1201]
    inbox = clerk.get("/api/v1/notifications").json("data")
    assert inbox[0]["data"]["title"] == "Import finished"


def test_the_same_file_twice_duplicates_nothing(demo, tmp_path):
    text = csv_of(700)
    run_import(begin(text, tmp_path / "a.csv"))
    orders, lines = Order.count(), OrderLine.count()
    totals = Order.order_by("id").pluck("total")
    again = begin(text, tmp_path / "b.csv")
    run_import(again)

    assert (again.imported, again.repeated, again.rejected) == (0, 700, 0)
    assert (Order.count(), OrderLine.count()) == (orders, lines)
    assert Order.order_by("id").pluck("total") == totals


HEAD = "order_number,line_no,order_date,customer_number,customer_name,sku,quantity,unit_price\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"X,1,2026-01-01,C,N,SKU-0001,2", "7 fields instead of 8"),
        (b"X,0,2026-01-01,C,N,SKU-0001,2,1.00", "line_no must be a whole number"),
        (b"X,1,2026-02-30,C,N,SKU-0001,2,1.00", "order_date must be a date"),
        (b"X,1,2026-01-01,C,N,SKU-9999,2,1.00", "unknown sku"),
        (b"X,1,2026-01-01,C,N,SKU-0001,-2,1.00", "quantity must be a whole number"),
        ("X,1,2026-01-01,C,N,SKU-0001,٣,1.00".encode(), "quantity must be a whole number"),
        (b"X,1,2026-01-01,C,N,SKU-0001,2,1.005", "unit_price must be an amount"),
        (b"X,1,2026-01-01,C,N,SKU-0001,2,NaN", "unit_price must be an amount"),
        (b",1,2026-01-01,C,N,SKU-0001,2,1.00", "order_number must have"),
        (b"X,1,2026-01-01,C,N\xff,SKU-0001,2,1.00", "not UTF-8"),
        (b'X,1,2026-01-01,C,"N"x,SKU-0001,2,1.00', "not readable as CSV"),
    ],
)
def test_a_bad_line_is_reported_and_stops_nothing(demo, tmp_path, line, reason):
    path = tmp_path / "bad.csv"
    good = b"G,1,2026-01-01,C-77777,New one,SKU-0001,2,1.50\n"
    path.write_bytes(HEAD.encode() + line + b"\n" + good)
    job = OrderImport.create(file_name="bad.csv", path=str(path))
    run_import(job)

    assert (job.imported, job.rejected) == (1, 1)
    (error,) = job.errors
    assert (error.line_no, reason in error.reason) == (2, True), error.reason
    assert error.content.rstrip("\n") == line.decode("utf-8", "replace")
    assert str(Order.first_where("number", "G").total) == "3.00"
    assert Customer.first_where("number", "C-77777").name == "New one"


def test_a_line_that_contradicts_a_stored_one_is_an_error(demo, tmp_path):
    run_import(begin(HEAD + "X,1,2026-01-01,C,N,SKU-0001,2,1.00\n", tmp_path / "a.csv"))
    job = begin(
        HEAD + "X,1,2026-01-01,C,N,SKU-0001,3,1.00\nX,2,2026-01-01,C,N,SKU-0002,1,5.00\n",
        tmp_path / "b.csv",
    )
    run_import(job)

    assert (job.imported, job.rejected) == (1, 1)
    assert "with other values" in job.errors[0].reason
    assert str(Order.first_where("number", "X").total) == "7.00"


def test_a_file_without_the_columns_fails_with_their_names(demo, tmp_path):
    with pytest.raises(WrongFile, match="does not name the column.*sku"):
        run_import(begin("a,b\n1,2\n", tmp_path / "a.csv"))
    with pytest.raises(WrongFile, match="please use commas"):
        run_import(begin("order_number;line_no\n1;2\n", tmp_path / "a.csv"))
    with pytest.raises(WrongFile, match="empty"):
        run_import(begin("", tmp_path / "a.csv"))


def test_a_file_that_cannot_heal_is_tried_once_and_its_sender_learns_why(demo, program):
    clerk = program("clerk")
    files = {"file": ("old.csv", b"a;b\n1;2\n")}
    job = clerk.post("/api/v1/imports", files=files).json("data")

    work(demo)

    done = clerk.get(f"/api/v1/imports/{job['id']}").json("data")
    assert done["status"] == "failed"
    assert "does not name the columns order_number" in done["problem"]
    assert clerk.get("/api/v1/notifications").json("data.0.data.message").endswith("use commas.")
    assert DB.table("failed_jobs").value("attempts") == 1


def test_an_import_goes_on_where_it_was_interrupted(demo, tmp_path):
    job = begin(csv_of(1600), tmp_path / "a.csv")
    seen = []

    def interrupt(done, total):
        seen.append(done)
        if done == 1000:
            raise KeyboardInterrupt

    before = OrderLine.count()
    with pytest.raises(KeyboardInterrupt):
        run_import(job, interrupt)
    run_import(OrderImport.find(job.id), lambda done, total: seen.append(done))

    assert seen == [500, 1000, 1500, 1600]
    assert OrderLine.count() - before == 1600
    assert OrderImport.find(job.id).imported == 1600


def test_a_monthly_report_is_made_by_a_job(demo, program, person):
    manager = program("manager")
    manager.post("/api/v1/reports", json={"month": "2025-11"}).assert_status(202)
    work(demo)

    report = Report.first_where("month", "2025-11")
    orders = Order.where_like("ordered_on", "2025-11%").where("status", "!=", "cancelled").get()
    assert (report.status, report.orders) == ("finished", len(orders))
    assert report.revenue == sum(order.total for order in orders)
    client = person("manager")
    assert client.get("/reports/2025-11").status == 200
    assert client.get("/reports/2025-11/csv").text.startswith("customer,orders,revenue")
    assert manager.post("/api/v1/reports", json={"month": "2025-13"}).status == 422
    assert client.get("/reports/2030-01").status == 404


def test_a_report_that_is_made_again_is_replaced(demo):
    for _ in range(2):
        GenerateMonthlyReport("2025-12").handle()

    assert Report.where("month", "2025-12").count() == 1


def test_sessions_are_listed_and_ended_everywhere(person, demo):
    first, second = person("clerk"), person("clerk")
    assert first.get("/account").text.count("127.0.0.1") == 2

    first.post("/account/logout-everywhere").assert_redirect("/login")

    second.get("/orders").assert_redirect("/login")


def test_logging_out_ends_the_session(person):
    client = person("clerk")
    client.post("/logout").assert_redirect("/login")
    client.get("/orders").assert_redirect("/login")


def test_the_inbox_is_ones_own(person, invoice, program):
    manager = User.first_where("role", "manager")
    (found,) = manager.unread_notifications
    clerk, client = person("clerk"), person("manager")
    assert clerk.post(f"/notifications/{found.id}/read").status == 404
    assert "Invoice to approve" in client.get("/notifications").text
    client.post(f"/notifications/{found.id}/read").assert_status(302)
    assert manager.unread_count() == 0
    client.delete(f"/notifications/{found.id}").assert_status(302)
    assert program("manager").post(f"/api/v1/notifications/{found.id}/read").status == 404


def test_the_generator_gives_the_same_file_for_the_same_seed(demo, tmp_path):
    kernel = Kernel(demo)
    texts = []
    for name in ("a", "b"):
        path = tmp_path / name
        assert kernel.call(f"demo:orders --lines=50 --seed=7 --output={path}") == 0
        texts.append(path.read_bytes().decode())
    assert texts[0] == texts[1] == csv_of(50, 7)
    assert kernel.call("demo:orders --lines=many") == 2


def test_importing_from_the_shell_says_what_happened(demo, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(csv_of(20, 9, 10))
    kernel = Kernel(demo)

    assert kernel.call(["demo:import", str(path)]) == 0
    assert "18 lines imported, 0 repeated, 2 rejected" in kernel.output()
    assert kernel.call(["demo:import", "nothing.csv"]) == 1
    path.write_text("a,b\n1,2\n")
    assert kernel.call(["demo:import", str(path)]) == 1
    assert [job.status for job in OrderImport.order_by("id").get()] == ["finished", "failed"]


def test_seeding_twice_adds_nothing(demo):
    users = User.count()
    assert Kernel(demo).call("demo:seed") == 0
    assert User.count() == users
