"""The framework's two files of SQL, and the names of the tables that they make."""

from __future__ import annotations

import re
from functools import cache

from so.errors import SchemaError
from so.support.places import shipped

_CREATED = re.compile(r"^create table if not exists (\w+)", re.MULTILINE)


def framework_sql(dialect: str) -> str:
    """The file that creates the framework's tables, 'sqlite' or 'mysql'."""
    if dialect not in ("sqlite", "mysql"):
        raise SchemaError(f"there is no schema for {dialect!r}: ask for sqlite or mysql")
    return shipped(f"systems/framework_tables.{dialect}.sql").decode()


@cache
def framework_names() -> frozenset[str]:
    """The framework's tables. They are called so everywhere: no prefix is put before them, as who
    sources the files by hand gets these names."""
    return frozenset(_CREATED.findall(framework_sql("sqlite")))
