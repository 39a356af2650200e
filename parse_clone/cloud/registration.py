"""`Cloud`: where an application registers its hooks, functions and jobs. One per server, no global state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from parse_clone.cloud.client import Client
from parse_clone.cloud.running import (
    Check,
    Hook,
    failure_code,
    function_handler,
    job_handler,
    trigger_handler,
)
from parse_clone.cloud.validators import RateLimit, Validator
from parse_clone.services.audit_trail import AuditTrail
from parse_clone.services.schedules import Schedule
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import CONFIG, CONNECT, FILE, TriggerKind

Handler = TypeVar("Handler", bound=Callable[..., Any])
USER_TRIGGERS = frozenset(
    {
        TriggerKind.BEFORE_LOGIN,
        TriggerKind.AFTER_LOGIN,
        TriggerKind.BEFORE_PASSWORD_RESET_REQUEST,
    }
)


@dataclass(frozen=True)
class Cloud:
    """Decorators for every kind of hook. Handlers are `async def` (plain functions run in a thread).

    `validator` is a `Validator`, or a function that is called with the request and raises to refuse.
    Registering twice for the same moment: the last one wins.
    """

    toolbox: Toolbox
    time_limit: float = 30.0
    """Seconds that one hook or function may take; jobs have no limit."""
    schedules: list[Schedule] = field(default_factory=list)
    rate_limits: list[tuple[str, RateLimit]] = field(default_factory=list)

    @property
    def client(self) -> Client:
        """A client with master rights, outside of any request."""
        return Client.master(self.toolbox)

    # --- Objects ---

    def before_save(self, class_name: str, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before an object is created or updated: change it or refuse. Takes `BeforeSave`."""
        return self._object_hook(TriggerKind.BEFORE_SAVE, class_name, validator)

    def after_save(self, class_name: str, validator: Check = None) -> Callable[[Handler], Handler]:
        """After an object was stored. Takes `AfterSave`; returning a dict replaces the answer."""
        return self._object_hook(TriggerKind.AFTER_SAVE, class_name, validator)

    def before_delete(self, class_name: str, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before an object is deleted: raise to keep it. Takes `BeforeDelete`."""
        return self._object_hook(TriggerKind.BEFORE_DELETE, class_name, validator)

    def after_delete(self, class_name: str, validator: Check = None) -> Callable[[Handler], Handler]:
        """After an object was deleted. Takes `AfterDelete`."""
        return self._object_hook(TriggerKind.AFTER_DELETE, class_name, validator)

    # --- Queries ---

    def before_find(self, class_name: str, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before a query, a get, an include or a subquery. Takes `BeforeFind`."""
        return self._object_hook(TriggerKind.BEFORE_FIND, class_name, validator)

    def after_find(self, class_name: str, validator: Check = None) -> Callable[[Handler], Handler]:
        """After a query. Takes `AfterFind`; may return another list."""
        return self._object_hook(TriggerKind.AFTER_FIND, class_name, validator)

    # --- Audit ---

    def audit(self, *class_names: str) -> Callable[[Handler], Handler]:
        """Record what happens to the objects of classes: called with an `AuditEvent` before a write is done,
        after objects were read and on logins (`_User`), and awaited before the answer leaves. Raising fails
        the action."""

        def register(handler: Handler) -> Handler:
            auditor = Hook(handler).run
            self.toolbox.triggers.auditors.update(dict.fromkeys(class_names, auditor))
            return handler

        return register

    def audit_trail(self, class_name: str, chain_field: str = "metadata") -> AuditTrail:
        """An append-only class for what auditors record: its entries form a chain that shows tampering.
        Nobody writes or deletes its objects or changes the class over the API, the master key included."""
        self.append_only(class_name)
        self.toolbox.triggers.sealed.add(class_name)
        return AuditTrail(self.toolbox, class_name, chain_field)

    def append_only(self, class_name: str) -> None:
        """Keep what a class holds: nobody deletes objects, purges the class or changes its schema over the
        API, the master key included. Whether objects may be changed is the business of a `before_save`."""
        self.toolbox.triggers.append_only.add(class_name)

    # --- Users ---

    def before_login(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """The password was right: raise to refuse. Takes `BeforeLogin`."""
        return self._object_hook(TriggerKind.BEFORE_LOGIN, "_User", validator)

    def after_login(self) -> Callable[[Handler], Handler]:
        """The session is stored. Takes `AfterLogin`."""
        return self._object_hook(TriggerKind.AFTER_LOGIN, "_User", None)

    def after_logout(self) -> Callable[[Handler], Handler]:
        """The session is deleted. Takes `AfterLogout`."""
        return self._object_hook(TriggerKind.AFTER_LOGOUT, "_Session", None)

    def before_password_reset_request(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before a reset mail is sent: raise to send none. Takes `BeforePasswordReset`."""
        return self._object_hook(TriggerKind.BEFORE_PASSWORD_RESET_REQUEST, "_User", validator)

    # --- Files and config ---

    def before_save_file(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before a file is stored. Takes `FileRequest`."""
        return self._object_hook(TriggerKind.BEFORE_SAVE, FILE, validator)

    def after_save_file(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """After a file was stored. Takes `FileRequest`."""
        return self._object_hook(TriggerKind.AFTER_SAVE, FILE, validator)

    def before_delete_file(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before a file is deleted. Takes `FileRequest`."""
        return self._object_hook(TriggerKind.BEFORE_DELETE, FILE, validator)

    def after_delete_file(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """After a file was deleted. Takes `FileRequest`."""
        return self._object_hook(TriggerKind.AFTER_DELETE, FILE, validator)

    def before_find_file(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before a download. Takes `FileRequest`."""
        return self._object_hook(TriggerKind.BEFORE_FIND, FILE, validator)

    def after_find_file(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before a download is sent. Takes `FileRequest`."""
        return self._object_hook(TriggerKind.AFTER_FIND, FILE, validator)

    def before_save_config(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before the global config changes: raise to refuse. Takes `ConfigRequest`."""
        return self._object_hook(TriggerKind.BEFORE_SAVE, CONFIG, validator)

    def after_save_config(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """After the global config changed. Takes `ConfigRequest`."""
        return self._object_hook(TriggerKind.AFTER_SAVE, CONFIG, validator)

    # --- LiveQuery ---

    def before_connect(self, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before a LiveQuery client is welcome: raise to refuse. Takes `ConnectRequest`."""
        return self._object_hook(TriggerKind.BEFORE_CONNECT, CONNECT, validator)

    def before_subscribe(self, class_name: str, validator: Check = None) -> Callable[[Handler], Handler]:
        """Before a query is watched: change it or refuse. Takes `SubscribeRequest`."""
        return self._object_hook(TriggerKind.BEFORE_SUBSCRIBE, class_name, validator)

    def after_live_query_event(
        self, class_name: str, validator: Check = None
    ) -> Callable[[Handler], Handler]:
        """Before an event is sent to a subscriber. Takes `LiveQueryEventRequest`."""
        return self._object_hook(TriggerKind.AFTER_EVENT, class_name, validator)

    def on_live_query_event(self) -> Callable[[Handler], Handler]:
        """After a LiveQuery connection is opened, becomes a client's, subscribes, unsubscribes or ends. Takes
        `ConnectionEventRequest`."""
        return self._object_hook(TriggerKind.ON_LIVE_QUERY_EVENT, CONNECT, None)

    # --- Functions and jobs ---

    def function(self, name: str = "", validator: Check = None) -> Callable[[Handler], Handler]:
        """A function that clients call by name. Takes `FunctionRequest`, returns what JSON can say."""

        def register(handler: Handler) -> Handler:
            known = name or handler.__name__
            check_callable_name(known)
            hook = Hook(handler, validator, self.time_limit, silent_failure="Script failed.")
            self.toolbox.triggers.functions[known] = function_handler(self.toolbox, hook)
            self._limit(f"/functions/{known}", validator)
            return handler

        return register

    def job(
        self, name: str = "", *, every: timedelta | None = None, cron: str | None = None
    ) -> Callable[[Handler], Handler]:
        """A job that the master key starts, or the clock: `every` so often or by a `cron` expression (UTC).
        Of several server processes exactly one runs each occurrence. Takes `JobRequest`."""

        def register(handler: Handler) -> Handler:
            known = name or handler.__name__
            check_callable_name(known)
            self.toolbox.triggers.jobs[known] = job_handler(self.toolbox, Hook(handler))
            if every is not None or cron is not None:
                self.schedules.append(Schedule(known, every, cron))
            return handler

        return register

    def _object_hook(
        self, kind: TriggerKind, class_name: str, validator: Check
    ) -> Callable[[Handler], Handler]:
        check_class_trigger(kind, class_name)

        def register(handler: Handler) -> Handler:
            code = failure_code(kind, class_name)
            hook = Hook(handler, validator, self.time_limit, failure_code=code)
            self.toolbox.triggers.set(kind, class_name, trigger_handler(self.toolbox, hook))
            self._limit(f"{kind.value}:{class_name}", validator)
            return handler

        return register

    def _limit(self, route: str, validator: Check) -> None:
        if isinstance(validator, Validator) and validator.rate_limit is not None:
            self.rate_limits.append((route, validator.rate_limit))


def check_callable_name(name: str) -> None:
    """Refuse the name of a function or job that no client could call."""
    if not name or any(quote in name for quote in "'\"`"):
        raise ValueError(f"{name!r} is no name for a function or job")


def check_class_trigger(kind: TriggerKind, class_name: str) -> None:
    """Refuse a trigger on a class that never runs it."""
    if class_name == "_PushStatus" and kind is TriggerKind.BEFORE_SAVE:
        raise ValueError("Only afterSave is allowed on _PushStatus")
    if kind in USER_TRIGGERS and class_name != "_User":
        raise ValueError(
            "Only the _User class is allowed for the beforeLogin, afterLogin, "
            "and beforePasswordResetRequest triggers"
        )
    if kind is TriggerKind.AFTER_LOGOUT and class_name != "_Session":
        raise ValueError("Only the _Session class is allowed for the afterLogout trigger.")
    if class_name == "_Session" and kind is not TriggerKind.AFTER_LOGOUT:
        raise ValueError("Only the afterLogout trigger is allowed for the _Session class.")
