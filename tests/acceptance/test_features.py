"""The feature list, line by line: each snippet and bullet in Python, on both engines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from so import (
    DB,
    Activity,
    Application,
    Env,
    HasApiTokens,
    Hash,
    Job,
    JsonResponse,
    LogsActivity,
    MassAssignmentError,
    Model,
    Notifiable,
    Notification,
    Response,
    Router,
    ServiceProvider,
    activity,
    app,
    auth,
    cache,
    causer,
    config,
    dispatch,
    env,
    notifications,
    queue,
    relation,
    session,
    sessions,
    without_activity,
)
from so.console.kernel import Kernel
from so.testing import Client

ROOT = Path(__file__).resolve().parents[2]


class User(HasApiTokens, Notifiable, LogsActivity, Model):
    table = "feature_users"
    type_alias = "feature_user"
    fillable = ["name", "email", "status"]
    hidden = ["password"]
    timestamps = False

    @relation
    def orders(self):
        return self.has_many(Order, "user_id")


class Order(LogsActivity, Model):
    table = "feature_orders"
    type_alias = "feature_order"
    fillable = ["user_id", "total"]
    timestamps = False

    @relation
    def user(self):
        return self.belongs_to(User, "user_id")


@pytest.fixture
def tables(erp, engine):
    """The application with tables for the models above."""
    id = "id integer primary key " + ("auto_increment" if engine == "mysql" else "autoincrement")
    text = "varchar(100)"
    connection = DB.connection()
    connection.unprepared(
        f"create table feature_users ({id}, name {text}, email {text}, status {text},"
        f" password {text}, created_at {text})"
    )
    connection.unprepared(f"create table feature_orders ({id}, user_id int, total int)")
    connection.unprepared(f"create table feature_stock ({id}, stock int)")
    return erp


@pytest.fixture
def ada(tables):
    with without_activity():
        return User.force_create(
            name="Ada", email="ada@x.example", status="active", password=Hash.make("secret")
        )


# --- 1. Dependency injection container ---


class UserRepository:
    pass


class UserService:
    def __init__(self, repository: UserRepository) -> None:
        self.repository = repository

    def rename(self, repository: UserRepository, name: str) -> tuple[UserRepository, str]:
        return repository, name


def test_container_snippet(erp):
    app().singleton(UserService, lambda app: UserService(app.make(UserRepository)))

    service = app(UserService)

    assert isinstance(service.repository, UserRepository)
    assert app(UserService) is service


def test_service_providers_register_before_they_boot(erp):
    seen = []

    class Provider(ServiceProvider):
        def register(self):
            seen.append("register")

        def boot(self, service: UserService):
            seen.append(type(service).__name__)

    erp.register(Provider)
    erp.register(Provider)

    assert seen == ["register", "UserService"]


def test_factory_bindings_constructor_and_method_injection(erp):
    app().bind("report", lambda c: object())

    assert app("report") is not app("report")
    repository, name = app().call([UserService, "rename"], {"name": "x"})
    assert isinstance(repository, UserRepository)
    assert name == "x"


# --- 2. Database layer ---


def test_database_transaction_snippet(tables):
    DB.table("feature_stock").insert({"stock": 5})

    def work():
        DB.table("feature_orders").insert({"total": 1000})
        DB.table("feature_stock").decrement("stock", 1)

    DB.transaction(work)

    assert DB.table("feature_orders").value("total") == 1000
    assert DB.table("feature_stock").value("stock") == 4


def test_database_query_snippet(tables):
    DB.table("feature_users").insert(
        [
            {"name": "A", "status": "active", "created_at": "2026-01-01"},
            {"name": "B", "status": "gone", "created_at": "2026-01-02"},
            {"name": "C", "status": "active", "created_at": "2026-01-03"},
        ]
    )
    users = DB.table("feature_users").where("status", "active").order_by("created_at", "DESC").get()

    assert [user.name for user in users] == ["C", "A"]


def test_prepared_statements_keep_values_out_of_sql(tables):
    evil = "x'; drop table feature_users; --"
    DB.table("feature_users").insert({"name": evil})

    assert DB.table("feature_users").where("name", evil).count() == 1


def test_a_failed_transaction_leaves_nothing(tables):
    with pytest.raises(ZeroDivisionError):
        DB.transaction(lambda: DB.table("feature_orders").insert({"total": 1}) and 1 / 0)

    assert DB.table("feature_orders").count() == 0


def test_models_fillable_and_guarded(tables):
    user = User.create(name="Ada", email="a@x.example", password="ignored")
    assert user.refresh().password is None

    class Locked(User):
        fillable = []
        guarded = ["*"]

    with pytest.raises(MassAssignmentError):
        Locked.create(name="x")


def test_several_database_connections(tables):
    DB.table("feature_orders", connection="other").insert({"total": 7})

    assert DB.connection("other").scalar("select count(*) from feature_orders") == 1
    assert DB.connection("other") is not DB.connection()


def test_model_relations_are_loaded_ahead(tables, ada):
    Order.insert([{"user_id": ada.id, "total": n} for n in (1, 2)])
    DB.enable_query_log()

    found = User.with_("orders").get()

    assert [order.total for order in found[0].orders] == [1, 2]
    assert len(DB.get_query_log()) == 2


# --- 3. Routing ---


class UserController:
    def show(self, id: int):
        return {"id": id}


class ProductController:
    def index(self):
        return ["all"]

    def store(self):
        return "stored"

    def show(self, id: int):
        return {"id": id}

    def update(self, id: int):
        return "updated"

    def destroy(self, id: int):
        return "destroyed"

    def create(self):
        return "form"

    def edit(self, id: int):
        return "edit"


def test_routing_snippet(erp):
    Router.get("/users/{id}", [UserController, "show"])

    def routes():
        Router.resource("products", ProductController)

    Router.group({"prefix": "api", "middleware": "auth"}, routes)
    client = Client(erp)

    assert client.get("/users/7").json() == {"id": 7}
    assert client.get("/api/products").status == 401


@pytest.mark.parametrize("verb", ["get", "post", "put", "delete", "patch"])
def test_every_http_method_routes(erp, verb):
    getattr(Router, verb)("/thing", lambda: verb)

    assert getattr(Client(erp), verb)("/thing").text == verb


def test_named_routes_make_urls(erp):
    Router.get("/users/{id}", [UserController, "show"]).name("users.show")

    assert Router.route("users.show", {"id": 5}, absolute=False) == "/users/5"


def test_groups_nest_their_prefixes_and_middleware(erp):
    seen = []

    def note(name):
        def middleware(request, next):
            seen.append(name)
            return next(request)

        return middleware

    with (
        Router.group(prefix="a", middleware=[note("outer")]),
        Router.group(prefix="b", middleware=[note("inner")]),
    ):
        Router.get("/c", lambda: "ok").middleware(note("route"))

    assert Client(erp).get("/a/b/c").text == "ok"
    assert seen == ["outer", "inner", "route"]


def test_resource_routes_serve_crud(erp):
    Router.resource("products", ProductController)
    client = Client(erp)

    assert client.get("/products").json() == ["all"]
    assert client.get("/products/5").json() == {"id": 5}
    assert client.post("/products").text == "stored"
    assert client.put("/products/5").text == "updated"
    assert client.patch("/products/5").text == "updated"
    assert client.delete("/products/5").text == "destroyed"
    assert client.get("/products/create").text == "form"
    assert client.get("/products/5/edit").text == "edit"


# --- 4. HTTP ---


def test_http_snippet(erp):
    def upload(request):
        email = request.input("email")
        file = request.file("document")
        return JsonResponse.success({"user": {"email": email, "size": file.size}})

    Router.post("/upload", upload)
    Router.get("/old", lambda: Response.redirect("/dashboard"))
    client = Client(erp)
    answer = client.post(
        "/upload", data={"email": "a@x.example"}, files={"document": ("a.txt", b"hello")}
    )

    assert answer.json() == {
        "success": True,
        "message": "Success",
        "data": {"user": {"email": "a@x.example", "size": 5}},
    }
    client.get("/old").assert_redirect("/dashboard")


def test_input_comes_from_query_form_and_json(erp):
    Router.any("/in", lambda request: request.all())
    client = Client(erp)

    assert client.get("/in?a=1").json() == {"a": "1"}
    assert client.post("/in?a=1", data={"b": "2"}).json() == {"a": "1", "b": "2"}
    assert client.post("/in", json={"c": [3]}).json() == {"c": [3]}


def test_cookies_and_headers(erp):
    Router.get("/set", lambda: Response("x").cookie("color", "red").header("X-A", "1"))
    Router.get("/get", lambda request: [request.cookie("color"), request.header("x-b")])
    client = Client(erp)

    assert client.get("/set").headers["X-A"] == "1"
    assert client.get("/get", headers={"X-B": "2"}).json() == ["red", "2"]


def test_bearer_tokens_are_extracted(erp):
    Router.get("/token", lambda request: {"token": request.bearer_token()})

    answer = Client(erp).get("/token", headers={"Authorization": "bearer abc"})
    assert answer.json() == {"token": "abc"}


# --- 5. Configuration ---


def test_configuration_snippet(erp):
    assert config("app.name") == "SixOrbit ERP"
    assert config("database.host", "127.0.0.1") == "127.0.0.1"


def test_env_files_and_branding(tmp_path, monkeypatch):
    monkeypatch.delenv("APP_NAME", raising=False)
    (tmp_path / "config").mkdir()
    (tmp_path / ".env").write_text('APP_NAME="Lorry & Sons"\nSESSION_SECURE_COOKIE=true  # HTTPS\n')
    (tmp_path / "config" / "app.py").write_text(
        "from so.config import env\nconfig = {'name': env('APP_NAME', 'none')}\n"
    )
    try:
        with Application(tmp_path):
            assert config("app.name") == "Lorry & Sons"
            assert env("SESSION_SECURE_COOKIE") is True
    finally:
        Env.clear()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("activity.enabled", True), ("queue.default", "database"), ("cache.default", "database"),
        ("cache.prefix", "so_cache"), ("session.driver", "database"), ("session.lifetime", 120),
        ("session.cookie", "so_session"), ("session.secure", True),
        ("notifications.default", ["database"]), ("notifications.queue", False),
        ("notifications.prune_days", 30),
    ],
)  # fmt: skip
def test_the_environment_variables_as_printed(tmp_path, monkeypatch, key, value):
    printed = """\
