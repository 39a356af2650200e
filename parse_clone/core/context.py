"""Who asks, with which keys, from which installation. Values only, made by the service that authenticates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from parse_clone.core.json_types import JsonObject
from parse_clone.immutable import immutable


class Privilege(Enum):
    """What a key grants."""

    CLIENT = "client"
    MASTER = "master"
    READ_ONLY_MASTER = "read-only master"
    MAINTENANCE = "maintenance"


@immutable()
class Credentials:
    """What a request presents, undecided. All texts are as the client sent them."""

    application_id: str | None = None
    master_key: str | None = None
    maintenance_key: str | None = None
    client_keys: Mapping[str, str] = field(default_factory=dict)  # restAPIKey, clientKey, javascriptKey, ...
    session_token: str | None = None
    ip: str = ""


@immutable()
class Auth:
    """An authenticated caller. `user` is its `_User` object as REST JSON without secrets; `roles` are the
    names of all its roles, inherited ones included."""

    privilege: Privilege = Privilege.CLIENT
    user: JsonObject | None = None
    session_token: str | None = None
    roles: tuple[str, ...] = ()

    @property
    def is_master(self) -> bool:
        return self.privilege in (Privilege.MASTER, Privilege.READ_ONLY_MASTER)

    @property
    def is_read_only(self) -> bool:
        return self.privilege is Privilege.READ_ONLY_MASTER

    @property
    def is_maintenance(self) -> bool:
        return self.privilege is Privilege.MAINTENANCE

    @property
    def is_privileged(self) -> bool:
        """Exempt from ACL, class permissions and protected fields."""
        return self.privilege is not Privilege.CLIENT

    @property
    def user_id(self) -> str | None:
        return None if self.user is None else str(self.user["objectId"])

    @property
    def principals(self) -> frozenset[str]:
        """The names under which ACLs and class permissions may grant this caller something."""
        names = {"*", *(f"role:{role}" for role in self.roles)}
        if self.user is not None:
            names.add(str(self.user["objectId"]))
        return frozenset(names)


NOBODY = Auth()
MASTER = Auth(privilege=Privilege.MASTER)


@immutable()
class RequestContext:
    """One request's caller and surroundings, handed down through every floor.

    `installation_id` is `cloud` for calls made inside of the server. `cloud_context` is the one mutable
    thing: triggers of a request share it by contract. `base_url` is the prefix of `Location` and file URLs,
    `https://host/parse`. `on_behalf_of` is set where the server itself acts with master rights, as hooks do:
    the caller whose request made it act.
    """

    auth: Auth = NOBODY
    installation_id: str | None = None
    ip: str = "127.0.0.1"
    headers: Mapping[str, str] = field(default_factory=dict)
    cloud_context: JsonObject = field(default_factory=dict)
    request_id: str = ""
    base_url: str = ""
    on_behalf_of: Auth | None = None
