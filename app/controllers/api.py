"""The same for programs: JSON in and out, a token in the header Authorization."""

from __future__ import annotations

from app import invoices as rules
from app.catalogue import catalogue
from app.controllers import imports, orders, reports
from app.controllers.invoices import NOTE, REASON, WHY
from app.invoices import invoice_for
from app.models import Customer, Invoice, Order, OrderImport, Product, Report
from app.orders import place_order
from so import (
    Activity,
    AuthenticationException,
    JsonResponse,
    Request,
    Response,
    auth,
    responds,
)
from so import notifications as inbox

PER_PAGE = 50
NOT_NOW = responds({409: "The invoice or order is not in the state for that."})


def login(request: Request) -> Response:
    given = request.validate({"email": "required|email", "password": "required|string"})
    given["email"] = given["email"].lower()
    if not auth().once(given):
        raise AuthenticationException("These credentials do not match our records.")
    token = auth().user().create_token("api")
    return JsonResponse.success({"token": token.plain_text, "user": auth().user()})


def logout() -> Response:
    auth().token().revoke()
    return JsonResponse.no_content()


def me() -> Response:
    return JsonResponse.success(auth().user())


def products(request: Request) -> Response:
    return JsonResponse.success(catalogue())


def product(product: Product) -> Response:
    return JsonResponse.success(product)


def customers(request: Request) -> Response:
    return JsonResponse.success(Customer.order_by("id").paginate(PER_PAGE))


def orders_(request: Request) -> Response:
    query = Order.order_by_desc("id")
    if request.filled("status"):
        query = query.where("status", request.string("status"))
    return JsonResponse.success(query.paginate(PER_PAGE))


def place_order_(request: Request) -> Response:
    given = request.validate(orders.RULES)
    customer = Customer.find_or_fail(given["customer_id"])
    order = place_order(customer, given["items"], auth().user())
    return JsonResponse.created(order.load("lines"))


def order(order: Order) -> Response:
    return JsonResponse.success(order.load("lines", "customer", "invoice"))


@NOT_NOW
def make_invoice(order: Order) -> Response:
    return JsonResponse.created(invoice_for(order, auth().user()))


def invoices(request: Request) -> Response:
    query = Invoice.order_by_desc("id")
    if request.filled("status"):
        query = query.where("status", request.string("status"))
    return JsonResponse.success(query.paginate(PER_PAGE))


def invoice(invoice: Invoice) -> Response:
    return JsonResponse.success(invoice.load("order", "customer"))


@NOT_NOW
def submit(invoice: Invoice) -> Response:
    rules.submit(invoice, auth().user())
    return JsonResponse.success(invoice)


@NOT_NOW
def approve(request: Request, invoice: Invoice) -> Response:
    note = request.validate(NOTE).get("note")  # in plain sight, for the API's document
    rules.approve(invoice, auth().user(), note or None)
    return JsonResponse.success(invoice)


@NOT_NOW
def reject(request: Request, invoice: Invoice) -> Response:
    reason = request.validate(REASON, WHY)["note"]
    rules.reject(invoice, auth().user(), reason)
    return JsonResponse.success(invoice)


def start_import(request: Request) -> Response:
    given = request.validate({"file": f"required|file|max:{imports.LARGEST_KB}"})
    return JsonResponse.success(imports.start(given["file"], auth().id()), code=202)


def show_import(job: OrderImport) -> Response:
    errors = job.related("errors").limit(1000).get()
    return JsonResponse.success({**job.to_dict(), "percent": job.percent, "errors": errors})


def start_report(request: Request) -> Response:
    month = request.validate(reports.RULES)["month"]
    return JsonResponse.success(reports.start(month, auth().id()), code=202)


def report(report: Report) -> Response:
    return JsonResponse.success(report)


def notifications(request: Request) -> Response:
    return JsonResponse.success(auth().user().notifications)


def read_notification(id: str) -> Response:
    return JsonResponse.success(inbox().mark_as_read(id, auth().user()))


def activity(request: Request) -> Response:
    query = Activity.order_by_desc("id")
    for column in ("subject_type", "subject_id", "event"):
        if request.filled(column):
            query = query.where(column, request.string(column))
    return JsonResponse.success(query.paginate(PER_PAGE))
