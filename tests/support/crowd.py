"""A house full of rows, for measuring what a page costs in it: `seed(connection, 1_000_000)`.

Rows are made by the database itself, so that a million of them take seconds and not minutes.
"""

from __future__ import annotations

from typing import Any

JOB = (
    '{"uuid":"%s","displayName":"app.jobs.Job","job":"app.jobs.Job","args":[7,"Ada"],"tags":["t"]}'
)
TRACE = 'Traceback (most recent call last):\n  File "app/jobs.py", line 7\nValueError: no'
LARGE = (
    "jobs", "activity_log", "sessions", "failed_jobs", "job_batches", "notifications",
    "notification_deliveries",
)  # fmt: skip
FIELDS = '{"old":{"state":"draft","total":"100.00"},"attributes":{"state":"sent","total":"120.00"}}'


def seed(conn: Any, rows: int, now: int, others: int | None = None) -> None:
    """*rows* jobs and audit rows, *others* (a tenth) of everything else, around *now*."""
    is_sqlite = conn.dialect.name == "sqlite"
    if not is_sqlite:
        has_its_own = conn.server.product == "mysql"
        most = "cte_max_recursion_depth" if has_its_own else "max_recursive_iterations"
        conn.statement(f"set session {most} = 100000000")
    tenth = others or max(rows // 10, 10)
    ago = (
        f"strftime('%Y-%m-%d %H:%M:%f000', {now} - (({{}}) * {{}}) / {rows}, 'unixepoch')"
        if is_sqlite
        else f"from_unixtime({now} - (({{}}) * {{}}) / {rows})"
    )
    text = (lambda of: f"'{of}' || i") if is_sqlite else (lambda of: f"concat('{of}', i)")
    whole = "/" if is_sqlite else "div"
    year, day = 365 * 86_400, 86_400

    def fill(table: str, columns: str, values: str, count: int) -> None:
        numbers = (
            f"with recursive n (i) as (select 1 union all select i + 1 from n where i < {count})"
        )
        into = f"insert into {table} ({columns})"
        select = f"select {values} from n"
        conn.statement(f"{numbers} {into} {select}" if is_sqlite else f"{into} {numbers} {select}")

    queue = "case when i % 50 = 0 then 'reports' when i % 10 = 0 then 'mails' else 'default' end"
    due = f"case when i % 20 = 0 then {now} - i % 200 else {now} + i % 86400 end"
    fill(
        "jobs",
        "id, queue, payload, attempts, reserved_at, available_at, created_at, uuid",
        f"i, {queue}, '{JOB}', 0, case when i % 100000 = 1 then {now} end, {due}, {now},"
        f" {text('u')}",
        rows,
    )
    fill(
        "activity_log",
        "id, log_name, description, subject_type, subject_id, causer_type, causer_id, properties,"
        " event, created_at, uid, seal_no",
        "i, case when i % 50 = 0 then 'auth' else 'orders' end,"
        " 'Order changed', 'Order', i % 50000,"
        f" 'User', i % 100, '{FIELDS}', case when i % 7 = 0 then 'created' else 'updated' end,"
        f" {ago.format(f'{rows} - i', year)}, {text('u')}, i {whole} 100",
        rows,
    )
    fill(
        "sessions",
        "id, user_id, ip_address, user_agent, payload, last_activity, created_at",
        f"{text('s')}, i % 5000, '10.0.0.7', 'Mozilla/5.0 (Windows NT 10.0) Chrome/130', '{{}}',"
        f" {now} - i % 7200, {now} - 7200",
        tenth,
    )
    fill(
        "failed_jobs",
        "uuid, connection, queue, payload, exception, failed_at, job, fingerprint, attempts",
        f"{text('f')}, 'main', 'default', '{JOB}', '{TRACE}', {ago.format(f'{tenth} - i', day)},"
        " 'app.jobs.Job', i % 40 + 1000, 3",
        tenth,
    )
    fill(
        "job_batches",
        "id, name, total_jobs, pending_jobs, failed_jobs, failed_job_ids, created_at",
        f"{text('b')}, 'Import', 100, 40, 0, '[]', {now} - i",
        tenth // 10,
    )
    told = ago.format(f"{tenth} - i", day)
    fill(
        "notifications",
        "id, type, notifiable_type, notifiable_id, data, created_at",
        f"{text('n')}, 'app.Told', 'User', i % 100, '{{}}', {told}",
        tenth,
    )
    fill(
        "notification_deliveries",
        "notification_id, channel, status, sent_at, type",
        f"{text('n')}, 'mail', case when i % 90 = 0 then 'failed' else 'sent' end, {told}, 'T'",
        tenth,
    )
    fill(
        "queue_metrics",
        "queue, minute, name, amount",
        f"'default', {now // 60} - i, 'done', 60",
        1440,
    )
    fill("console_history", "minute, figures", f"{now // 60} - i, '{{\"done\": 7}}'", 1440)
    conn.statement("analyze" if is_sqlite else f"analyze table {', '.join(LARGE)}")


def pretend(conn: Any, rows: int) -> None:
    """Let the planner believe that each table holds *rows* rows, spread as its real ones are."""
    if conn.dialect.name == "sqlite":
        known = f"select tbl, idx, stat from sqlite_stat1 where tbl in {LARGE}"
        for table, index, stat in conn.select_tuples(known):
            total, *each = map(int, stat.split())
            told = [rows, *(max(1, n * rows // total) if n > 1 else n for n in each)]
            change = "update sqlite_stat1 set stat = ? where tbl = ? and idx is ?"
            conn.statement(change, [" ".join(map(str, told)), table, index])
        conn.statement("analyze sqlite_schema")
        return
    if conn.server.product == "mysql":
        _pretend_to_innodb(conn, rows)
    for table in LARGE if conn.server.product == "mariadb" else ():
        told = "replace into mysql.table_stats (db_name, table_name, cardinality)"
        conn.statement(f"{told} values (database(), ?, ?)", [table, rows])
    conn.statement(f"flush tables {', '.join(LARGE)}")


def _pretend_to_innodb(conn: Any, rows: int) -> None:
    """What is told to MySQL, which has no statistics but those of the engine: a key that names one
    row goes on naming one, any other keeps its number of values."""
    of = "where database_name = database() and table_name = ?"
    for table in LARGE:
        total = conn.scalar(f"select n_rows from mysql.innodb_table_stats {of}", [table])
        conn.statement(
            "update mysql.innodb_table_stats set clustered_index_size = clustered_index_size * ?,"
            f" sum_of_other_index_sizes = sum_of_other_index_sizes * ?, n_rows = ? {of}",
            [rows // total, rows // total, rows, table],
        )
        conn.statement(
            f"update mysql.innodb_index_stats set stat_value = ? {of}"
            " and stat_name like 'n_diff%' and stat_value >= ?",
            [rows, table, total],
        )


def be_honest(conn: Any) -> None:
    """Take back what `pretend()` said."""
    if conn.dialect.name == "sqlite":
        conn.statement("analyze")
        return
    if conn.server.product == "mysql":
        conn.statement(f"analyze table {', '.join(LARGE)}")
        return
    conn.statement("delete from mysql.table_stats where db_name = database()")
    conn.statement(f"flush tables {', '.join(LARGE)}")
