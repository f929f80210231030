"""The assembly of logins and accounts: who finds users, what is told to whom, what is logged.

Here the auth system, which knows neither mail nor the activity log nor URLs, is joined to those
that do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from so.application import homes
from so.errors import ConfigError
from so.settings.app import AppSettings
from so.settings.auth import AuthSettings
from so.settings.mail import MailSettings
from so.settings.session import SessionSettings
from so.support.current import current
from so.support.scope import current_request

App = Any
_followed: WeakSet[type] = WeakSet()


# --- users and logins ---


def make_users(app: App) -> Any:
    """Where the application's users come from."""
    from so.systems.auth import DirectoryUsers, ModelUsers

    settings = app.settings(AuthSettings)
    column = settings.password.column
    if settings.users:
        directory = _loaded(app, "auth.users", settings.users)
        made = directory() if isinstance(directory, type) else directory
        return DirectoryUsers(made, lambda: user_model(app), column)
    return ModelUsers(lambda: user_model(app), column)


def make_guards(app: App) -> Any:
    """The ways in that `auth.guards` names, beside the one of `auth.model`."""
    from so.systems.auth import DirectoryUsers, ModelUsers, read_guards

    settings, default = app.settings(AuthSettings), app.make("users")
    column = settings.password.column

    def make(kind: str, what: Any) -> Any:
        if kind == "users":
            directory = _loaded(app, "auth.guards.users", what)
            made = directory() if isinstance(directory, type) else directory
            return DirectoryUsers(made, default.model, column)
        if what == settings.model or _loaded(app, "auth.guards.model", what) is default.model:
            return default
        return ModelUsers(lambda: _model(app, "auth.guards.model", what), column)

    return read_guards(settings.guards, default, make)


def make_authentication(app: App) -> Any:
    """Who may log in, how often, and how long it lasts."""
    from so.systems import auth
    from so.systems.auth.security import LastLogins

    settings, sessions = app.settings(AuthSettings), app.settings(SessionSettings)
    salt = settings.legacy_salt
    made = auth.Authentication(
        app.make("users"),
        guards=app.make("guards"),
        hasher=app.make("hasher"),
        throttle=app.make("login_throttle"),
        remember=auth.RememberTokens(
            app.make("db").source(homes.session_home(app)),
            lifetime_days=settings.remember_days,
            grace_seconds=settings.remember_grace_seconds,
            clock=app.clock,
        ),
        tokens=app.make("access_tokens"),
        security=app.make("security"),
        last_logins=LastLogins(app.make("db").source(homes.session_home(app))),
        terms=auth.Terms(
            settings.confirm_minutes,
            settings.two_factor_minutes,
            settings.keep_tokens,
            sessions.absolute_lifetime,
        ),
        signer=app.make("signer"),
        legacy_check=auth.legacy_sha1(salt) if salt else None,
        may_impersonate=lambda own, user: may_impersonate(app, own, user),
        clock=app.clock,
    )
    if settings.log_events:
        made.events.listen(lambda event: _log(app, event))
    if settings.new_device:
        made.events.on("login", lambda event: _tell_of_device(app, event))
    return made


def key_of(app: App, user: Any) -> str:
    """The key of a user, or the key itself, as rows hold it."""
    return app.make("authentication").key_of(user) if hasattr(user, "get_key") else str(user)


def sessions_ended(app: App, user_id: str, count: int, reason: str) -> None:
    """Tell that sessions were ended: by an administrator, the user elsewhere, or another login."""
    authentication = app.make("authentication")
    try:
        user = authentication.with_key(user_id)
    except ConfigError:  # an application without users of its own may have sessions all the same
        user = None
    why = {"reason": reason} if reason else {}
    authentication.events.fire("ended", user, sessions=count, **why)


def make_login_throttle(app: App) -> Any:
    """How many failures are too many."""
    from so.systems.auth import LoginThrottle

    settings = app.settings(AuthSettings)
    return LoginThrottle(
        app.make("limiter"),
        per_account=settings.attempts_per_account,
        per_address=settings.attempts_per_address,
        window_seconds=settings.attempt_window_seconds,
    )


def user_model(app: App) -> Any:
    """The class of `auth.model`."""
    return _model(app, "auth.model", app.settings(AuthSettings).model)


def _model(app: App, setting: str, what: Any) -> Any:
    found = _loaded(app, setting, what)
    _follow(found, app.settings(AuthSettings).password.column)
    return found


