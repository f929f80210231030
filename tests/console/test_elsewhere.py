"""Where Python lacks what Unix gives it, as on Windows: what works, and what says no."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.processes import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
LACKING = """
import os
os.supports_dir_fd.clear()  # shutil asks when it is imported
import logging.handlers, select, signal, socket, subprocess, sys, tempfile, time, zoneinfo
for name in "fcntl resource pwd grp termios tty pty syslog readline posix".split():
    sys.modules[name] = None
for home, names in {
    os: "fork register_at_fork getuid geteuid getgid getegid setuid setgid seteuid setgroups"
    " getgroups getgrouplist killpg setsid getpgid getpgrp chown lchown fchown fchmod getxattr"
    " setxattr listxattr sendfile posix_fadvise posix_fallocate eventfd sched_getaffinity"
    " O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_DIRECTORY O_SYNC O_PATH waitid wait WNOHANG WEXITED"
    " WNOWAIT P_ALL P_PID pidfd_open getloadavg uname sysconf pread pwrite mkfifo memfd_create"
    " pipe2 nice getpriority sync fdatasync copy_file_range posix_spawn get_blocking set_blocking",
    signal: "SIGUSR1 SIGUSR2 SIGHUP SIGKILL SIGALRM SIGCHLD SIGCONT SIGSTOP SIGPIPE SIGQUIT"
    " SIGTSTP SIGWINCH SIGBUS setitimer alarm pthread_sigmask pthread_kill sigwait SIG_BLOCK",
    socket: "AF_UNIX SO_REUSEPORT send_fds recv_fds MSG_DONTWAIT MSG_NOSIGNAL SCM_RIGHTS"
    " SOCK_CLOEXEC SOCK_NONBLOCK SO_PEERCRED",
    select: "epoll poll PIPE_BUF",
    time: "tzset clock_gettime CLOCK_MONOTONIC CLOCK_BOOTTIME",
}.items():
    for name in names.split():
        if hasattr(home, name):
            delattr(home, name)
zoneinfo.reset_tzpath(to=[])  # no data of time zones either
sys.platform = "win32"
sys.path.insert(0, sys.argv[1])
from so.console.main import main
line, ended = sys.argv[2:], 0
while line and not ended:  # several commands in one process, with `then` between them
    words, line = line, []
    if "then" in words:
        at = words.index("then")
        words, line = words[:at], words[at + 1 :]
    ended = main(words, base_path=sys.argv[1])
sys.exit(ended)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    for name, text in {
        "config/app.py": 'config = {"env": "local", "key": "Zk3vQp9mXr7sLd2wTg5h"}\n',
        "app/__init__.py": "",
        "app/jobs.py": "from so import Job\n\n\nclass Note(Job):\n    def handle(self):\n"
        "        print('noted')\n",
        "app/routes.py": "from so import Router\n\nRouter.get('/', lambda: 'here')\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "so").symlink_to(ROOT / "so")
    assert run(folder, "db:install")[0] == 0
    return folder


def command(base: Path, *words: str) -> list[str]:
    return [sys.executable, "-S", "-c", LACKING, str(base), *words]


def run(base: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        command(base, *words),
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_one_worker_and_the_usual_commands_work(base: Path):
    line = "dispatch(__import__('app.jobs').jobs.Note())"
    file = base / "storage" / "one.backup.tar.gz"
    lines = [
        ["shell", f"--execute={line}"], ["check"], ["down"], ["up"], ["backup", str(file)],
        ["restore", str(file), f"--into={base}/again"], ["schedule:run"], ["schedule:list"],
        ["queue:work", "--stop-when-empty"],
    ]  # fmt: skip

    code, said = run(base, *(word for words in lines for word in (*words, "then")))

    assert code == 0, said
    assert "noted" in said
    assert "DONE" in said


def test_the_server_of_the_standard_library_serves(base: Path, tmp_path: Path):
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command(base, "serve", "--simple", f"--port={port}"), stdout=log, stderr=log
        )
    try:
        wait_until(lambda: b"Serving" in (tmp_path / "log").read_bytes(), "the server")
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["serve"], "use `serve --simple`, or another WSGI server with so.wsgi:application"),
        (["queue:work", "--workers=2"], "need a system that can fork; here start `queue:work`"),
        (["check", "--as=somebody"], "check --as is for Unix"),
    ],
    ids=["serve", "workers", "as"],
)
def test_what_does_not_work_says_so_and_what_to_do_instead(base: Path, words, sentence):
    code, said = run(base, *words)

    assert code == 1
    assert sentence in said
    assert "Traceback" not in said
