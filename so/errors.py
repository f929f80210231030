"""Every exception of ours, with when it is raised. One base class; this module imports nothing.

Messages say what went wrong, with which value, and how to mend it. Where the standard library
has a class that callers expect (ValueError, AttributeError, …), ours is a subclass of it too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class SixOrbitError(Exception):
    """The base of every exception the framework raises on purpose."""


# --- configuration ------------------------------------------------------------------------------


class ConfigError(SixOrbitError):
    """A setting is missing, unknown or of the wrong kind."""


class MissingEnvError(ConfigError, KeyError):
    """`env.require(key)` found no value."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class EnvSyntaxError(ConfigError):
    """A line of a .env file cannot be read; `.file` and `.line` say which."""

    def __init__(self, message: str, file: str, line: int) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.file = file
        self.line = line


# --- container ----------------------------------------------------------------------------------


class ContainerError(SixOrbitError):
    """The container was used wrongly."""


class BindingResolutionError(ContainerError):
    """A class or a parameter could not be resolved."""


class CircularDependencyError(BindingResolutionError):
    """A class needs itself, directly or through others; the message shows the chain."""


class EntryNotFoundError(ContainerError, KeyError):
    """`get(id)` of something that is neither bound nor a class."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


# --- support ------------------------------------------------------------------------------------


class BadSignature(SixOrbitError, ValueError):
    """A signed token was altered, or signed for another purpose or with another key."""


class CodecError(SixOrbitError, ValueError):
    """A value cannot be written as typed JSON, or a text cannot be read back."""


# --- database -----------------------------------------------------------------------------------


class DatabaseError(SixOrbitError):
    """The base of all database errors."""


class InvalidArgumentError(DatabaseError, ValueError):
    """A name or an argument does not fit: `Database connection [x] not configured.`"""


class InvalidNumberError(InvalidArgumentError):
    """A limit, an offset or the like is no number: of a request, as a rule."""

    status = 400


class QueryUseError(InvalidArgumentError, RuntimeError):
    """A query was asked for what it cannot give, such as parts of rows that have no order."""


class UnsupportedError(DatabaseError, RuntimeError):
    """`This database engine does not support …`: its dialect has no words for it."""


class QueryError(DatabaseError):
    """A statement failed; carries the SQL and its bindings, secrets masked in the text.

    Attributes: sql, bindings, connection (its name), cause (the driver's exception or None).
    """

    def __init__(
        self,
        sql: str = "",
        bindings: Sequence[Any] | Mapping[str, Any] = (),
        connection: str = "",
        cause: BaseException | None = None,
        message: str | None = None,
    ) -> None:
        super().__init__(message if message is not None else str(cause or "query failed"))
        self.sql = sql
        self.bindings = bindings
        self.connection = connection
        self.cause = cause


class UniqueConstraintError(QueryError):
    """A unique key is taken; `.columns` and `.index` name it where the engine tells."""

    columns: list[str]
    index: str | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = []
        self.index = None


class ForeignKeyError(QueryError):
    """A foreign key forbids the change."""


class NotNullError(QueryError):
    """A column that must not be NULL was given none."""


class UnfitValueError(QueryError):
    """A value does not fit its column: a text that says no number or time, a number too large: 400.

    By MySQL's and MariaDB's strict mode; SQLite keeps all but whole numbers of more than 64 bits,
    and text that is no Unicode.
    """

    status = 400


class UnavailableError(QueryError):
    """The database cannot do it now, though nothing is wrong with what was asked: 503."""

    status = 503


class ConcurrencyError(UnavailableError):
    """Another transaction was in the way; running the whole transaction again may succeed."""


class DeadlockError(ConcurrencyError):
    """The engine rolled this transaction back to break a deadlock (or a cluster refused it)."""


class LockTimeoutError(ConcurrencyError):
    """A row or the database stayed locked for longer than the configured wait."""


class LostConnectionError(UnavailableError):
    """The connection broke; the fate of a write under way is unknown and it was not repeated."""


class ReadOnlyError(UnavailableError):
    """The server or the database file accepts no writes."""


class StatementTimeoutError(UnavailableError):
    """The statement ran for longer than its limit and was stopped."""


class TransactionError(DatabaseError):
    """Transactions were begun, committed or rolled back out of order."""


class ImplicitCommitError(TransactionError):
    """A statement that begins or ends a transaction by itself was run inside one: begin, commit or
    rollback in plain SQL, and on MySQL DDL."""


class ConnectionOwnerError(DatabaseError, RuntimeError):
    """A connection was used from a thread or process that does not own it."""


class MultipleColumnsSelectedError(DatabaseError):
    """`scalar()` was given a query with more than one column."""


class MigrationError(DatabaseError):
    """A migration failed; names the file and the statement."""


class SchemaError(DatabaseError):
    """The live schema is not what the code needs."""


class RecordNotFoundError(DatabaseError):
    """`first_or_fail()` or `sole()` found no row (404 for a web client)."""

    status = 404


class MultipleRecordsFoundError(DatabaseError):
    """`sole()` found more than one row; `.count` says how many it saw."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} records were found.")
        self.count = count


