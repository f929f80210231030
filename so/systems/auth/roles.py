"""Roles and permissions in tables: who may do what, said by administrators and not by code.

    class User(HasRoles, Model): ...

    Role.named("buyer").allow("orders.*")
    user.assign_role("buyer")
    user.can("orders.approve")        # asks the Gate, which asks the roles

A permission is the name of an ability; `orders.*` is all of orders. What code has defined in the
Gate decides for itself, roles decide about the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so.errors import AuthError, UniqueConstraintError
from so.support.current import current
from so.support.listed import flat
from so.support.naming import ClassNames, of_one_table
from so.support.scope import current_scope
from so.systems.auth.abilities import grants
from so.systems.auth.users import type_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from so.db.manager import ConnectionSource
    from so.support.clock import Clock
    from so.systems.auth.events import AuthEvents

LONGEST_NAME = 150
_holders = ClassNames(
    AuthError,
    "among the classes with roles, and who has one's would have the other's",
    of_one_table,
)
ATTEMPTS = 5  # of a change that another one got in the way of
# A table, its column of what is held, and that of who holds it.
_ROLE_USER = ("role_user", "role_id", "user_id")
_PERMISSION_ROLE = ("permission_role", "permission_id", "role_id")
CACHED = "auth.held"  # under this name in scope.data: what each user holds, for this request


@dataclass(frozen=True, slots=True)
class Held:
    """What one user has been given."""

    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    demands_two_factor: bool = False


class Roles:
    """The tables `roles`, `permissions`, `role_user` and `permission_role`."""

    def __init__(
        self,
        db: ConnectionSource,
        *,
        events: AuthEvents,
        key_of: Callable[[Any], str],
        clock: Clock,
    ) -> None:
        """*key_of(user)* names users in rows; changes are told to *events*."""
        self._db, self.events, self.key_of, self._clock = db, events, key_of, clock

    # --- one user ---

    def held(self, user: Any) -> Held:
        """The roles and permissions of *user*, by one query a request."""
        key, scope = self.key_of(user), current_scope()
        cached = {} if scope is None else scope.data.setdefault(CACHED, {})
        if key not in cached:
            cached[key] = self._read(key)
        found: Held = cached[key]
        return found

    def _read(self, key: str) -> Held:
        rows = self._db.connection().select_tuples(
            "select r.name, r.two_factor, p.name from role_user as ru "
            "join roles as r on r.id = ru.role_id "
            "left join permission_role as pr on pr.role_id = r.id "
            "left join permissions as p on p.id = pr.permission_id "
            "where ru.user_id = ? order by r.name, p.name",
            (key,),
            use_read=False,
        )
        return Held(
            tuple(dict.fromkeys(row[0] for row in rows)),
            tuple(dict.fromkeys(row[2] for row in rows if row[2] is not None)),
            any(row[1] for row in rows),
        )

    def set(self, user: Any, wanted: Iterable[str]) -> None:
        """Let *user* have exactly the roles *wanted*; a role there is not is made, empty."""
        after = set(wanted)
        self.change(user, give=after, take=set(self._read(self.key_of(user)).roles) - after)

    def change(self, user: Any, *, give: Iterable[str] = (), take: Iterable[str] = ()) -> None:
        """Give and take roles, whatever others give and take at the same time."""
        key = self.key_of(user)
        wanted, taken = _checked(give, take)
        given = {name: self.id_of(name) for name in wanted}
        connection = self._db.connection()

        def work() -> tuple[list[str], list[str]]:
            removed = [name for name in taken if self._unlink(_ROLE_USER, key, name)]
            return [name for name, id in given.items() if self._link(_ROLE_USER, id, key)], removed

        added, removed = connection.transaction(work, ATTEMPTS, mode="immediate")
        self._forget_held()
        if added or removed:
            after = sorted(self._read(key).roles)
            self.events.fire("role_changed", user, roles=after, added=added, removed=removed)

    def _link(self, what: tuple[str, str, str], id: int, owner: object) -> bool:
        """Note that *owner* has the role or permission *id*; False if he has it already."""
        table, column, of = what
        connection = self._db.connection()
        sql = f"select 1 from {table} where {column} = ? and {of} = ?"  # noqa: S608  # constants
        if connection.scalar(sql, (id, owner), use_read=False) is not None:
            return False
        try:
            connection.insert(
                f"insert into {table} ({column}, {of}) values (?, ?)",  # noqa: S608  # constants
                (id, owner),
            )
        except UniqueConstraintError:  # given by somebody else just now
            return False
        return True

    def _unlink(self, what: tuple[str, str, str], owner: object, name: str) -> bool:
        """Take *name* from *owner*; False if he does not have it."""
        table, column, of = what
        names = "roles" if column == "role_id" else "permissions"
        return (
            self._db.connection().delete(
                f"delete from {table} where {of} = ? and {column} in "  # noqa: S608  # constants
                f"(select id from {names} where name = ?)",
                (owner, name),
            )
            > 0
        )

    @staticmethod
    def _forget_held() -> None:
        scope = current_scope()
        if scope is not None:
            scope.data.pop(CACHED, None)

    # --- the roles themselves ---

    def id_of(self, name: str, table: str = "roles") -> int:
        """The id of the role (or permission) *name*, which is made if it is not there."""
        connection, now = self._db.connection(), self._clock.now()
        sql = f"select id from {table} where name = ?"  # noqa: S608  # one of two constants
        found = connection.scalar(sql, (checked_name(name),), use_read=False)
        if found is None:
            try:
                return connection.insert_get_id(
                    f"insert into {table} (name, created_at, updated_at) "  # noqa: S608
                    "values (?, ?, ?)",
                    (name, now, now),
                )
            except UniqueConstraintError:  # another request made it just now
                # A transaction of the caller's may not see yet what it cannot make either.
                shared = " lock in share mode" if connection.dialect.name == "mysql" else ""
                found = connection.scalar(sql + shared, (name,), use_read=False)
        return int(found)

    def names(self) -> list[str]:
        """Every role."""
        rows = self._db.connection().select_tuples("select name from roles order by name", ())
        return [row[0] for row in rows]

    def permissions_of(self, role: str) -> list[str]:
        """What users of *role* may do."""
        rows = self._db.connection().select_tuples(
            "select p.name from permissions as p join permission_role as pr "
            "on pr.permission_id = p.id join roles as r on r.id = pr.role_id "
            "where r.name = ? order by p.name",
            (role,),
            use_read=False,
        )
        return [row[0] for row in rows]

    def change_permissions(
        self, role: str, *, give: Iterable[str] = (), take: Iterable[str] = ()
    ) -> None:
        """Let users of *role* do what is to *give*, and no longer what is to *take*."""
        wanted, taken = _checked(give, take)
        role_id = self.id_of(role)
        given = {name: self.id_of(name, "permissions") for name in wanted}

        def work() -> tuple[list[str], list[str]]:
            gone = [name for name in taken if self._unlink(_PERMISSION_ROLE, role_id, name)]
            new = [one for one, id in given.items() if self._link(_PERMISSION_ROLE, id, role_id)]
            return new, gone

        added, removed = self._db.connection().transaction(work, ATTEMPTS, mode="immediate")
        self._forget_held()
        if added or removed:
            self.events.fire("role_changed", None, role=role, added=added, removed=removed)

    def demand_two_factor(self, role: str, demands: bool = True) -> None:
        """Let users of *role* need a second factor, where the middleware `two_factor` asks."""
        self.id_of(role)
        sql = "update roles set two_factor = ?, updated_at = ? where name = ? and two_factor <> ?"
        connection = self._db.connection()
        with connection.transaction():
            now, wanted = self._clock.now(), int(demands)
            if connection.update(sql, (wanted, now, role, wanted)):
                self.events.fire("role_changed", None, role=role, two_factor=demands)
        self._forget_held()


@dataclass(frozen=True, slots=True)
class Role:
    """One role: `Role.named("buyer").allow("orders.read", "orders.create")`."""

    name: str

    @classmethod
    def named(cls, name: str) -> Role:
        """The role *name*, made if it is not there."""
        _roles().id_of(name)
        return cls(name)

    @property
    def permissions(self) -> list[str]:
        """What its users may do."""
        return _roles().permissions_of(self.name)

    def allow(self, *abilities: str | Iterable[str]) -> Role:
        """Let its users do *abilities* as well."""
        _roles().change_permissions(self.name, give=flat(abilities))
        return self

    def forbid(self, *abilities: str | Iterable[str]) -> Role:
        """Take *abilities* from it again."""
        _roles().change_permissions(self.name, take=flat(abilities))
        return self

    def demand_two_factor(self, demands: bool = True) -> Role:
        """Let its users need a second factor."""
        _roles().demand_two_factor(self.name, demands)
        return self


class HasRoles:
    """For a user model: `class User(HasRoles, Model)`."""

    @classmethod
    def _defined(cls) -> None:
        _holders.know(type_of(cls), cls)

    def assign_role(self, *roles: str | Iterable[str]) -> None:
        """Give these roles as well; one that is not there yet is made, and allows nothing."""
        _roles().change(self, give=flat(roles))

    def remove_role(self, *roles: str | Iterable[str]) -> None:
        """Take these roles."""
        _roles().change(self, take=flat(roles))

    def sync_roles(self, *roles: str | Iterable[str]) -> None:
        """Have exactly these roles."""
        _roles().set(self, flat(roles))

    def roles(self) -> list[str]:
        """The names of this user's roles."""
        return list(_roles().held(self).roles)

    def has_role(self, *roles: str | Iterable[str]) -> bool:
        """True if this user has every one of *roles*."""
        wanted = flat(roles)
        return bool(wanted) and set(wanted) <= set(self.roles())

    def has_any_role(self, *roles: str | Iterable[str]) -> bool:
        """True if this user has one of *roles*."""
        return not set(flat(roles)).isdisjoint(self.roles())

    def permissions(self) -> list[str]:
        """What this user's roles allow, wildcards as they are."""
        return list(_roles().held(self).permissions)

    def has_permission(self, ability: str) -> bool:
        """True if a role of this user allows *ability*, by name or by wildcard."""
        return grants(self.permissions(), ability)

    def demands_two_factor(self, *roles: str) -> bool:
        """True if a role of this user needs a second factor: by itself, or as one of *roles*."""
        return _roles().held(self).demands_two_factor or self.has_any_role(*roles)

    def can(self, ability: str, *arguments: Any) -> bool:
        """True if the Gate allows this user *ability*."""
        return bool(current("gate").for_user(self).allows(ability, *arguments))

    def cannot(self, ability: str, *arguments: Any) -> bool:
        """The opposite of `can()`."""
        return not self.can(ability, *arguments)

    cant = cannot


def checked_name(name: object) -> str:
    """*name* as a role or permission may be called; AuthError for anything else."""
    if isinstance(name, str) and name and name == name.strip() and len(name) <= LONGEST_NAME:
        return name
    raise AuthError(
        f"{name!r} is no name of a role or permission: a text of 1 to {LONGEST_NAME} characters "
        "without space at its ends"
    )


def _checked(give: Iterable[str], take: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names to give and names to take, each once, in order: two changes then lock the same way."""
    given = {checked_name(name) for name in give}
    return sorted(given), sorted({checked_name(name) for name in take} - given)


def _roles() -> Roles:
    found: Roles = current("roles")
    return found
