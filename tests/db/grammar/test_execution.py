"""Where the text that is executed differs from Laravel's: what the engine would refuse or misread.

A builder from `so.db.builder()` writes Laravel's text; one of a connection what the engine needs.
"""

from __future__ import annotations

import threading

import pytest

from so.db.connection import Connection
from so.db.grammar import Grammar, MySQLGrammar, grammar_for
from so.db.query import Query
from tests.db.queries import mysql, raw, sqlite


def executed(dialect, table="t"):
    return Query(None, grammar_for(dialect), table)


@pytest.mark.parametrize(
    ("build", "lite", "my"),
    [
        (
            lambda q: q.offset(5),
            'select * from "t" limit -1 offset 5',
            "select * from `t` limit 18446744073709551615 offset 5",
        ),
        (
            lambda q: q.limit(2).offset(5),
            'select * from "t" limit 2 offset 5',
            "select * from `t` limit 2 offset 5",
        ),
        (
            lambda q: q.where_like("a", "x_%", escape=True),
            'select * from "t" where "a" like ? escape \'\\\'',
            "select * from `t` where `a` like ?",
        ),
        (
            lambda q: q.where_json_contains("o->l", 1),
            'select * from "t" where json_holds("o", \'["l"]\', ?)',
            "select * from `t` where json_contains(json_extract(`o`, '$.\"l\"'), ?)",
        ),
        (
            lambda q: q.where_json_overlaps("o->l", [1]),
            'select * from "t" where json_meets("o", \'["l"]\', ?)',
            "select * from `t` where json_overlaps(json_extract(`o`, '$.\"l\"'), ?)",
        ),
        (
            lambda q: q.where_time("at", "9:05"),
            'select * from "t" where strftime(\'%H:%M:%S\', "at") = cast(? as text)',
            "select * from `t` where time_format(`at`, '%H:%i:%s') = ?",
        ),
    ],
)
def test_reads_are_mended(build, lite, my):
    assert build(executed("sqlite")).to_sql() == lite
    assert build(executed("mysql")).to_sql() == my


def test_times_of_day_are_compared_to_the_second():
    for dialect in ("sqlite", "mysql"):
        assert executed(dialect).where_time("at", "9:05").get_bindings() == ["09:05:00"]
        assert executed(dialect).where_time("at", "09:05:06").get_bindings() == ["09:05:06"]
        assert executed(dialect).where_time("at", raw("now()")).get_bindings() == []
        assert executed(dialect).where_day("at", 5).get_bindings() == ["05"]


def test_json_paths_are_set_step_by_step_on_both_engines():
    changes = {"o->a->b[0]->c": {"x": 1}, "o->n": 5, "o->on": True, "p->r": raw("1"), "q": 2}

    sql, bindings = grammar_for("sqlite").compile_update(executed("sqlite").tree, changes)
    assert sql == (
        'update "t" set "q" = ?,'
        ' "o" = json_set(ifnull("o", \'{}\'), \'$."a"."b"[0]."c"\', json(?), \'$."n"\', ?,'
        " '$.\"on\"', json('true')), \"p\" = json_set(ifnull(\"p\", '{}'), '$.\"r\"', 1)"
    )
    assert bindings == [2, '{"x":1}', 5]

    sql, bindings = grammar_for("mysql").compile_update(
        executed("mysql").tree, {"o->a->b[0]->c": [1], "o->n": False}
    )
    assert sql == (
        "update `t` set `o` = json_set(json_insert(json_insert(json_insert(ifnull(`o`, '{}'),"
        ' \'$."a"\', json_object()), \'$."a"."b"\', json_array()), \'$."a"."b"[0]\','
        ' json_object()), \'$."a"."b"[0]."c"\', json_extract(?, \'$\')),'
        " `o` = json_set(ifnull(`o`, '{}'), '$.\"n\"', false)"
    )
    assert bindings == ["[1]"]


def test_sums_on_sqlite_ask_for_what_makes_them_exact():
    statements = []

    class Runner:
        def select(self, sql, bindings=(), use_read=True):
            statements.append(sql)
            return []

    def q(table="orders as o"):
        return Query(Runner(), grammar_for("sqlite", "p_"), table)

    q().sum("o.total")
    q().distinct().avg("total")
    q().join("b", "c", "d").sum("total")
    q().sum(raw("a * b"))
    q("o'x").max("total")

    assert statements == [
        'select decimal_sum("p_o"."total") as "aggregate", count("p_o"."total") as "summed",'
        " (select type from pragma_table_info('p_orders') where lower(name) = 'total')"
        ' as "declared" from "p_orders" as "p_o"',
        'select decimal_sum(distinct "total") as "aggregate", count(distinct "total") as "summed",'
        " (select type from pragma_table_info('p_orders') where lower(name) = 'total')"
        ' as "declared" from "p_orders" as "p_o"',
        'select decimal_sum("total") as "aggregate", count("total") as "summed",'
        ' null as "declared" from "p_orders" as "p_o" inner join "p_b" on "c" = "d"',
        'select decimal_sum(a * b) as "aggregate", count(a * b) as "summed",'
        ' null as "declared" from "p_orders" as "p_o"',
        'select max("total") as "aggregate" from "p_o\'x"',
    ]


def test_a_connection_has_the_grammar_of_its_engine():
    connection = Connection(":memory:")
    assert connection.table("t").offset(1).to_sql() == 'select * from "t" limit -1 offset 1'
    assert connection.grammar is grammar_for("sqlite")
    connection.close()


def test_a_grammar_remembers_so_many_names_and_no_more():
    grammar = MySQLGrammar()
    for number in range(5000):
        grammar.wrap(f"a.column{number}")
        grammar.wrap_table(f"table{number}")
    assert len(grammar._names) <= 2000
    assert len(grammar._tables) <= 2000
    assert grammar.wrap("a.column0") == "`a`.`column0`"


def test_threads_may_share_a_grammar():
    grammar = Grammar()
    wrong = []

    def work(offset):
        for number in range(offset, offset + 3000):
            name = f"t{number % 2500}.c{number}"
            if grammar.wrap(name) != f'"t{number % 2500}"."c{number}"':
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_grammar_refuses_what_is_neither_name_nor_expression():
    for refused in (5, None, ["a"], object()):
        with pytest.raises((ValueError, TypeError)):
            Grammar().wrap(refused)
        with pytest.raises((ValueError, TypeError)):
            Grammar().wrap_table(refused)
    with pytest.raises(ValueError, match="a column must be"):
        Grammar().column(5, [])
    with pytest.raises(ValueError, match="a table must be"):
        Grammar().table(5, [])


def test_the_literal_text_stays_laravels():
    assert sqlite("t").offset(5).to_sql() == 'select * from "t" offset 5'
    assert mysql("t").offset(5).to_sql() == "select * from `t` offset 5"