# --- model --------------------------------------------------------------------------------------


class ModelNotFoundError(RecordNotFoundError):
    """`No query results for model [User] 5`; attributes model (class) and ids."""

    def __init__(
        self, model: Any = None, ids: Sequence[Any] = (), message: str | None = None
    ) -> None:
        name = getattr(model, "__name__", model)
        keys = " " + ", ".join(str(i) for i in ids) if ids else ""
        super().__init__(message or f"No query results for model [{name}]{keys}")
        self.model = model
        self.ids = list(ids)


class MassAssignmentError(DatabaseError):
    """Nothing of what was given may be mass-assigned: name the fields in `fillable`."""


class MissingAttributeError(DatabaseError, AttributeError):
    """A column that the query did not select was read (strict mode)."""


class CastError(DatabaseError, ValueError):
    """A value does not fit its column's cast, on the way in or on the way out."""


class LazyLoadingViolation(DatabaseError):
    """A relation was loaded one model at a time while that is forbidden: eager-load it."""


class StaleModelError(DatabaseError):
    """Somebody else saved this row since it was read (optimistic locking): read it again."""

    status = 409


class RelationError(DatabaseError):
    """A relation is defined or used wrongly."""


# --- http ---------------------------------------------------------------------------------------


class HttpException(SixOrbitError):
    """An answer other than success; `.status` and `.headers` go to the client."""

    default_status = 500
    default_message = ""
    is_technical = False
    """Whether the message speaks to programmers: a page says it in words for people."""

    def __init__(
        self,
        message: str = "",
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or self.default_message)
        self.status = self.default_status if status is None else status
        self.headers: dict[str, str] = dict(headers or {})

    @property
    def message(self) -> str:
        """The text for the client."""
        return str(self.args[0]) if self.args else ""


class BadRequestException(HttpException):
    """400: the request cannot be understood."""

    default_status = 400
    default_message = "Bad Request"


class OffsiteRedirectError(BadRequestException, ValueError):
    """`redirect(url)` was given a URL of another site: `redirect().away(url)` if that is meant."""


class AuthenticationException(HttpException):
    """401 for programs, a redirect to `redirect_to` for people; None: 401 for them as well."""

    default_status = 401
    default_message = "Unauthenticated."

    def __init__(
        self,
        message: str = "",
        redirect_to: str | None = "/login",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, None, headers)
        self.redirect_to = redirect_to


class AuthorizationException(HttpException):
    """403: known, but not allowed."""

    default_status = 403
    default_message = "This action is unauthorized."


class NotFoundException(HttpException):
    """404."""

    default_status = 404
    default_message = "Not Found"


class MethodNotAllowedException(HttpException):
    """405, with the header Allow."""

    default_status = 405
    default_message = "Method Not Allowed"
    is_technical = True


class PayloadTooLargeException(HttpException):
    """413: a body, a field or an upload is over its limit."""

    default_status = 413
    default_message = "Payload Too Large"


class UriTooLongException(HttpException):
    """414."""

    default_status = 414
    default_message = "URI Too Long"


class TokenMismatchException(HttpException):
    """419: the CSRF token is missing or not this session's."""

    default_status = 419
    default_message = "CSRF token mismatch."


class HeadersTooLargeException(HttpException):
    """431: too many header fields, or too long."""

    default_status = 431
    default_message = "Request Header Fields Too Large"


class TooManyRequestsException(HttpException):
    """429, with Retry-After."""

    default_status = 429
    default_message = "Too Many Attempts."


class LockoutException(TooManyRequestsException):
    """429 after too many failed logins; `.retry_after` in seconds."""

    def __init__(self, retry_after: int = 60, message: str = "") -> None:
        super().__init__(
            message or f"Too many login attempts. Please try again in {retry_after} seconds.",
            None,
            {"Retry-After": str(retry_after)},
        )
        self.retry_after = retry_after


class ServiceUnavailableException(HttpException):
    """503."""

    default_status = 503
    default_message = "Service Unavailable"


