"""The demo ERP against people who mean it harm: each test is named for its attack."""

from __future__ import annotations

import json
import multiprocessing
import re
import sqlite3
import tracemalloc

import pytest

from app import records
from app.importing import run_import
from app.models import Customer, Invoice, Order, OrderImport, OrderLine, Product, Report, User
from app.notifications import WorkFinished
from app.orders import place_order
from app.reports import generate
from app.seed import write_orders
from so import DB
from so.testing import Client
from tests.demo.conftest import PASSWORD
from tests.demo.test_demo import HEAD, begin, work

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(params=["sqlite"])
def engine(request):
    """One engine is enough where SQL plays no part; `both` asks for more."""
    return request.param


both = pytest.mark.parametrize("engine", ["sqlite", "mysql"], indirect=True)


# --- what is stored and shown ---------------------------------------------------------------------


def test_attack_xss_through_every_stored_field(demo, person, program):
    Customer.find(1).update(name=EVIL, city=EVIL, email=EVIL, number=EVIL)
    Product.find(1).update(name=EVIL, category=EVIL)
    User.find(2).update(name=EVIL)
    User.find(2).notify(WorkFinished(EVIL, EVIL, " java\tscript:alert(1)"))
    clerk = program("clerk")
    items = [{"product_id": 1, "quantity": 1}]
    order = clerk.post("/api/v1/orders", json={"customer_id": 1, "items": items}).json("data")
    invoice = clerk.post(f"/api/v1/orders/{order['id']}/invoice").json("data")
    clerk.post(f"/api/v1/invoices/{invoice['id']}/submit").assert_status(200)
    client = person("manager")
    client.post(f"/invoices/{invoice['id']}/reject", data={"note": EVIL}).assert_status(302)
    cells = ",".join(['"' + EVIL.replace('"', '""') + '"'] * 8)
    client.post("/imports", files={"file": (f"{EVIL}.csv", (HEAD + cells).encode())})
    client.post("/products", data={"name": EVIL, "sku": EVIL})
    work(demo)

    for page in ["/products/create", "/", "/products", "/products/1", "/customers",
                 f"/customers?q={EVIL}", "/customers/1", "/orders", "/orders/create",
                 f"/orders/{order['id']}", f"/invoices/{invoice['id']}", "/imports", "/imports/1",
                 "/notifications", "/account", "/audit", f"/audit?event={EVIL}",
                 f"/{EVIL}"]:  # fmt: skip
        text = client.get(page).text
        ours = '<script src="/notifications/bell.js" defer>'
        assert text.count("<script") == text.count(ours) <= 1, page  # no bell on an error page
        assert "<img" not in text, page
        assert not re.search(r'href="\s*j\s*a\s*v\s*a', text), page