def _loaded(app: App, setting: str, name: Any) -> Any:
    if not isinstance(name, str):
        return name
    module, _, cls = name.rpartition(".")
    try:
        return getattr(app.import_module(module), cls)
    except (ImportError, AttributeError, ValueError) as error:
        mend = "; `bin/sixorbit make:auth` writes one" if setting == "auth.model" else ""
        raise ConfigError(f"{setting} {name!r} cannot be loaded: {error}{mend}") from error


def _follow(model: Any, column: str) -> None:
    """Hear of passwords that the application changes by itself: `user.update(password=…)`."""
    if model in _followed or not hasattr(model, "updating"):
        return
    _followed.add(model)

    def before(user: Any) -> None:
        if user.is_dirty(column):
            current("accounts").remember_password(user, user.get_original(column))

    def after(user: Any) -> None:
        if user.was_changed(column):
            current("authentication").events.fire("password_changed", user)

    model.updating(before)
    model.updated(after)


def make_access_tokens(app: App) -> Any:
    """Tokens of machines."""
    from so.systems.auth import AccessTokens

    settings = app.settings(AuthSettings)
    return AccessTokens(
        app.make("db"),
        clock=app.clock,
        prefix=settings.token_prefix,
        lifetime_days=settings.token_days,
    )


def make_security(app: App) -> Any:
    """What is known of logins beside the columns of the users."""
    from so.systems.auth import SecurityRows

    return SecurityRows(app.make("db"), clock=app.clock)


def make_two_factors(app: App) -> Any:
    """Second factors."""
    from so.systems.auth import TwoFactors

    authentication, settings = app.make("authentication"), app.settings(AuthSettings)
    return TwoFactors(
        app.make("db"),
        app.make("security"),
        authentication.events,
        authentication.key_of,
        lambda user: str(getattr(user, settings.email, None) or authentication.key_of(user)),
        app.make("signer"),
        cipher_of(app),
        app.settings(AppSettings).name,
    )


def cipher_of(app: App) -> Any:
    """What encrypts secrets that must be read again; None where the application has nothing."""
    for name in ("cipher", "session.cipher"):
        if app.bound(name):
            return app.make(name)
    return None


def make_doors(app: App) -> Any:
    """Where guests and users are sent, and by which guards routes may let them in."""
    from so.edge.authenticate import BUILT_IN, Doors

    settings = app.settings(AuthSettings)
    drivers = {name: given.get("driver", "session") for name, given in settings.guards.items()}
    return Doors(
        login=settings.login,
        home=settings.home,
        confirm=settings.confirm,
        verify=settings.verify,
        code=settings.challenge,
        enrol=settings.enrol,
        drivers={**BUILT_IN, **drivers},
        factor_roles=settings.two_factor_roles,
    )


# --- what they may do ---


def make_gate(app: App) -> Any:
    """What whoever is logged in may do."""
    from so.systems.auth import Gate

    return Gate(lambda: app.make("auth").user(), app.make)


def make_roles(app: App) -> Any:
    """Roles and permissions in tables."""
    from so.systems.auth import Roles

    authentication = app.make("authentication")
    return Roles(
        app.make("db"),
        events=authentication.events,
        key_of=authentication.key_of,
        clock=app.clock,
    )


def may_impersonate(app: App, own: Any, user: Any) -> bool:
    """True if *own* has the ability, and *user* may do nothing that *own* may not."""
    from so.systems.auth.abilities import grants

    ability, gate = app.settings(AuthSettings).impersonate, app.make("gate")
    mine, theirs = gate.for_user(own), gate.for_user(user)
    allowed = mine.allows(ability, user) if gate.takes(ability, 2) else mine.allows(ability)
    if not allowed or own.get_key() == user.get_key() and type(own) is type(user):
        return False
    held = own.permissions() if hasattr(own, "permissions") else []
    wanted = user.permissions() if hasattr(user, "permissions") else []
    if not all(grants(held, one) for one in wanted):
        return False
    names = [name for name in gate.abilities() if gate.takes(name, 1)]
    return not any(theirs.allows(name) and mine.denies(name) for name in names)


# --- accounts ---


def make_accounts(app: App) -> Any:
    """Forgotten passwords, confirmed addresses, locks."""
    from so.systems.auth import Accounts, AccountTerms

    settings = app.settings(AuthSettings)
    return Accounts(
        app.make("db"),
        app.make("authentication"),
        app.make("security"),
        signer=app.make("signer"),
        post=AccountPost(app),
        throttle=app.make("login_throttle"),
        end_sessions=lambda user: app.make("sessions").logout_everywhere(user),
        end_others=lambda user: app.make("sessions").logout_others(user),
        rule=lambda: app.make("password_rule"),
        terms=AccountTerms(
            settings.email,
            settings.reset_minutes,
            settings.verify_minutes,
            settings.password.history,
        ),
    )


