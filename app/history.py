"""A year in the life of the demo: its own rules, called at the moments of a made-up year.

Nothing is written past them, so that trail, inbox and figures are what a year of work leaves
behind; only the console's curves of the last day are drawn (app/day.py). The clock of the
application is moved for that, and put back.
"""

from __future__ import annotations

import heapq
import io
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from app.day import a_day
from app.invoices import approve, invoice_for, reject, submit
from app.jobs import GenerateMonthlyReport, ImportOrders
from app.models import Customer, Invoice, Order, OrderImport, Product, User
from app.orders import place_order, ship
from app.seed import seed_masters, write_orders
from so import DB, app, causer, dispatch
from so.support.progress import heard, steps
from so.systems.worker import Worker, WorkerOptions

DAYS = 365
ORDERS = 150
FIRST_HOUR, LAST_HOUR = 7, 16  # of a working day, UTC
LATELY = (
    timedelta(minutes=12),
    timedelta(minutes=50),
    timedelta(minutes=125),
)  # ago; on a quiet day, too
READ_AFTER = timedelta(days=9)  # by then somebody has read what the inbox said
REASONS = (
    "The customer was promised 5 % off; please correct the amount.",
    "Wrong cost centre: this belongs to the Ghent branch.",
    "Two lines were never delivered. Please ask the warehouse first.",
)
NOTES = (None, None, None, "Checked against the delivery note.", "Pay with the next run.")
BAD_LINES = (
    "X12-9000001,1,31.02.2026,C-00007,Alder Facilities,SKU-0007,4,12.50",
    "X12-9000001,2,2026-02-11,C-00007,Alder Facilities,SKU-9999,4,12.50",
    "X12-9000002,1,2026-02-12,C-00011,Alder Roofing,SKU-0011,a dozen,7.20",
    'X12-9000002,2,2026-02-12,C-00011,Alder Roofing,SKU-0012,3,"7,20"',
    "X12-9000003,1,2026-02-13,C-00012,SKU-0013,2,19.90",
)
WRONG_HEADER = "order;position;date;customer;article;pieces;price\n47;1;11.02.2026;7;SKU-1;4;9,90\n"

Deed = Callable[[], None]


def a_year(orders: int = ORDERS, seed: int = 1) -> None:
    """Fill empty tables with *orders* orders of the last year and all that came of them."""
    Year(random.Random(seed), app("clock").now()).play(orders)  # noqa: S311  # believable data