class ValidationException(HttpException):
    """422: `.errors` maps each field to its messages."""

    default_status = 422
    default_message = "The given data was invalid."

    def __init__(
        self,
        errors: Mapping[str, Sequence[str] | str] | None = None,
        message: str = "",
        status: int = 422,
    ) -> None:
        super().__init__(message, status)
        self.errors: dict[str, list[str]] = {
            field: [texts] if isinstance(texts, str) else list(texts)
            for field, texts in (errors or {}).items()
        }

    @classmethod
    def with_messages(cls, errors: Mapping[str, Sequence[str] | str]) -> ValidationException:
        """The exception for *errors*, as `{field: message}` or `{field: [messages]}`."""
        return cls(errors)

    def first_error(self) -> str | None:
        """The first message of the first field; None if there is none."""
        for texts in self.errors.values():
            for text in texts:
                return text
        return None


BadRequest = BadRequestError = BadRequestException
AuthenticationError = AuthenticationException
AuthorizationError = AuthorizationException
NotFound = NotFoundError = NotFoundException
MethodNotAllowed = MethodNotAllowedError = MethodNotAllowedException
ValidationError = ValidationException


class RouteActionError(SixOrbitError, TypeError):
    """A route was registered with something that cannot be called."""


class RouteDefinitionError(SixOrbitError, ValueError):
    """A route's URI, constraint, name or middleware does not make sense."""


class RouteNotFoundError(SixOrbitError, LookupError):
    """`Route [x] not defined.`"""


class UrlGenerationError(SixOrbitError, ValueError):
    """A required parameter of a named route was not given."""


class UploadError(SixOrbitError):
    """An uploaded file is not valid or cannot be stored."""


class InvalidRuleError(SixOrbitError, ValueError):
    """A validation rule does not exist or its parameters do not fit."""


# --- server -------------------------------------------------------------------------------------


class ServerError(SixOrbitError):
    """The web server cannot start: an address in use, a bad option, a certificate it can't read."""


class WireError(SixOrbitError):
    """The bytes of a client are no request this server accepts; `.status` answers them."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


# --- systems ------------------------------------------------------------------------------------


class CacheError(SixOrbitError):
    """The base of cache errors."""


class CacheTypeError(CacheError, TypeError):
    """A value is not what the operation needs, such as an increment of a text."""


class LockTimeout(CacheError, TimeoutError):
    """`block()` waited for a lock in vain."""


class LockLost(CacheError):
    """A lock expired and was taken by somebody else while its holder was working."""


class SessionError(SixOrbitError):
    """A session cannot be used or stored as asked."""


class AuthError(SixOrbitError):
    """The base of errors in the set-up of authentication."""


class CredentialsError(ValidationException, AuthError):
    """A login names what no user has: 422, as such a name may come from a request's body."""


class QueueError(SixOrbitError):
    """The base of queue errors."""


class UnknownJobError(QueueError):
    """A payload names a class that is not a registered Job."""


class InvalidPayloadError(QueueError):
    """A payload is not one JSON object of the documented form."""


class TimeoutExceeded(QueueError):
    """A job ran for longer than its timeout and was killed."""


class MaxAttemptsExceeded(QueueError):
    """A job has been attempted too many times."""


class WorkerLost(QueueError):
    """The process that ran a job died; the message gives signal or exit code."""


class JobCancelled(QueueError):
    """The job was cancelled while it ran."""


class NotificationError(SixOrbitError):
    """A notification cannot be sent as asked."""


class NotificationFailed(NotificationError):
    """One or more channels failed; `.errors` lists them after all were tried."""

    def __init__(self, errors: Sequence[BaseException]) -> None:
        texts = "; ".join(f"{type(e).__name__}: {e}" for e in errors)
        super().__init__(f"{len(errors)} notification channel(s) failed: {texts}")
        self.errors = list(errors)


class ActivityError(SixOrbitError):
    """The activity log was used wrongly."""


class IntegrityError(ActivityError):
    """The activity log cannot be sealed or verified."""


# --- console ------------------------------------------------------------------------------------


class CommandError(SixOrbitError):
    """A command was called wrongly; `.exit_code` is what the shell sees."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(CommandError):
    """Arguments or options do not fit the command's signature (exit code 2)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 2)


class CommandNotFound(CommandError):
    """No such command; the message offers the nearest."""


class FactoryError(SixOrbitError):
    """A factory or a seeder is missing, or was asked for what it cannot make."""


# --- shipping -------------------------------------------------------------------------------------


class ReleaseError(SixOrbitError):
    """An archive of the framework or of an application cannot be written, read or trusted."""
