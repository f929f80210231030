"""T32 and T36: many writers, competing sealers that are killed, and a verifier in between."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.crash.audit_process import make

ROOT = Path(__file__).resolve().parents[2]
WRITERS, COUNT, KILLS = 4, 60, 6


def start(db_config, role):
    order = {"database": db_config, "role": role, "count": COUNT}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.audit_process", json.dumps(order)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_every_committed_row_is_in_exactly_one_seal_whoever_is_killed(db_config):
    log = make(db_config)
    writers = [start(db_config, f"writer{n}") for n in range(WRITERS)]
    sealers = [start(db_config, "seal") for _ in range(2)]

    try:
        for n in range(KILLS):
            sealers[n % 2].stdout.readline()
            assert not log.verify().faults
            sealers[n % 2].kill()
            sealers[n % 2].communicate()
            sealers[n % 2] = start(db_config, "seal")
        committed = sum(int(writer.communicate(timeout=120)[0]) for writer in writers)
    finally:
        for process in [*sealers, *writers]:
            process.kill()
            process.communicate()
    log.sealer.seal(recheck=True)
    log.sealer.seal()

    connection = log.db.connection()
    report = log.verify()
    assert report.exit_code == 0, report.faults
    assert committed == WRITERS * COUNT * 4 // 5
    count = "select count(*) from activity_log where log_name = 'work' and seal_no > 0"
    assert connection.scalar(count) == committed
    assert connection.scalar("select sum(row_count) from activity_seals") == report.rows
    log.db.close()