class Year:
    """The year that ends at *today*."""

    def __init__(self, chance: random.Random, today: datetime) -> None:
        self._chance, self._today = chance, today
        self._diary: list[tuple[datetime, int, Deed]] = []
        self._number = count()
        self._staff: dict[str, User] = {}

    def play(self, orders: int) -> None:
        """All of it, in the order in which it happened."""
        self._step = steps(lambda: DAYS)
        with heard(None), _clock_kept(), DB.transaction():
            app("clock").freeze(self._day(0))
            seed_masters(self._chance)
            self._staff = {user.role: user for user in User.get()}
            self._customers = list(Customer.order_by("id").get())
            self._products = list(Product.order_by("id").get())
            days = [self._chance.randrange(1, DAYS) for _ in range(orders)]
            for ago in LATELY:
                self._note(self._today - ago, self._an_order)
                self._note(self._today - ago, self._bill_one)
            for day in sorted([*days, *range(DAYS - 14, DAYS), *[DAYS - 4, DAYS - 3] * 4]):
                self._note(self._day(day), self._an_order)
            for day in range(6, DAYS - 75, 14):
                self._note(self._day(day), self._fill_shelves)
            for day in range(20, DAYS, 30):
                self._note(self._day(day), self._change_prices)
            self._live()
        self._imports()
        self._reports()
        self._read_old_mail()
        a_day(self._chance, int(self._today.timestamp()))

    # --- the diary --------------------------------------------------------------------------------

    def _day(self, number: int, later: timedelta = timedelta()) -> datetime:
        """Some moment of the working day *number* of the year, or *later*."""
        hour, minute = self._chance.randrange(FIRST_HOUR, LAST_HOUR), self._chance.randrange(60)
        day = self._today - timedelta(days=DAYS - number)
        if day.weekday() > 4:  # nobody works at the weekend
            day += timedelta(days=7 - day.weekday())
        at = day.replace(hour=hour, minute=minute, second=self._chance.randrange(60))
        return at + later

    def _note(self, at: datetime, deed: Deed) -> None:
        """Do *deed* at that moment, unless it is yet to come."""
        if at < self._today:
            heapq.heappush(self._diary, (at, next(self._number), deed))

    def _after(self, days: int, deed: Deed) -> None:
        """Do *deed* so many days from the moment that is being lived."""
        gone = DAYS - (self._today.date() - app("clock").now().date()).days
        self._note(self._day(gone + days, timedelta(minutes=self._chance.randrange(50))), deed)

    def _live(self) -> None:
        lived = 0
        while self._diary:
            at, _, deed = heapq.heappop(self._diary)
            app("clock").freeze(max(at, app("clock").now()))
            deed()
            day = DAYS - (self._today - at).days
            self._step(day - lived)
            lived = day

    # --- what people do ---------------------------------------------------------------------------

    def _an_order(self) -> None:
        clerk = self._staff[self._chance.choice(("clerk", "clerk", "clerk", "manager"))]
        stock = dict(Product.query().pluck("stock", "id"))
        wanted = [
            {"product_id": product.id, "quantity": self._chance.randrange(1, 30)}
            for product in self._chance.sample(self._products, self._chance.randrange(1, 5))
            if stock[product.id] > 30
        ]
        if not wanted:
            return
        with causer(clerk):
            order = place_order(self._chance.choice(self._customers), wanted, clerk)
        self._after(self._chance.randrange(1, 5), lambda: self._ship(order))

    def _ship(self, order: Order) -> None:
        keeper = self._staff["warehouse"]
        with causer(keeper):
            ship(order, keeper)
        self._after(self._chance.randrange(1, 4), lambda: self._bill(order))

    def _bill_one(self) -> None:
        waiting = Order.where("status", "shipped").where_doesnt_have("invoice")
        order = waiting.order_by_desc("id").first()
        if order is not None:
            self._bill(order)

    def _bill(self, order: Order) -> None:
        if Invoice.where("order_id", order.id).exists():
            return
        clerk = self._staff["clerk"]
        with causer(clerk):
            invoice = invoice_for(order, clerk)
            if self._chance.random() < 0.93:
                submit(invoice, clerk)
                self._after(self._chance.randrange(1, 6), lambda: self._decide(invoice))

    def _decide(self, invoice: Any) -> None:
        manager = self._staff[self._chance.choice(("manager", "manager", "admin"))]
        with causer(manager):
            if self._chance.random() < 0.12:
                reject(invoice, manager, self._chance.choice(REASONS))
            else:
                approve(invoice, manager, self._chance.choice(NOTES))

    def _fill_shelves(self) -> None:
        with causer(self._staff["warehouse"]):
            for product in Product.low().limit(6).get():
                product.update(stock=product.stock + self._chance.randrange(100, 300, 10))

    def _change_prices(self) -> None:
        with causer(self._staff["manager"]):
            for product in self._chance.sample(self._products, 3):
                fresh = Product.find(product.id)
                fresh.update(price=round(fresh.price * self._chance.randrange(97, 109) / 100, 2))

    # --- what machines do -------------------------------------------------------------------------

    def _imports(self) -> None:
        since = (self._today - timedelta(days=250)).date()
        good, bad = io.StringIO(newline=""), io.StringIO(newline="")
        write_orders(good, 120, seed=11, since=since)
        write_orders(bad, 60, seed=12, since=since)
        self._import("orders-branch-lyon.csv", good.getvalue(), 40)
        self._import("orders-fair.csv", bad.getvalue() + "\r\n".join(BAD_LINES) + "\r\n", 12)
        self._import("export-old-system.csv", WRONG_HEADER, 5)

    def _import(self, name: str, text: str, days_ago: int) -> None:
        """As a clerk who uploads the file, and the worker that takes it up."""
        clerk, path = self._staff["clerk"], app().storage_path("imports") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        with _clock_kept():
            lately = self._today - timedelta(minutes=30)
            app("clock").freeze(min(self._day(DAYS - days_ago), lately))
            job = OrderImport.create(
                user_id=clerk.id, file_name=name, path=str(path), status="waiting"
            )
            with causer(clerk):
                dispatch(ImportOrders(job.id))
            queue = app().make("queue")
            with _silence("so.queue"):  # what failed weeks ago is no news in today's log
                Worker(queue, WorkerOptions(queues=[queue.default_queue])).run_all()

    def _reports(self) -> None:
        manager, first = self._staff["manager"], self._today.replace(day=1)
        for _ in range(3):
            month = f"{first - timedelta(days=1):%Y-%m}"
            with _clock_kept():
                app("clock").freeze(first.replace(hour=6, minute=0, second=0))
                GenerateMonthlyReport(month, manager.id).handle()
            first = (first - timedelta(days=1)).replace(day=1)

    def _read_old_mail(self) -> None:
        before = self._today - READ_AFTER
        old = DB.table("notifications").where("created_at", "<", before)
        old.update({"read_at": before})


@contextmanager
def _silence(name: str) -> Iterator[None]:
    log = logging.getLogger(name)
    was, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = was


@contextmanager
def _clock_kept() -> Iterator[None]:
    """The application's clock as it was, behind a block that moves it."""
    clock = app("clock")
    was_frozen, at = clock.is_frozen, clock.now()
    try:
        yield
    finally:
        if was_frozen:
            clock.freeze(at)
        else:
            clock.unfreeze()
