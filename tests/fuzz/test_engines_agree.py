"""Random builder chains give the same on SQLite and MariaDB; `make fuzz N=` runs more of them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from so.db.connection import Connection
from tests.fuzz import engines
from tests.fuzz.chains import Block, Chain, Maker, Step, Sub
from tests.fuzz.run import compare


@pytest.fixture
def both(mariadb, tmp_path):
    """An SQLite file and a MariaDB database with the same tables."""
    name = f"so_fuzz_{uuid4().hex[:8]}"
    with Connection(mariadb.config()) as outside:
        outside.statement(f"create database {name} collate utf8mb4_unicode_ci")
        with (
            Connection(str(tmp_path / "fuzz.sqlite")) as sqlite,
            Connection(mariadb.config(name)) as mysql,
        ):
            for connection in (sqlite, mysql):
                engines.prepare(connection)
            yield [sqlite, mysql]
        outside.statement(f"drop database {name}")


@pytest.mark.parametrize("seed", [1, 20_000, 500_000])
def test_random_chains_give_the_same_rows_counts_and_errors(both, seed):
    compare(both, 400, seed)


def test_a_difference_is_reported_with_its_shortest_chain(both):
    engines.fill(both, 1)
    both[0].table("items").where("id", 3).update({"a": 77})
    chain = Chain(
        Sub("items", (Step("where", ("id", "<", 5)), Step("where_not_null", ("id",)))), Step("get")
    )

    with pytest.raises(engines.Difference) as difference:
        engines.check(both, chain)

    assert "db.table('items').get()" in str(difference.value)
    assert "sqlite: value" in str(difference.value)


def test_a_chain_reads_as_the_code_that_makes_it():
    steps = (Step("where", (Block((Step("where", ("a", 1)),)),)), Step("limit", (3,)))
    chain = Chain(Sub("items", steps), Step("where_like", ("s", "a%"), (("escape", True),)))

    assert str(chain) == (
        "db.table('items').where(lambda q: q.where('a', 1)).limit(3)"
        ".where_like('s', 'a%', escape=True)"
    )


def test_a_seed_makes_the_same_chain_again():
    assert str(Maker(5).chain()) == str(Maker(5).chain())
    assert len({str(Maker(seed).chain()) for seed in range(50)}) > 40
