"""What is said: `Notification`, the base of an application's own, and `MailMessage`."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from so.errors import NotificationError
from so.support.markup import h, join
from so.support.naming import ClassNames
from so.support.signatures import arity

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", re.IGNORECASE)
DIGESTS = ("hourly", "daily", "weekly")


def checked_digest(name: Any, owner: str) -> str | None:
    """*name* if there is such a digest, or none; NotificationError otherwise."""
    if name is None or name in DIGESTS:
        return name  # type: ignore[no-any-return]
    raise NotificationError(
        f"{owner}.digest is {name!r}: use one of {', '.join(DIGESTS)}, or None for no digest"
    )


class Notification:
    """Subclass and give `via` and a `to_…` method for each channel.

    The arguments of the constructor, and what was set after it, are what a job carries, so they
    must be models or values that JSON can hold. `category` is what people mute; `critical` goes
    through all the same.
    """

    type_alias: ClassVar[str | None] = None
    category: str | None = None
    critical: bool = False
    queued: bool = False
    delay: Any = None  # seconds, timedelta or datetime, or {channel: …}; what is delayed is queued
    queue: str | Mapping[str, str] | None = None  # a name, or {channel: name}
    subject: Any = None  # the model it is about
    digest: str | None = None  # hourly, daily or weekly: its mails wait, and go in one
    dedupe_key: str | None = None  # told once a class, recipient and key, through each channel
    resendable: bool = True  # False: it holds a secret, and is not kept when it could not be sent
    _classes: ClassVar[ClassNames] = ClassNames(NotificationError, "in inboxes and jobs")
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        object.__setattr__(made, "_arguments", (args, kwargs))  # also of a frozen dataclass
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        checked_digest(cls.digest, cls.__name__)
        Notification._classes.know(cls.alias(), cls)

    @classmethod
    def alias(cls) -> str:
        """The stable name under which rows and jobs know this class."""
        own: str | None = cls.__dict__.get("type_alias")
        return own or cls.__qualname__.rpartition(".")[2]

    @classmethod
    def for_alias(cls, alias: str) -> type[Notification]:
        """The class called *alias*; only classes that were defined can be found."""
        found: type[Notification] | None = Notification._classes.find(alias)
        if found is None:
            raise NotificationError(
                f"unknown notification {alias!r}: import the module that defines it"
            )
        return found

    def carried(self, is_writable: Callable[[Any], bool]) -> list[Any]:
        """What a job carries: the alias, the constructor's arguments, and what was set since."""
        args, kwargs = self._arguments
        return [self.alias(), list(args), kwargs, self._state(is_writable)]

    @staticmethod
    def revived(plain: list[Any]) -> Notification:
        """The notification of which `carried` gave *plain*."""
        alias, args, kwargs, *state = plain
        made = Notification.for_alias(alias)(*args, **kwargs)
        vars(made).update(*state)
        return made

    def _state(self, is_writable: Callable[[Any], bool]) -> dict[str, Any]:
        """What differs from one that is made now of the same arguments.

        What the constructor makes and nothing can carry, such as a client, is left to it; what was
        put in the place of something that can be carried is not.
        """
        args, kwargs = self._arguments
        twin = vars(type(self)(*args, **kwargs))
        state = {
            name: value
            for name, value in vars(self).items()
            if name != "_arguments" and not (name in twin and _same(twin[name], value))
        }
        return {
            name: value
            for name, value in state.items()
            if name not in twin or is_writable(value) or is_writable(twin[name])
        }

    def via(self, notifiable: Any = None) -> list[str] | None:
        """The channels for *notifiable*: those of `notifications.default`, unless you say others.

        "", None or an empty list sends nothing.
        """
        return None

    def should_send(self, notifiable: Any, channel: str) -> bool:
        """False leaves this channel out for this recipient."""
        return True

    def database_type(self) -> str:
        """What stands in the column `type`."""
        return self.alias()

    def channels_for(self, notifiable: Any, default: list[str]) -> list[str]:
        """The channels `via` names, written with or without a parameter, each once.

        NotificationError for a digest there is not, before anything of it is sent.
        """
        checked_digest(self.digest, type(self).__name__)
        if type(self).via is Notification.via:
            return default
        via: Any = self.via
        named = via(notifiable) if arity(via) else via()
        several = [named] if isinstance(named, str) or named is None else named
        if not isinstance(several, Iterable):
            raise NotificationError(
                f"{type(self).__name__}.via() gave {named!r}: give a list of channels"
            )
        return list(dict.fromkeys(channel for channel in several if channel))

    def written_for(self, channel: str, notifiable: Any) -> Any:
        """What `to_<channel>` gives, or `to_dict`; NotificationError where neither is there."""
        for name in (f"to_{channel}", "to_dict"):
            method: Any = getattr(self, name, None)
            if method is not None:
                return method(notifiable) if arity(method) else method()
        raise NotificationError(
            f"{type(self).__name__} has no to_{channel}(notifiable): write it, or leave "
            f"{channel!r} out of via()"
        )


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


