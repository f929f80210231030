"""SixOrbit: a back-end framework for ERP applications on Python's standard library alone.

Everything an application needs imports from here: `from so import DB, Model, Router, Job, cache`.
The names are looked up on first use (PEP 562), so `import so` alone loads nothing heavy.
"""

import importlib
import sys
from types import ModuleType

# Before a newer module ends in an error that nobody understands. This file is written so that even
# Python 2.7 can read it: without annotations, which stand in __init__.pyi.
if sys.version_info < (3, 11):  # noqa: UP036 (whoever copies `so/` has no installer that looks)
    raise ImportError("SixOrbit needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

__version__ = "2.0.0"

_NAMES = {}


def _from(module, names):
    _NAMES.update(dict.fromkeys(names.split(), module))


_from(
    "so.shortcuts",
    "DB Router Gate app set_current cache session sessions activity auth accounts dispatch"
    " dispatch_sync queue notifications notify logger rate_limiter schedule validate"
    " find_batch chain batch cached current_route route_is signed_route"
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
_from("so.http.validation", "Rule Validator")
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
_from("so.application.mails", "NewDevice ResetPassword VerifyEmail EmailChanged")
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
__all__ = list(_NAMES) + ["config", "db"]


class _Callable(ModuleType):
    """A module that is a function of the same name as well: `config("app.name")`, `db()`."""

    def __call__(self, *args, **kwargs):
        shortcut = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module("so.shortcuts"), shortcut)(*args, **kwargs)


class _Package(ModuleType):
    """This package. Its rooms `config` and `db` are also the names of two short functions."""

    def __setattr__(self, name, value):
        if name in ("config", "db") and type(value) is ModuleType:
            value.__class__ = _Callable
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name):
    if name in ("config", "db"):
        return importlib.import_module("so." + name)
    module = _NAMES.get(name)
    if module is None:
        _refuse(name)
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def _refuse(name):
    """Raise the error about a name that there is not, with what does the same here."""
    hint = "" if name.startswith("_") else _hint(name)
    # `from so import x` asks here first whether there is x, and would hide an AttributeError.
    if hint and sys._getframe(2).f_code.co_name == "_handle_fromlist" and not _is_room(name):
        raise ImportError("cannot import name %r from 'so'%s" % (name, hint))  # noqa: UP031
    raise AttributeError("module 'so' has no attribute %r%s" % (name, hint))  # noqa: UP031


def _hint(name):
    habits = importlib.import_module("so.support.habits").NAMES
    if name in habits:
        return ": " + habits[name]
    import difflib

    close = difflib.get_close_matches(name, __all__, 1)
    return "; did you mean %r?" % close[0] if close else ""  # noqa: UP031


def _is_room(name):
    import importlib.util

    return importlib.util.find_spec("so." + name) is not None


def __dir__():
    return sorted(set(__all__) | {"__version__"})
