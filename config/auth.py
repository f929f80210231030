"""Logging in: whose passwords, how strong, how often, how long remembered."""

from so.config import env

config = {
    "model": env("AUTH_MODEL", "app.models.User"),  # a class with find() and first_where()
    "password": env("AUTH_PASSWORD_COLUMN", "password"),  # the column that holds the hash
    "login": env("AUTH_LOGIN_URL", "/login"),  # where guests are sent
    "home": env("AUTH_HOME_URL", "/"),  # where those go who are logged in already
    "scrypt": {
        # OWASP accepts ln/r/p of 17/8/1 (128 MiB), 16/8/2 (64 MiB) and 15/8/3 (32 MiB a login).
        "ln": env.int("HASH_LN", 15),  # memory is 128 · r · 2^ln bytes
        "r": env.int("HASH_R", 8),  # size of a block
        "p": env.int("HASH_P", 3),  # passes
        "max_concurrent": env.int("HASH_MAX_CONCURRENT", 2),  # at once in a process; others wait
        "wait_seconds": env.float("HASH_WAIT_SECONDS", 10.0),  # for a turn, then 503
    },
    "attempts_per_account": env.int("AUTH_ATTEMPTS_PER_ACCOUNT", 5),  # in a window; 0: no limit
    "attempts_per_address": env.int("AUTH_ATTEMPTS_PER_ADDRESS", 5),  # failed ones; 0: no limit
    "attempt_window_seconds": env.int("AUTH_WINDOW_SECONDS", 60),  # begins with the first attempt
    "remember_days": env.int("AUTH_REMEMBER_DAYS", 30),  # a device, since its password was given
    "remember_grace_seconds": env.int("AUTH_REMEMBER_GRACE_SECONDS", 10),  # old cookie still counts
    "legacy_salt": env("AUTH_LEGACY_SALT"),  # lets in sha1(md5(salt).password) hashes, once each
}