class Attachment(NamedTuple):
    """What goes with a mail."""

    name: str
    content: bytes
    type: str

    @classmethod
    def of(cls, given: Any) -> Attachment:
        """From (name, content) or (name, content, type); NotificationError for anything else."""
        if isinstance(given, (tuple, list)) and 2 <= len(given) <= 3:
            name, content, type_ = (*given, None)[:3]
            content = content.encode() if isinstance(content, str) else content
            type_ = type_ or mimetypes.guess_type(str(name))[0] or "application/octet-stream"
            if isinstance(name, str) and isinstance(content, (bytes, bytearray)) and name:
                if not _MEDIA_TYPE.fullmatch(type_):
                    raise NotificationError(f"{type_!r} is no media type: write one as text/csv")
                return cls(name, bytes(content), type_)
        raise NotificationError("an attachment is (name, bytes or text) or (name, …, media type)")


@dataclass
class MailMessage:
    """A mail, line by line: `MailMessage("Subject").line("…").action("Open", url)`."""

    subject: str = ""
    greeting_text: str = ""
    parts: list[tuple[str, str, str]] = field(default_factory=list)  # kind, text, url
    salutation_text: str = ""
    reply_to: Any = None  # these four: an address, `Name <address>`, a list, or {address: name}
    cc: Any = field(default_factory=list)
    bcc: Any = field(default_factory=list)
    from_address: Any = None
    body: str | None = None
    html: str | None = None
    attachments: list[Attachment] = field(default_factory=list)

    def attach(self, name: str, content: bytes | str, type: str | None = None) -> Self:
        """Attach *content* under *name*; its media type is guessed from the name."""
        self.attachments.append(Attachment.of((name, content, type)))
        return self

    def attach_file(self, path: str | PathLike[str], name: str | None = None) -> Self:
        """Attach a file, read now; raises OSError if that cannot be done."""
        return self.attach(name or Path(path).name, Path(path).read_bytes())

    def greeting(self, text: str) -> Self:
        """How it begins."""
        self.greeting_text = text
        return self

    def line(self, text: str) -> Self:
        """One paragraph."""
        self.parts.append(("line", text, ""))
        return self

    def heading(self, text: str) -> Self:
        """What the paragraphs below it are about."""
        self.parts.append(("heading", text, ""))
        return self

    def action(self, text: str, url: str) -> Self:
        """A link that stands out."""
        self.parts.append(("action", text, url))
        return self

    def salutation(self, text: str) -> Self:
        """How it ends."""
        self.salutation_text = text
        return self

    def to_text(self) -> str:
        """The mail as plain text."""
        lines = [f"{t}: {url}" if kind == "action" else t for kind, t, url in self.parts]
        all = (self.greeting_text, self.body, *lines, self.salutation_text)
        return "\n\n".join(text for text in all if text)

    def to_html(self) -> str | None:
        """The mail as HTML; None when only a plain body was given."""
        if self.html is not None or self.body is not None:
            return self.html
        rows = [
            h("p", h("a", text, href=url))
            if kind == "action"
            else h("h2" if kind == "heading" else "p", text)
            for kind, text, url in self.parts
        ]
        ends = [h("p", t) if t else None for t in (self.greeting_text, self.salutation_text)]
        return str(join([ends[0], *rows, ends[1]]))

    @classmethod
    def of(cls, written: Any) -> MailMessage:
        """A MailMessage from itself or from a dict(subject, body, html).

        NotificationError for anything else, and for what is no text in it.
        """
        if isinstance(written, cls):
            return written._checked()
        if isinstance(written, Mapping):
            unknown = set(written) - {
                "subject", "body", "html", "reply_to", "cc", "bcc", "from_address",
                "attachments",
            }  # fmt: skip
            if not unknown and written.get("subject"):
                return cls(**written)._checked()
        raise NotificationError(
            f"to_mail gave {written!r}: give a MailMessage or a dict with subject and body"
        )

    def _checked(self) -> MailMessage:
        parts = [text for part in self.parts for text in part]
        named = {"subject": self.subject, "body": self.body or "", "html": self.html or ""}
        texts = [self.greeting_text, self.salutation_text, *parts]
        for name, text in [*named.items(), *[("line", text) for text in texts]]:
            if not isinstance(text, str):
                raise NotificationError(f"the {name} of a mail is {text!r}: it must be text")
        self.attachments = [Attachment.of(each) for each in self.attachments or ()]
        return self