def test_attack_formula_in_a_customers_name_is_text_in_the_report(demo):
    Customer.query().update({"name": '=HYPERLINK("http://evil.example")'})
    report = generate(Report.create(month="2025-12"))

    with open(report.path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert all(line.startswith(("\"'=", "'=")) for line in lines[1:])


def test_attack_where_files_lie_on_the_server_is_not_told(demo, program):
    manager = program("manager")
    manager.post("/api/v1/imports", files={"file": ("a.csv", HEAD.encode())}).assert_status(202)
    manager.post("/api/v1/reports", json={"month": "2025-12"}).assert_status(202)
    work(demo)

    for answer in (manager.get("/api/v1/imports/1"), manager.get("/api/v1/reports/2025-12")):
        assert answer.status == 200
        assert str(demo.storage_path("")) not in answer.text


def test_attack_clickjacking_and_cached_pages(person):
    answer = person("manager").get("/invoices")
    assert answer.headers.get("X-Frame-Options") == "SAMEORIGIN"
    assert answer.headers.get("Cache-Control") == "no-store, private"


# --- what comes in --------------------------------------------------------------------------------

NASTY = [
    "'", "1' or '1'='1", "\x00", "a\x00b", "\ud800", "%", "10" * 40, "-1", "1e400", "sNaN", "1_0",
    "٣", "0x10", [], {}, [[]], {"a": 1}, True, None, -1, 1.5, 1e308, 2**63, 10**30, 10**400,
    "\r\nSet-Cookie: x=1", "x" * 100_000, "2025-1", "9999-12", "٢٠٢٥-01",
]  # fmt: skip
BODIES = [
    ("POST", "/products", {"sku": "N", "name": "n", "category": "c", "price": "1.50", "stock": "5",
                           "reorder_level": "1"}),
    ("PUT", "/products/3", {"name": "n", "category": "c", "price": "1.50", "stock": "5",
                            "reorder_level": "1", "lock_version": None}),
    ("POST", "/orders", {"customer_id": 1, "items": [{"product_id": 4, "quantity": 1}]}),
    ("POST", "/reports", {"month": "2025-10"}),
    ("POST", "/imports", {"file": "x"}),
    ("POST", "/api/v1/invoices/1/approve", {"note": "x"}),
]  # fmt: skip


@both
@pytest.mark.parametrize(("method", "url", "body"), BODIES)
def test_attack_odd_values_in_every_field_are_no_error_of_the_server(
    demo, person, program, method, url, body
):
    client = program("manager") if url.startswith("/api") else person("manager")
    own = Order.first()
    Invoice.create(number="I-1", order_id=own.id, customer_id=1, owner_id=3, amount="1.00",
                   due_on="2026-01-01").force_fill({"status": "submitted"}).save()  # fmt: skip
    tries = [{**body, field: value} for field in body for value in NASTY]
    if "items" in body:
        line = body["items"][0]
        tries += [{**body, "items": [{**line, key: v}]} for key in line for v in NASTY]
    statuses = set()
    for given in [*tries, *NASTY]:
        DB.connection("locks").statement("delete from rate_limits")
        answer = client.request(
            method, url, json.dumps(given).encode(), headers={"Content-Type": "application/json"}
        )
        statuses.add(answer.status)
    assert max(statuses) < 500, statuses


ASKED = {
    "/orders": ("page", "q", "status", "sort", "page[]", "q[a]"),
    "/invoices": ("q", "status", "sort", "status[]"),
    "/customers": ("page", "q", "sort"),
    "/products": ("page", "q", "stock", "sort", "stock[a]"),
    "/imports": ("sort", "page"),
    "/imports/1": ("page",),
    "/notifications": ("page",),
    "/orders/create": ("customer", "customer_id", "customer_id[]"),
    "/audit": ("q", "causer", "subject_type", "event", "from", "to", "before", "to[]"),
    "/api/v1/activity": ("page", "subject_type", "subject_id", "event", "page[]"),
}  # fmt: skip


@both
def test_attack_odd_values_in_the_query_are_no_error_of_the_server(demo, person, program):
    people, api = person("manager"), program("manager")
    OrderImport.create(file_name="a.csv", path="a.csv", rejected=1)
    for url, names in ASKED.items():
        client = api if url.startswith("/api") else people
        for value in NASTY:
            text = value if isinstance(value, str) else json.dumps(value)
            if len(text) > 5000:
                continue
            escaped = "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))
            DB.connection("locks").statement("delete from rate_limits")
            query = "&".join(f"{name}={escaped}" for name in names)
            if len(query) < 7000:
                assert client.get(f"{url}?{query}").status < 500, (query, text)


def test_attack_wildcards_in_a_search_are_plain_text(demo, person):
    Customer.find(1).update(name="100 % wool")
    client = person("clerk")

    assert client.get("/customers?q=%25").text.count("/customers/") == 1
    assert "Nothing here" in client.get("/customers?q=_").text


def test_attack_mass_assignment_of_what_is_not_in_the_form(demo, program):
    answer = program("clerk").post(
        "/api/v1/orders",
        json={
            "customer_id": 1, "user_id": 1, "status": "shipped", "total": "0.01", "id": 777,
            "number": "MINE", "ordered_on": "1999-01-01",
            "items": [{"product_id": 4, "quantity": 2, "unit_price": "0.01", "line_total": "0"}],
        },
    )  # fmt: skip

    order = Order.find(answer.json("data.id"))
    assert (order.user_id, order.status, order.id == 777) == (3, "open", False)
    assert order.total == Product.find(4).price * 2
    assert order.number != "MINE"


def test_attack_an_order_too_large_for_its_column(demo, program):
    Product.find(1).update(price="9999999.99", stock=10**9)
    given = {"customer_id": 1, "items": [{"product_id": 1, "quantity": 1_000_000}]}

    assert program("clerk").post("/api/v1/orders", json=given).status == 422


# --- who somebody is ------------------------------------------------------------------------------


def test_attack_a_deactivated_user_is_out_with_all_sessions_and_tokens(demo, person, program):
    client, api = person("clerk"), program("clerk")
    User.first_where("role", "clerk").update(is_active=False)

    client.get("/orders").assert_redirect("/login")
    assert api.get("/api/v1/orders").status == 401
    given = {"email": "clerk@demo.example", "password": PASSWORD}
    assert Client(demo).post("/api/v1/login", json=given).status == 401
    again = Client(demo, headers={**SAME, "Accept": "application/json"})
    assert again.post("/login", data=given).status == 422


def test_attack_session_fixation_and_replay_after_logout(demo):
    attacker = Client(demo, headers=SAME)
    attacker.get("/login")
    planted = attacker.cookies["so_session"]
    victim = Client(demo, headers=SAME)
    victim.set_cookie("so_session", planted)
    victim.post("/login", data={"email": "clerk@demo.example", "password": PASSWORD})
    mine = victim.cookies["so_session"]

    attacker.get("/orders").assert_redirect("/login")
    assert mine != planted
    victim.post("/logout")
    replay = Client(demo)
    replay.set_cookie("so_session", mine)
    replay.get("/orders").assert_redirect("/login")


def test_attack_ending_the_session_of_somebody_else(demo, person):
    clerk = person("clerk")
    (handle,) = re.findall(r"/account/devices/(\w+)", person("clerk").get("/account").text)
    person("manager").delete(f"/account/devices/{handle}")

    assert clerk.get("/orders").status == 200


def test_attack_a_foreign_form_changes_nothing(demo, person):
    logged_in = person("manager").cookies
    before = Product.find(1).to_dict()
    fields = {"name": "x", "category": "x", "price": "1", "stock": "1", "reorder_level": "1"}
    for headers in ({}, {"Origin": "null"}, {"Origin": "http://localhost.evil.example"},
                    {"Sec-Fetch-Site": "same-site"}, {"Content-Type": "text/plain"}):  # fmt: skip
        client = Client(demo, headers=headers)
        for name, value in logged_in.items():
            client.set_cookie(name, value)
        client.put("/products/1", data=fields)
        client.post("/products/1", data={**fields, "_method": "PUT"})
        client.get("/products/1?_method=PUT&name=x")

    assert Product.find(1).to_dict() == before


# --- files ----------------------------------------------------------------------------------------

GOOD = "G,{},2026-01-01,C-77777,New one,SKU-0001,2,1.50\n"
BOMBS = {
    "one field": "é" * (2 << 20),
    "commas": "," * (2 << 20),
    "nul": "\0" * (2 << 20),
    "a quote that is never closed": 'X,1,"' + GOOD.format(3),
    "one record on many lines": '"\n",' * (1 << 17),
}


@pytest.mark.parametrize("name", BOMBS)
def test_attack_csv_bombs_cost_no_memory_and_no_good_line(demo, tmp_path, name):
    path = tmp_path / "bomb.csv"
    path.write_text(HEAD + GOOD.format(1) + BOMBS[name] + "\n" + GOOD.format(2))
    tracemalloc.start()
    with path.open(encoding="utf-8", newline="") as file:
        good = [row for _, row, problem in records.records(file) if not problem and len(row) == 8]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [row[1] for row in good] == ["line_no", "1", "2"]
    assert peak < 1 << 20


def test_attack_a_header_of_a_million_columns(demo, tmp_path):
    with pytest.raises(ValueError, match="does not name the column"):
        run_import(begin("," * 1_000_000, tmp_path / "a.csv"))


def test_attack_the_line_of_an_unclosed_quote_is_named_and_alone(demo, tmp_path):
    text = HEAD + 'X,1,"\n' + "".join(GOOD.format(n) for n in range(1, 900))
    job = begin(text, tmp_path / "a.csv")
    run_import(job)

    assert (job.imported, job.rejected) == (899, 1)
    assert [(error.line_no, error.content) for error in job.errors] == [(2, 'X,1,"\n')]


@both
def test_attack_a_file_changes_no_order_that_was_taken_or_invoiced(demo, tmp_path, person):
    order = Order.first()
    run_import(begin(HEAD + "X,1,2026-01-01,C,N,SKU-0001,2,1.00\n", tmp_path / "a.csv"))
    invoiced = Order.first_where("number", "X")
    person("clerk").post(f"/orders/{invoiced.id}/invoice").assert_status(302)
    lines = "".join(f"{o.number},99,2026-01-01,C,N,SKU-0001,2,500.00\n" for o in (order, invoiced))
    job = begin(HEAD + lines, tmp_path / "b.csv")
    run_import(job)

    assert (job.imported, job.rejected) == (0, 2)
    assert "has an invoice" in job.errors[0].reason
    assert Order.find(order.id).total == order.total
    assert Order.find(invoiced.id).total == invoiced.total


@both
def test_attack_totals_too_large_for_the_column_are_bad_lines(demo, tmp_path):
    huge = "".join(f"H,{n},2026-01-01,C,N,SKU-0001,90000,9999999.99\n" for n in (1, 2))
    job = begin(HEAD + huge + GOOD.format(1), tmp_path / "a.csv")
    run_import(job)

    assert (job.imported, job.rejected) == (2, 1)
    assert "too large" in job.errors[0].reason


@pytest.mark.parametrize("price", ["1_0", "٣", "1e-400", "sNaN", "-0.01", "1e7"])
def test_attack_prices_only_python_reads(demo, tmp_path, price):
    job = begin(HEAD + f"X,1,2026-01-01,C,N,SKU-0001,2,{price}\n", tmp_path / "a.csv")
    run_import(job)

    assert (job.imported, job.rejected) == (0, 1)


# --- at once --------------------------------------------------------------------------------------

together = multiprocessing.get_context("fork")


def at_once(demo, *works):
    """Run each of *works* in a process of its own; what they gave, or the name of their error."""
    demo.close()
    gate, answers = together.Event(), together.SimpleQueue()

    def run(number, work):
        gate.wait(30)
        try:
            answers.put((number, work()))
        except BaseException as error:
            answers.put((number, type(error).__name__))

    children = [together.Process(target=run, args=pair) for pair in enumerate(works)]
    for child in children:
        child.start()
    gate.set()
    found = sorted(answers.get() for _ in children)
    for child in children:
        child.join(30)
    return [given for _, given in found]


@both
def test_eight_people_order_the_last_pieces_and_none_is_sold_twice(demo, program):
    api = program("clerk")
    Product.find(1).update(stock=5)
    given = {"customer_id": 1, "items": [{"product_id": 1, "quantity": 1}]}
    before = OrderLine.where("product_id", 1).sum("quantity")

    statuses = at_once(demo, *[lambda: api.post("/api/v1/orders", json=given).status] * 8)

    assert sorted(statuses) == [201] * 5 + [422] * 3
    assert Product.find(1).stock == 0
    assert OrderLine.where("product_id", 1).sum("quantity") - before == 5


@both
def test_an_invoice_is_decided_once_whoever_presses_at_once(demo, program):
    clerk, manager, admin = program("clerk"), program("manager"), program("admin")
    order = Order.where("status", "open").first()
    made = clerk.post(f"/api/v1/orders/{order.id}/invoice").json("data")
    here = f"/api/v1/invoices/{made['id']}"
    clerk.post(f"{here}/submit").assert_status(200)

    presses = [
        lambda: manager.post(f"{here}/approve").status,
        lambda: admin.post(f"{here}/reject", json={"note": "No"}).status,
        lambda: admin.post(f"{here}/approve").status,
    ]
    assert sorted(at_once(demo, *presses)) == [200, 409, 409]
    trail = DB.table("activity_log").where_in("event", ["approved", "rejected"]).count()
    told = User.find(3).notifications
    assert (trail, len(told)) == (1, 1)


@both
def test_two_workers_import_the_same_file_at_once_and_nothing_is_there_twice(demo, tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        write_orders(file, 1500, 5)
    jobs = [OrderImport.create(file_name="a", path=str(path)) for _ in range(2)]
    before = OrderLine.count()

    def run(job):
        run_import(job)
        return job.imported

    counts = at_once(demo, *[lambda job=job: run(job) for job in jobs])

    assert sum(counts) == OrderLine.count() - before == 1500
    for order in Order.where_like("number", "X5-%").with_("lines").get():
        assert order.total == sum(line.line_total for line in order.lines)


def test_two_people_edit_a_product_and_the_second_is_told(demo, person):
    client = person("warehouse")
    form = client.get("/products/6/edit").text
    version = re.search(r'name="lock_version" value="(\d+)"', form)[1]
    fields = {"name": "n", "category": "c", "price": "1.50", "stock": "70", "reorder_level": "1",
              "lock_version": version}  # fmt: skip
    Product.find(6).update(stock=3)

    client.put("/products/6", data=fields).assert_redirect("/products/6/edit")
    assert "Somebody else has changed" in client.get("/products/6/edit").text
    assert Product.find(6).stock == 3


# --- a bad day ------------------------------------------------------------------------------------


def test_a_locked_database_is_a_503_and_the_log_has_no_secret_of_the_session(
    demo, db_config, caplog
):
    home = DB.connection("locks")  # where the sessions of this demo are
    home.config["busy_timeout"] = 50
    home.close()
    with sqlite3.connect(home.config["database"], isolation_level=None) as other:
        other.execute("begin immediate")
        answer = Client(demo).get("/login")
        other.execute("rollback")
    other.close()

    assert answer.status == 503
    assert "insert into sessions" in caplog.text
    assert "_token" not in caplog.text


def test_a_stock_that_only_changed_with_its_order_survives_kill_9(demo):
    before, sold = Product.sum("stock"), OrderLine.sum("quantity")
    demo.close()
    for round_ in range(6):
        child = together.Process(target=order_for_ever)
        child.start()
        child.join(0.05 + round_ * 0.03)
        child.kill()
        child.join(30)

    assert before - Product.sum("stock") == OrderLine.sum("quantity") - sold
    new = Order.where("id", ">", 12).pluck("id")
    trail = DB.table("activity_log").where("subject_type", "order").where("event", "created")
    assert sorted(int(key) for key in trail.pluck("subject_id")) == sorted(new)
    assert not Order.where("id", ">", 12).where("total", "0.00").exists()


def order_for_ever():
    while True:
        place_order(Customer.find(1), [{"product_id": n, "quantity": 1} for n in range(1, 6)])


PLANTED = ["", "null", "5", "{}", "[" * 20_000, "9" * 5000, "\x00", "cos\nsystem\n(S'true'\ntR.",
           '{"job": "os.system", "data": {"args": ["true"]}}']  # fmt: skip


def test_attack_planted_rows_run_nothing_and_stop_nothing(demo, person):
    for text in PLANTED:
        DB.table("jobs").insert({"queue": "default", "payload": text, "attempts": 0,
                                 "available_at": 0, "created_at": 0})  # fmt: skip
    work(demo)
    assert (DB.table("jobs").count(), DB.table("failed_jobs").count()) == (0, len(PLANTED))

    for text in PLANTED:
        client = person("clerk")
        DB.table("sessions").update({"payload": text})
        client.get("/orders").assert_redirect("/login")
        DB.connection("locks").statement("delete from rate_limits")


@pytest.mark.parametrize(
    "planted", ["", "x", "$scrypt$", "$scrypt$ln=30,r=8,p=1$QUFBQUFBQUFBQUFBQUFBQQ$QUFBQQ",
                "$scrypt$ln=20,r=900000,p=900000$QUFBQQ$QUFBQQ"],
)  # fmt: skip
def test_attack_a_planted_hash_with_a_huge_cost_is_not_computed(demo, planted):
    DB.table("users").where("id", 3).update({"password": planted})
    given = {"email": "clerk@demo.example", "password": PASSWORD}

    assert Client(demo).post("/api/v1/login", json=given).status == 401
