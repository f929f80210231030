"""The peers' halves: each does what our adapter of the same part does, as its guide tells.

A peer that is not installed raises ImportError, and is left out. What the parts ask for is told by
the adapters of the same names in bench/adapters/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Match = Callable[[str, str], Any]
Routes = list[tuple[str, str, str]]


# --- router: match(method, path) -> (name, parameters) or None ------------------------------------


def werkzeug_router(routes: Routes) -> Match:
    from werkzeug.exceptions import HTTPException
    from werkzeug.routing import Map, Rule

    rules = [Rule(_angled(path), methods=[verb], endpoint=name) for verb, path, name in routes]
    match = Map(rules).bind("localhost").match

    def find(method: str, path: str) -> Any:
        try:
            return match(path, method)
        except HTTPException:
            return None

    return find


def falcon_router(routes: Routes) -> Match:
    from falcon.routing import CompiledRouter

    class Resource:
        def __init__(self) -> None:
            self.names: dict[str, str] = {}

    # Falcon has one resource a path, which knows the methods.
    found: dict[str, Resource] = {}
    router = CompiledRouter()
    for verb, path, name in routes:
        resource = found.setdefault(path, Resource())
        resource.names[verb] = name
        setattr(resource, f"on_{verb.lower()}", lambda *_, **__: None)
    for path, resource in found.items():
        router.add_route(path, resource)

    def find(method: str, path: str) -> Any:
        hit = router.find(path)
        if hit is None or method not in hit[0].names:
            return None
        return hit[0].names[method], hit[2]

    return find


def starlette_router(routes: Routes) -> Match:
    from starlette.routing import Match as Kind
    from starlette.routing import Route

    table = [Route(path, lambda _: None, methods=[verb], name=n) for verb, path, n in routes]

    def find(method: str, path: str) -> Any:
        scope = {"type": "http", "method": method, "path": path, "root_path": ""}
        for route in table:
            kind, child = route.matches(scope)
            if kind is Kind.FULL:
                return route.name, child["path_params"]
        return None

    return find


def bottle_router(routes: Routes) -> Match:
    import bottle

    app = bottle.Bottle()
    for verb, path, name in routes:
        app.route(_angled(path), verb, callback=lambda **_: None, name=name)

    def find(method: str, path: str) -> Any:
        try:
            route, arguments = app.match({"REQUEST_METHOD": method, "PATH_INFO": path})
        except bottle.HTTPError:
            return None
        return route.name, arguments

    return find


def _angled(path: str) -> str:
    return path.replace("{", "<").replace("}", ">")


# --- container: make(cls) -> instance -------------------------------------------------------------


def punq_container(classes: Iterable[type], shared: Iterable[type]) -> Callable[[type], Any]:
    import punq

    box, single = punq.Container(), set(shared)
    for cls in classes:
        box.register(cls, scope=punq.Scope.singleton if cls in single else punq.Scope.transient)
    return box.resolve  # type: ignore[no-any-return]


def lagom_container(classes: Iterable[type], shared: Iterable[type]) -> Callable[[type], Any]:
    from lagom import Container, Singleton

    box = Container()
    for cls in shared:
        box[cls] = Singleton(cls)
    return box.resolve  # type: ignore[no-any-return]


def injector_container(classes: Iterable[type], shared: Iterable[type]) -> Callable[[type], Any]:
    from injector import Injector, inject, singleton

    box = Injector()
    for cls in classes:
        if "__init__" in vars(cls):
            inject(cls)
    for cls in shared:
        box.binder.bind(cls, to=cls, scope=singleton)
    return box.get


# --- builder: select6, find, insert6, update3 -> (SQL, bindings) ----------------------------------

COLUMNS = ("id", "number", "total", "status", "branch_id", "customer_id", "note", "created_at")


def sqlalchemy_builder() -> dict[str, Callable[..., Any]]:
    import sqlalchemy as sa
    from sqlalchemy.dialects import sqlite

    meta, dialect = sa.MetaData(), sqlite.dialect(paramstyle="qmark")
    orders = sa.Table("orders", meta, *(sa.Column(name, sa.String) for name in COLUMNS))
    customers = sa.Table(
        "customers", meta, *(sa.Column(name, sa.String) for name in ("id", "name", "deleted_at"))
    )

    def built(statement: Any) -> Any:
        done = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        return str(done), [done.params[name] for name in done.positiontup]

    o, c = orders.c, customers.c
    return {
        "select6": lambda status, total, ids: built(
            sa.select(o.id, o.number, o.total, c.name)
            .join(customers, c.id == o.customer_id)
            .where(
                o.status == status, o.total > total, o.branch_id.in_(ids), c.deleted_at.is_(None)
            )
            .order_by(o.created_at.desc())
            .limit(50)
            .offset(0)
        ),
        "find": lambda key: built(sa.select(orders).where(o.id == key).limit(1)),
        "insert6": lambda row: built(orders.insert().values(row)),
        "update3": lambda key, change: built(orders.update().where(o.id == key).values(change)),
    }


def peewee_builder() -> dict[str, Callable[..., Any]]:
    import peewee as pw

    base = {"database": pw.SqliteDatabase(":memory:")}
    fields = {name: pw.TextField() for name in COLUMNS if name != "id"}
    order = type(
        "Order", (pw.Model,), {"Meta": type("Meta", (), {**base, "table_name": "orders"}), **fields}
    )
    fields = {"name": pw.TextField(), "deleted_at": pw.TextField()}
    customer = type(
        "Customer",
        (pw.Model,),
        {"Meta": type("Meta", (), {**base, "table_name": "customers"}), **fields},
    )
    return {
        "select6": lambda status, total, ids: (
            order.select(order.id, order.number, order.total, customer.name)
            .join(customer, on=customer.id == order.customer_id)
            .where(
                order.status == status,
                order.total > total,
                order.branch_id.in_(ids),
                customer.deleted_at.is_null(),
            )
            .order_by(order.created_at.desc())
            .limit(50)
            .offset(0)
            .sql()
        ),
        "find": lambda key: order.select().where(order.id == key).limit(1).sql(),
        "insert6": lambda row: order.insert(row).sql(),
        "update3": lambda key, change: order.update(change).where(order.id == key).sql(),
    }


def pypika_builder() -> dict[str, Callable[..., Any]]:
    from pypika import Order, QmarkParameter, SQLLiteQuery, Table

    orders, customers = Table("orders"), Table("customers")

    def p() -> Any:
        return QmarkParameter()

    def select6(status: str, total: float, ids: list[int]) -> Any:
        query = (
            SQLLiteQuery.from_(orders)
            .join(customers)
            .on(customers.id == orders.customer_id)
            .select(orders.id, orders.number, orders.total, customers.name)
            .where(orders.status == p())
            .where(orders.total > p())
            .where(orders.branch_id.isin([p() for _ in ids]))
            .where(customers.deleted_at.isnull())
            .orderby(orders.created_at, order=Order.desc)
            .limit(50)
            .offset(0)
        )
        return query.get_sql(), [status, total, *ids]

    def find(key: int) -> Any:
        query = SQLLiteQuery.from_(orders).select("*").where(orders.id == p()).limit(1)
        return query.get_sql(), [key]

    def insert6(row: dict[str, Any]) -> Any:
        query = SQLLiteQuery.into(orders).columns(*row).insert(*(p() for _ in row))
        return query.get_sql(), list(row.values())

    def update3(key: int, change: dict[str, Any]) -> Any:
        query = SQLLiteQuery.update(orders)
        for name in change:
            query = query.set(name, p())
        return query.where(orders.id == p()).get_sql(), [*change.values(), key]

    return {"select6": select6, "find": find, "insert6": insert6, "update3": update3}


# --- orm: hydrate, find, update, insert_tx --------------------------------------------------------


def sqlalchemy_orm(path: str) -> dict[str, Any]:
    import sqlalchemy as sa
    from sqlalchemy.orm import DeclarativeBase, Session

    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __table__ = sa.Table(
            "orders",
            Base.metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("number", sa.String),
            sa.Column("customer_id", sa.Integer),
            sa.Column("quantity", sa.Integer),
            sa.Column("total", sa.Float),
            sa.Column("status", sa.String),
            sa.Column("note", sa.String),
            sa.Column("created_at", sa.String),
        )

    engine = sa.create_engine(f"sqlite:///{path}")
    session = Session(engine, expire_on_commit=False)

    def hydrate() -> Any:
        session.expunge_all()
        return session.scalars(sa.select(Order)).all()

    def find(key: int) -> Any:
        session.expunge_all()
        return session.get(Order, key)

    def update(objects: list[Any], tick: int) -> None:
        session.add_all(objects)  # other calls have let go of them
        for order in objects:
            order.quantity = 1000 + tick
            session.flush()
        session.commit()

    def insert_tx(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            session.add(Order(**row))
            session.flush()
        session.commit()

    def load(count: int) -> list[Any]:
        session.expunge_all()
        return list(session.scalars(sa.select(Order).limit(count)))

    def stop() -> None:
        session.close()
        engine.dispose()

    return dict(
        hydrate=hydrate, find=find, update=update, insert_tx=insert_tx, load=load, stop=stop
    )


def peewee_orm(path: str) -> dict[str, Any]:
    import peewee as pw

    db = pw.SqliteDatabase(path, pragmas={"journal_mode": "wal", "synchronous": "normal"})

    class Order(pw.Model):
        number = pw.TextField()
        customer_id = pw.IntegerField()
        quantity = pw.IntegerField()
        total = pw.FloatField()
        status = pw.TextField()
        note = pw.TextField()
        created_at = pw.TextField()

        class Meta:
            database = db
            table_name = "orders"
            only_save_dirty = True

    def update(objects: list[Any], tick: int) -> None:
        with db.atomic():
            for order in objects:
                order.quantity = 1000 + tick
                order.save()

    def insert_tx(rows: list[dict[str, Any]]) -> None:
        with db.atomic():
            for row in rows:
                Order.create(**row)

    return {
        "hydrate": lambda: list(Order.select()),
        "find": Order.get_by_id,
        "update": update,
        "insert_tx": insert_tx,
        "load": lambda count: list(Order.select().limit(count)),
        "stop": db.close,
    }


# --- cache: get, set, add, incr in a file of SQLite -----------------------------------------------


def diskcache_cache(folder: str) -> dict[str, Callable[..., Any]]:
    from diskcache import Cache

    store = Cache(folder)
    return {
        "get": store.get,
        "set": lambda key, value, ttl: store.set(key, value, expire=ttl),
        "add": lambda key, value, ttl: store.add(key, value, expire=ttl),
        "incr": store.incr,
        "stop": store.close,
    }


PEERS: dict[str, dict[str, Callable[..., Any]]] = {
    "router": {
        "falcon": falcon_router,
        "werkzeug": werkzeug_router,
        "starlette": starlette_router,
        "bottle": bottle_router,
    },
    "container": {
        "punq": punq_container,
        "lagom": lagom_container,
        "injector": injector_container,
    },
    "builder": {
        "SQLAlchemy": sqlalchemy_builder,
        "peewee": peewee_builder,
        "PyPika": pypika_builder,
    },
    "orm": {"SQLAlchemy": sqlalchemy_orm, "peewee": peewee_orm},
    "cache": {"diskcache": diskcache_cache},
}