def make_password_rule(app: App) -> Any:
    """What `auth.password` asks of a new password."""
    from so.systems.auth import PasswordRule

    settings = app.settings(AuthSettings).password
    rule = PasswordRule(shortest=settings.min, earlier=settings.not_used)
    for name in ("letters", "mixed_case", "numbers", "symbols"):
        rule = getattr(rule, name)() if getattr(settings, name) else rule
    if settings.not_common:
        rule = rule.not_common(str(app.base_path(settings.list)) if settings.list else None)
    return rule.unlike(*settings.unlike) if settings.unlike else rule


def make_current_password(app: App) -> Any:
    """What the rule `current_password` asks."""
    return lambda value: is_current_password(app, value)


def is_current_password(app: App, value: object) -> bool:
    """True if *value* is the password of whoever is logged in; counted like a login."""
    login = app.make("auth")
    user, request = login.user(), current_request()
    address = None if request is None else request.ip()
    if user is None or login.impersonator() is not None:
        return False
    return bool(app.make("authentication").confirms(user, value, address))


class AccountPost:
    """Tells people by notifications, with links to the pages that the settings name."""

    def __init__(self, app: App) -> None:
        self._app = app

    def reset(self, user: Any, token: str) -> None:
        """The link by which *user* sets a new password."""
        from so.application.mails import ResetPassword

        minutes = self._app.settings(AuthSettings).reset_minutes
        notification = ResetPassword(reset_url(self._app, token), int(minutes))
        # A mail server takes its time; whether there was a mail must not show in it.
        notification.queued = self._app.settings(MailSettings).driver == "smtp"
        current("notifications").send(user, notification)

    def verify(self, user: Any, address: str, token: str) -> None:
        """To *address*: the link that confirms it."""
        from so.application.mails import VerifyEmail

        notification = VerifyEmail(verify_url(self._app, token))
        is_own = address == getattr(user, self._app.settings(AuthSettings).email, None)
        notifications = current("notifications")
        notifications.send(user if is_own else notifications.route("mail", address), notification)

    def changed(self, user: Any, old: str, new: str) -> None:
        """To the address *old*: that it is no longer that of *user*."""
        from so.application.mails import EmailChanged

        current("notifications").route("mail", old).notify(EmailChanged(new))


def reset_url(app: App, token: str) -> str:
    """The page where *token* is good for a new password."""
    return _url(app, app.settings(AuthSettings).reset_link, token)


def verify_url(app: App, token: str) -> str:
    """The page that confirms an address by *token*."""
    return _url(app, app.settings(AuthSettings).verify_link, token)


def _url(app: App, page: str, token: str) -> str:
    # By the address of a request whoever asks for a link could have it point to a host of his own.
    if app.is_production() and not app.settings(AppSettings).url:
        raise ConfigError("APP_URL is not set: links in mails need the address of the application")
    return str(app.make("router").urls.to(page.replace("{token}", quote(token, safe=""))))


# --- events ---


def make_aside(app: App) -> Any:
    """Writes what a login leaves behind, without holding it up."""
    from so.application.aside import Aside

    return Aside(lambda: app.make("db").connection())


def _log(app: App, event: Any) -> None:
    """Write *event* into the log `auth`; address, agent and request id are in its context."""
    at = app.clock.now()
    app.make("aside").do(lambda: _write(app, event, at), stays=event.name in _BESIDE)


def _write(app: App, event: Any, at: datetime) -> None:
    details = {name: _plain(value) for name, value in event.details.items()}
    entry = app.make("activity").entry("auth").event(event.name).with_properties(
        {**details, "address": event.address, "agent": event.agent}
    )  # fmt: skip
    if event.user is not None:
        entry = entry.performed_on(event.user)
    by = event.details.get("by")
    if by is not None or event.name in _OWN:
        entry = entry.caused_by(by if by is not None else event.user)
    entry.created_at(at).log(event.name)


# What only the user himself does, who may not be known as logged in yet, or any more.
_OWN = ("login", "logout", "failed", "lockout", "password_reset", "verified")


# What no transaction takes back: sessions and limits are beside them.
_BESIDE = ("login", "failed", "lockout", "logout", "ended")


def _plain(value: Any) -> Any:
    return value.get_key() if hasattr(value, "get_key") else value


def _tell_of_device(app: App, event: Any) -> None:
    from so.application.mails import NewDevice

    if event.details.get("new_device") is True:
        at = app.clock.now().astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        notification = NewDevice(event.address or "", (event.agent or "")[:200], at)
        notifications = current("notifications")
        app.make("aside").do(lambda: notifications.send(event.user, notification))