# Activity Logging
ACTIVITY_LOG_ENABLED=true

# Queue System
QUEUE_CONNECTION=database

# Cache System
CACHE_DRIVER=database
CACHE_PREFIX=so_cache

# Session System
SESSION_DRIVER=database
SESSION_LIFETIME=120
SESSION_COOKIE=so_session
SESSION_SECURE_COOKIE=true  # HTTPS only

# Notifications
NOTIFICATION_CHANNEL=database
QUEUE_NOTIFICATIONS=false
NOTIFICATION_PRUNE_DAYS=30
"""
    import shutil

    for line in printed.splitlines():
        monkeypatch.delenv(line.partition("=")[0], raising=False)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / ".env").write_text(printed)
    try:
        with Application(tmp_path, {"app": {"providers": []}}):
            assert config(key) == value
    finally:
        Env.clear()


# --- System 1: activity log ---


def test_activity_snippet(tables, ada):
    invoice = Order.create(user_id=ada.id, total=1000)
    entry = (
        activity()
        .performed_on(invoice)
        .caused_by(ada)
        .with_properties({"amount": 1000, "status": "approved"})
        .log("Invoice approved for payment")
    )

    assert entry.subject == invoice
    assert entry.causer == ada
    assert entry.properties == {"amount": 1000, "status": "approved"}


def test_a_model_with_the_mixin_logs_before_and_after_values(tables, ada):
    ada.update(status="suspended")

    row = Activity.for_subject(ada).for_event("updated").first()
    assert row.changes() == {"status": ("active", "suspended")}


def test_user_actions_name_their_causer(tables, ada):
    with causer(ada):
        activity().log("Looked at the books")

    assert Activity.caused_by(ada).count() == 1


def test_several_log_channels(tables):
    activity("admin").log("a")
    activity("api").event("called").log("b")

    assert Activity.in_log("admin").pluck("description") == ["a"]
    assert Activity.in_log("api").for_event("called").count() == 1


# --- System 2: queue ---


class GenerateMonthlyReport(Job):
    done: list = []

    def __init__(self, month):
        self.month = month

    def handle(self):
        GenerateMonthlyReport.done.append(self.month)


class AlwaysFails(Job):
    tries = 2

    def handle(self):
        raise ValueError("no paper")


def work(*options):
    # The worker runs in this process, whose memory is that of the whole test run.
    return Kernel(app()).call(
        ["queue:work", "--stop-when-empty", "--workers=0", "--memory=0", *options]
    )


def test_queue_snippet_dispatch_stores_the_job_and_the_worker_runs_it(erp):
    GenerateMonthlyReport.done = []
    dispatch(GenerateMonthlyReport("2026-01"))
    assert DB.table("jobs").count() == 1
    assert GenerateMonthlyReport.done == []

    assert work() == 0

    assert GenerateMonthlyReport.done == ["2026-01"]
    assert DB.table("jobs").count() == 0


def test_a_failing_job_is_retried_and_kept_with_its_traceback(erp):
    dispatch(AlwaysFails())

    work()

    failed = DB.table("failed_jobs").first()
    assert "ValueError: no paper" in failed.exception
    assert "Traceback" in failed.exception
    assert DB.table("jobs").count() == 0


def test_failed_jobs_are_listed_and_retried_by_hand(erp):
    dispatch(AlwaysFails())
    work()
    kernel = Kernel(erp)

    assert kernel.call("queue:failed") == 0
    assert "AlwaysFails" in kernel.output()
    assert kernel.call("queue:retry all") == 0
    assert DB.table("jobs").count() == 1
    assert DB.table("failed_jobs").count() == 0


@pytest.mark.parametrize("name", ["default", "high-priority", "low-priority"])
def test_several_queues(erp, name):
    GenerateMonthlyReport.done = []
    dispatch(GenerateMonthlyReport("a")).on_queue(name).send()
    dispatch(GenerateMonthlyReport("b")).on_queue("other").send()

    work(f"--queue={name}")

    assert GenerateMonthlyReport.done == ["a"]
    assert queue().size("other") == 1


# --- System 3: notifications ---


class OrderShipped(Notification):
    def __init__(self, order):
        self.order = order

    def via(self):
        return ["database"]

    def to_database(self, notifiable):
        return {
            "title": "Order Shipped",
            "message": f"Your order #{self.order.id} has been shipped",
            "url": f"/orders/{self.order.id}",
        }


def test_notification_snippet(tables, ada):
    order = Order.create(user_id=ada.id, total=5)
    ada.notify(OrderShipped(order))

    (found,) = ada.unread_notifications
    assert found.data["message"] == f"Your order #{order.id} has been shipped"


def test_notifications_are_marked_as_read_and_cleaned_up(tables, ada):
    ada.notify(OrderShipped(Order.create(total=1)))
    ada.unread_notifications[0].mark_as_read()
    assert ada.unread_count() == 0

    erp = app()
    erp.clock.travel(31 * 86_400)
    assert Kernel(erp).call("notification:cleanup --days=30") == 0
    assert DB.table("notifications").count() == 0


def test_any_model_can_be_notified(tables, ada):
    class Customer(Notifiable, Model):
        table = "feature_users"
        type_alias = "feature_customer"
        timestamps = False

    Customer.find(ada.id).notify(OrderShipped(Order.create(total=1)))

    assert DB.table("notifications").value("notifiable_type") == "feature_customer"
    assert ada.unread_count() == 0


def test_queued_notifications_are_delivered_by_a_worker(tables, ada):
    class Later(OrderShipped):
        queued = True

    ada.notify(Later(Order.create(total=1)))
    assert ada.unread_count() == 0

    work()

    assert ada.unread_count() == 1


# --- System 4: cache ---


def test_cache_snippet(tables, ada):
    cache().put("products.featured", [1, 2], 3600)
    assert cache().get("products.featured") == [1, 2]

    calls = []

    def active():
        calls.append(1)
        return User.where("status", "active").get()

    for _ in range(2):
        users = cache().remember("users.active", 3600, active)
        assert users[0].name == "Ada"
        assert isinstance(users[0], User)
    assert calls == [1]

    lock = cache().lock("report-generation", 60)
    other = cache().lock("report-generation", 60)
    assert lock.acquire()
    assert not other.acquire()
    assert lock.release()


def test_several_cache_drivers(erp):
    cache("array").put("a", 1)
    cache("database").put("a", 2)

    assert (cache("array").get("a"), cache().get("a")) == (1, 2)


def test_counters_and_prefixes(erp):
    assert cache().increment("visits") == 1
    assert cache().decrement("visits", 3) == -2
    key = DB.table("cache", connection="locks").value("key")
    assert (key if isinstance(key, str) else key.decode()) == "so_cache:visits"


# --- System 5: sessions ---


def test_session_snippet(erp):
    def put():
        session().put("user_id", 42)
        return {"user": session().get("user_id")}

    with Router.group(middleware="web"):
        Router.get("/put", put)
        Router.get("/get", lambda: {"user": session().get("user_id")})
    client = Client(erp)

    assert client.get("/put").json() == {"user": 42}
    assert client.get("/get").json() == {"user": 42}
    active = DB.table("sessions").where("last_activity", ">", int(time.time()) - 7200).count()
    assert active == 1


def test_a_session_row_deleted_by_sql_logs_its_user_out(tables, ada):
    app().config.set("auth.model", User)
    with Router.group(middleware="web"):
        Router.get("/in", lambda: auth().login(ada) or "in")
        Router.get("/who", lambda: {"id": auth().id()})
    client = Client(app())
    client.get("/in")
    assert client.get("/who").json() == {"id": ada.id}

    DB.table("sessions").where("user_id", ada.id).delete()

    assert client.get("/who").json() == {"id": None}


def test_sessions_note_user_address_and_browser(tables, ada):
    app().config.set("auth.model", User)
    with Router.group(middleware="web"):
        Router.get("/in", lambda: auth().login(ada) or "in")
    Client(app()).get("/in", headers={"User-Agent": "Lynx"})

    (device,) = sessions().for_user(ada)
    assert (device.user_agent, device.ip_address) == ("Lynx", "127.0.0.1")
    assert sessions().logout_everywhere(ada) == 1
    assert DB.table("sessions").count() == 0


def test_session_cookies_are_secure(erp):
    with Router.group(middleware="web"):
        Router.get("/put", lambda: session().put("a", 1) or "x")
    cookies = Client(erp).get("https://erp.example/put").headers.get_all("Set-Cookie")
    cookie = next(c for c in cookies if "so_session" in c)

    assert re.search("HttpOnly", cookie, re.IGNORECASE)
    assert re.search("Secure", cookie, re.IGNORECASE)
    assert re.search("SameSite=Lax", cookie, re.IGNORECASE)
    secret = cookie.partition("=")[2].partition(";")[0]
    assert secret not in str(DB.table("sessions").get())


# --- maintenance commands, as printed ---


@pytest.mark.parametrize(
    "line",
    [
        "cache:clear", "cache:gc", "activity:prune --days=365", "session:cleanup",
        "notification:cleanup --days=30", "queue:work --stop-when-empty --workers=0 --memory=0",
        "queue:work --queue=high-priority --stop-when-empty --workers=0 --memory=0",
        "queue:work --sleep=3 --tries=3 --stop-when-empty --workers=0 --memory=0",
    ],
)  # fmt: skip
def test_the_maintenance_commands_as_printed(erp, line):
    kernel = Kernel(erp)

    assert kernel.call(line) == 0, kernel.output()


def test_the_nine_tables_exist_with_the_originals_columns(erp):
    columns = {
        "activity_log": "id log_name description subject_type subject_id causer_type causer_id"
        " properties event batch_uuid created_at updated_at",
        "jobs": "id queue payload attempts reserved_at available_at created_at",
        "failed_jobs": "id uuid connection queue payload exception failed_at",
        "job_batches": "id name total_jobs pending_jobs failed_jobs failed_job_ids options"
        " cancelled_at created_at finished_at",
        "notifications": "id type notifiable_type notifiable_id data read_at created_at updated_at",
        "cache": "key value expiration",
        "cache_locks": "key owner expiration",
        "sessions": "id user_id ip_address user_agent payload last_activity",
        "personal_access_tokens": "id tokenable_type tokenable_id name token abilities"
        " last_used_at expires_at created_at updated_at",
    }
    for table, names in columns.items():
        assert DB.table(table).select(*names.split()).get() == []


def test_the_docs_are_served(erp):
    erp.config.set("docs.enabled", True)
    from so.web.docs import DocsProvider

    (erp.base_path("docs")).symlink_to(ROOT / "docs")
    erp.register(DocsProvider)
    client = Client(erp)
    for name in ("activity-logging", "queue-system", "notification-system", "cache-system",
                 "session-system"):  # fmt: skip
        assert client.get(f"/docs/{name}").status == 200
    assert client.get("/docs/nothing").status == 404


def test_a_worker_process_runs_until_it_is_told_to_stop(tmp_path):
    """The daemon of the feature list, as a process: it works, and SIGTERM ends it cleanly."""
    environ = {**os.environ, "APP_ENV": "testing"}
    for key in [key for key in environ if key.startswith(("DB_", "QUEUE_", "CACHE_"))]:
        del environ[key]
    run = [sys.executable, str(ROOT / "bin" / "sixorbit")]
    folder = tmp_path / "shop"
    subprocess.run([*run, "new", str(folder)], check=True, capture_output=True, env=environ)
    (folder / "app" / "jobs.py").write_text(
        "from pathlib import Path\nfrom so import Job\n\n\nclass Touch(Job):\n"
        "    def __init__(self, path):\n        self.path = path\n\n"
        "    def handle(self):\n        Path(self.path).touch()\n"
    )
    mark = tmp_path / "done"
    run = [sys.executable, str(folder / "bin" / "sixorbit")]
    subprocess.run([*run, "db:install"], check=True, capture_output=True, env=environ)
    worker = subprocess.Popen([*run, "queue:work"], env=environ, stdout=subprocess.DEVNULL)
    try:
        script = (
            f"import sys; sys.path.insert(0, {str(folder)!r})\nfrom so import Application, dispatch"
            f"\nwith Application({str(folder)!r}) as a:\n    from app.jobs import Touch\n"
            f"    dispatch(Touch({str(mark)!r}))\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True, env=environ, cwd=folder)
        deadline = time.monotonic() + 30
        while not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert mark.exists()
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(40) == 0


def test_notifications_have_an_owner(tables, ada):
    ada.notify(OrderShipped(Order.create(total=1)))

    assert notifications().mark_as_read(ada.notifications[0].id, ada).read()
