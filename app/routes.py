"""The addresses of the ERP: pages for people, and the same under /api/v1 for programs."""

from __future__ import annotations

from app.accounts.routes import account_routes
from app.controllers import (
    api,
    audit,
    customers,
    home,
    imports,
    inbox,
    invoices,
    orders,
    preferences,
    products,
    reports,
)
from so import Router

account_routes()

with Router.group(middleware="web"):
    Router.get("/", home.index).name("home")

with Router.group(middleware="web"), Router.group(middleware="auth"):
    Router.get("/preferences", preferences.show).name("preferences")
    Router.post("/preferences", preferences.update)

    Router.get("/products", products.index).name("products.index")
    with Router.group(middleware="can:manage-products"):
        Router.get("/products/create", products.create).name("products.create")
        Router.post("/products", products.store).name("products.store")
        Router.get("/products/{product}/edit", products.edit).name("products.edit")
        Router.put("/products/{product}", products.update).name("products.update")
    Router.get("/products/{product}", products.show).name("products.show")

    Router.get("/customers", customers.index).name("customers.index")
    Router.get("/customers/{customer}", customers.show).name("customers.show")

    Router.get("/orders", orders.index).name("orders.index")
    with Router.group(middleware="can:take-orders"):
        Router.get("/orders/create", orders.create).name("orders.create")
        Router.post("/orders", orders.store).name("orders.store")
    Router.get("/orders/{order}", orders.show).name("orders.show")
    Router.post("/orders/{order}/ship", orders.ship).middleware("can:ship-orders")
    Router.post("/orders/{order}/invoice", orders.invoice).middleware("can:submit-invoices")

    Router.get("/invoices", invoices.index).name("invoices.index")
    Router.get("/invoices/{invoice}", invoices.show).name("invoices.show")
    Router.post("/invoices/{invoice}/submit", invoices.submit).middleware("can:submit-invoices")
    Router.post("/invoices/{invoice}/approve", invoices.approve).middleware("can:decide-invoices")
    Router.post("/invoices/{invoice}/reject", invoices.reject).middleware("can:decide-invoices")

    with Router.group(middleware="can:import-orders"):
        Router.get("/imports", imports.index).name("imports.index")
        Router.post("/imports", imports.store).name("imports.store")
        Router.get("/imports/example.csv", imports.example)
        Router.get("/imports/{job}", imports.show).name("imports.show")

    with Router.group(middleware="can:make-reports"):
        Router.get("/reports", reports.index).name("reports.index")
        Router.post("/reports", reports.store).name("reports.store")
        Router.get("/reports/{report:month}", reports.show).name("reports.show")
        Router.get("/reports/{report:month}/csv", reports.download).name("reports.download")

    Router.get("/notifications", inbox.index).name("inbox")
    Router.post("/notifications/read", inbox.read_all)
    Router.post("/notifications/{id}/read", inbox.read).where_uuid("id")
    Router.delete("/notifications/{id}", inbox.delete).where_uuid("id")

    Router.get("/audit", audit.index).middleware("can:see-audit").name("audit")

with Router.group(prefix="api/v1", middleware="api", name="api."):
    Router.post("/login", api.login).name("login")
    with Router.group(middleware="auth:token"):
        Router.post("/logout", api.logout)
        Router.get("/me", api.me)
        Router.get("/products", api.products)
        Router.get("/products/{product}", api.product)
        Router.get("/customers", api.customers)
        Router.get("/orders", api.orders_)
        Router.post("/orders", api.place_order_).middleware("can:take-orders")
        Router.get("/orders/{order}", api.order)
        Router.post("/orders/{order}/invoice", api.make_invoice).middleware("can:submit-invoices")
        Router.get("/invoices", api.invoices)
        Router.get("/invoices/{invoice}", api.invoice)
        Router.post("/invoices/{invoice}/submit", api.submit).middleware("can:submit-invoices")
        Router.post("/invoices/{invoice}/approve", api.approve).middleware("can:decide-invoices")
        Router.post("/invoices/{invoice}/reject", api.reject).middleware("can:decide-invoices")
        Router.post("/imports", api.start_import).middleware("can:import-orders")
        Router.get("/imports/{job}", api.show_import).middleware("can:import-orders")
        Router.post("/reports", api.start_report).middleware("can:make-reports")
        Router.get("/reports/{report:month}", api.report).middleware("can:make-reports")
        Router.get("/notifications", api.notifications)
        Router.post("/notifications/{id}/read", api.read_notification).where_uuid("id")
        Router.get("/activity", api.activity).middleware("can:see-audit")
