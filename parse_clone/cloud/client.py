"""Objects and queries for hook authors: the same steps as a client's request, entered without HTTP.

A client acts with the rights of its context. `Client.as_master()` is the explicit way to more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from parse_clone.cloud.objects import ParseObject
from parse_clone.cloud.values import Pointer, to_fields, to_native, to_wire, to_wire_object
from parse_clone.core.context import MASTER, NOBODY, Auth, RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.services import functions
from parse_clone.services.classes import delete_object, find_objects, save_object
from parse_clone.services.objects.requests import DeleteRequest, FindRequest, SaveRequest
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import UnitOfWork
from parse_clone.services.users.roles import load_role_names

INTERNAL_INSTALLATION = "cloud"


@dataclass(frozen=True, slots=True)
class Client:
    """Reads and writes objects with the rights of one caller."""

    _toolbox: Toolbox
    _context: RequestContext

    @classmethod
    def master(cls, toolbox: Toolbox) -> Client:
        """A client with master rights that belongs to no request: for jobs and commands."""
        context = RequestContext(auth=MASTER, installation_id=INTERNAL_INSTALLATION, on_behalf_of=NOBODY)
        return cls(toolbox, context)

    def as_master(self) -> Client:
        """The same client with master rights."""
        asking = self._context.on_behalf_of or self._context.auth
        context = replace(
            self._context, auth=MASTER, installation_id=INTERNAL_INSTALLATION, on_behalf_of=asking
        )
        return Client(self._toolbox, context)

    @property
    def user(self) -> Pointer | None:
        """Whose rights the client has; None for nobody and for the master key."""
        user_id = self._context.auth.user_id
        return None if user_id is None else Pointer("_User", user_id)

    @property
    def work(self) -> UnitOfWork:
        """Where this client writes to: its request's transaction, if there is one."""
        return UnitOfWork(self._toolbox.storage, self._toolbox.changes, self._toolbox.caches)

    def query(self, class_name: str) -> Query:
        """Begin a query."""
        return Query(self, class_name, {})

    async def get(self, class_name: str, object_id: str, *, include: Iterable[str] = ()) -> ParseObject:
        """One object by id. Raises ParseError 101 if there is none that this caller may read."""
        parameters: JsonObject = {"include": ",".join(include)} if include else {}
        found = await find_objects(
            self._toolbox, self._context, FindRequest(class_name, parameters, object_id=object_id)
        )
        return ParseObject(class_name, found.results[0])

    async def fetch(self, pointer: Pointer) -> ParseObject:
        """The object that a pointer names."""
        return await self.get(pointer.class_name, pointer.object_id)

    async def save(self, obj: ParseObject) -> ParseObject:
        """Store an object's pending changes; returns it with what the server filled in."""
        object_id = None if obj.is_new else obj.id
        body = obj.pending_json()
        if obj.is_new and obj.id is not None:
            body["objectId"] = obj.id
        answer = await save_object(self._toolbox, self._context, SaveRequest(obj.class_name, object_id, body))
        obj.stored(answer.body)
        return obj

    async def create(self, class_name: str, **fields: Any) -> ParseObject:
        """Store a new object."""
        return await self.save(ParseObject.new(class_name, **fields))

    async def update(
        self, pointer: Pointer, *, only_if: Mapping[str, Any] | None = None, **fields: Any
    ) -> None:
        """Set fields of a stored object. `only_if` holds values that it must still have when it is written,
        atomically: ParseError 251 if somebody else was faster."""
        body, expected = to_fields(fields), to_fields(only_if or {})
        request = SaveRequest(pointer.class_name, pointer.object_id, body, expected)
        await save_object(self._toolbox, self._context, request)

    async def delete(self, target: ParseObject | Pointer) -> None:
        """Delete an object."""
        pointer = target.pointer if isinstance(target, ParseObject) else target
        await delete_object(
            self._toolbox, self._context, DeleteRequest(pointer.class_name, pointer.object_id)
        )

    # --- Roles ---

    async def roles_of(self, user_id: str) -> tuple[str, ...]:
        """The names of a user's roles, inherited ones included."""
        return await load_role_names(self._toolbox, user_id)

    async def acting_as(self, user_id: str) -> Client:
        """The same client with the rights of a user."""
        user = await self.as_master().get("_User", user_id)
        auth = Auth(user=user.to_json(), roles=await self.roles_of(user_id))
        return Client(self._toolbox, replace(self._context, auth=auth, on_behalf_of=None))

    async def add_to_role(self, role: str, *user_ids: str) -> None:
        """Put users into a role; it comes into being, closed to everybody else, when there is none."""
        found = await self.query("_Role").where(name=role).first()
        if found is None:
            found = ParseObject.new("_Role", name=role)
            found.acl = {}
        found.relate("users", "_User", user_ids)
        await self.save(found)

    async def remove_from_role(self, role: str, *user_ids: str) -> None:
        """Take users out of a role."""
        found = await self.query("_Role").where(name=role).first()
        if found is not None:
            found.unrelate("users", "_User", user_ids)
            await self.save(found)

    async def users_in_role(self, role: str) -> list[ParseObject]:
        """The users whom a role lists itself."""
        found = await self.query("_Role").where(name=role).first()
        if found is None:
            return []
        related = {"object": found.pointer, "key": "users"}
        return await self.query("_User").where({"$relatedTo": related}).find()

    # --- Functions ---

    async def call(self, function: str, **params: Any) -> Any:
        """Call a cloud function."""
        answer = await functions.call_function(self._toolbox, self._context, function, to_wire_object(params))
        return to_native(answer.value)

    async def _find(self, class_name: str, parameters: JsonObject) -> tuple[list[ParseObject], int | None]:
        answer = await find_objects(self._toolbox, self._context, FindRequest(class_name, parameters))
        return [ParseObject(class_name, row) for row in answer.results], answer.count


@dataclass(frozen=True, slots=True)
class Query:
    """A query being built; each method returns a new one. `where` takes Parse's own query language."""

    _client: Client
    class_name: str
    _parameters: JsonObject

    def where(self, conditions: Mapping[str, Any] | None = None, **equal: Any) -> Query:
        """Add conditions: `where({"value": {"$gt": 5}}, status="final")`."""
        present = self._parameters.get("where")
        known = present if isinstance(present, dict) else {}
        added = to_fields({**(conditions or {}), **equal})
        both: Json = {"$and": [known, added]} if known else added
        return self._with("where", both)

    def order_by(self, *keys: str) -> Query:
        """Sort; a leading `-` means descending."""
        return self._with("order", ",".join(keys))

    def limit(self, count: int) -> Query:
        """Return at most so many objects."""
        return self._with("limit", count)

    def skip(self, count: int) -> Query:
        """Leave out the first objects."""
        return self._with("skip", count)

    def include(self, *paths: str) -> Query:
        """Replace pointers by the objects they name."""
        return self._with("include", ",".join(paths))

    def select(self, *keys: str) -> Query:
        """Return these fields only."""
        return self._with("keys", ",".join(keys))

    async def find(self) -> list[ParseObject]:
        """The objects."""
        return (await self._client._find(self.class_name, self._parameters))[0]

    async def first(self) -> ParseObject | None:
        """The first object, or None."""
        found = await self.limit(1).find()
        return found[0] if found else None

    async def count(self) -> int:
        """How many objects there are."""
        parameters = {**self._parameters, "limit": 0, "count": 1}
        return (await self._client._find(self.class_name, parameters))[1] or 0

    def _with(self, key: str, value: Json) -> Query:
        return replace(self, _parameters={**self._parameters, key: to_wire(value)})
