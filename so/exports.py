"""The public names of the package `so`, and where each is found when it is first used (PEP 562).

They stand here and not in `so/__init__.py`, which is written so that even Python 2.7 can read it,
and say which Python is needed.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

NAMES: dict[str, str] = {}


def _from(module: str, names: str) -> None:
    NAMES.update(dict.fromkeys(names.split(), module))


_from(
    "so.shortcuts",
    "DB Router Gate app set_current cache session sessions activity auth accounts dispatch"
    " dispatch_sync queue notifications notify logger rate_limiter schedule validate"
    " Validator find_batch chain batch cached current_route route_is signed_route"
    " temporary_signed_route url route",
)
_from("so.application", "Application")
_from("so.container", "Container ServiceProvider")
_from("so.config", "Config Env env")
_from("so.db.model", "Model relation SoftDeletes HasUuids")
_from("so.db.rows", "Row Collection")
_from("so.db.connection", "Connection")
_from("so.db.manager", "Database")
_from("so.db.factories", "Factory Seeder")
_from("so.db.expressions", "Expression")
_from("so.db.query", "Query")
_from("so.http.request", "Request")
_from("so.http.response", "Response JsonResponse RedirectResponse")
_from("so.http.uploads", "UploadedFile")
_from(
    "so.http.helpers",
    "request redirect back response json abort abort_if abort_unless old csrf_token csrf_field"
    " method_field e",
)
_from("so.edge.local", "local")
_from("so.http.validation", "Rule")
_from("so.http.rules", "rules responds")
_from("so.support.markup", "Markup h")
_from("so.support.codec", "allow")
_from(
    "so.systems.queue",
    "Job WithoutOverlapping RateLimited ThrottlesExceptions Skip Batch queue_fake exponential"
    " callback",
)
_from(
    "so.systems.activity",
    "LogsActivity Activity causer activity_batch without_activity unaudited",
)
_from(
    "so.systems.notifications",
    "Notification Notifiable MailMessage notification_fake",
)
_from("so.systems.cache", "Limit Lock")
_from(
    "so.systems.auth",
    "Hash HasApiTokens HasRoles Role TwoFactor MustVerifyEmail Password Decision AuthEvent",
)
_from("so.application.account_mail", "NewDevice ResetPassword VerifyEmail EmailChanged")
_from("so.server", "serve")
_from("so.console.command", "Command command")
_from(
    "so.errors",
    "SixOrbitError ConfigError MissingEnvError EnvSyntaxError BindingResolutionError"
    " CircularDependencyError EntryNotFoundError BadSignature CodecError DatabaseError"
    " InvalidArgumentError QueryError UniqueConstraintError ForeignKeyError NotNullError"
    " ConcurrencyError DeadlockError LockTimeoutError LostConnectionError ReadOnlyError"
    " ImplicitCommitError MultipleColumnsSelectedError RecordNotFoundError"
    " MultipleRecordsFoundError ModelNotFoundError MassAssignmentError MissingAttributeError"
    " LazyLoadingViolation StaleModelError HttpException BadRequestException BadRequestError"
    " BadRequest AuthenticationException AuthorizationException NotFoundException NotFoundError"
    " MethodNotAllowed MethodNotAllowedError MethodNotAllowedException ValidationException"
    " LockoutException TooManyRequestsException RouteActionError RouteNotFoundError"
    " UrlGenerationError UploadError InvalidRuleError CacheTypeError LockTimeout"
    " NotificationFailed QueueError InvalidPayloadError UnknownJobError TimeoutExceeded"
    " MaxAttemptsExceeded WorkerLost JobCancelled",
)
PUBLIC = [*NAMES, "config", "db"]


class _Callable(ModuleType):
    """A module that is a function of the same name as well: `config("app.name")`, `db()`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        shortcut = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module("so.shortcuts"), shortcut)(*args, **kwargs)


class Package(ModuleType):
    """This package. Its rooms `config` and `db` are also the names of two short functions."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("config", "db") and type(value) is ModuleType:
            value.__class__ = _Callable
        super().__setattr__(name, value)


def find(name: str) -> Any:
    """What *name* of the package means; AttributeError with the nearest name for none."""
    if name in ("config", "db"):
        return importlib.import_module(f"so.{name}")
    module = NAMES.get(name)
    if module is None:
        raise AttributeError(f"module 'so' has no attribute {name!r}{_nearest(name)}")
    value = getattr(importlib.import_module(module), name)
    vars(sys.modules["so"])[name] = value
    return value


def _nearest(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, PUBLIC, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def names() -> list[str]:
    """All of them, in order."""
    return sorted({*PUBLIC, "__version__"})
