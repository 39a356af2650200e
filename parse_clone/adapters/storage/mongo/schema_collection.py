"""`_SCHEMA` and the indexes of all classes: read, changed and kept equal to each other.

Other processes, parse-server's among them, change the same rows at the same time. So a change is an update of
what it names, never a row written back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, assert_never

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from parse_clone.adapters.storage.mongo.codec import Row, RowCodec
from parse_clone.adapters.storage.mongo.driver_errors import Code
from parse_clone.adapters.storage.mongo.schema_codec import (
    added_field,
    changed_options,
    decode_index,
    decode_schema,
    encode_schema,
    index_model,
    is_listed,
    mirrored_keys,
)
from parse_clone.core.names import JoinTable
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    DeleteFields,
    DropClass,
    DropIndexes,
    Field,
    Index,
    SchemaChange,
    SetFieldOptions,
    SetPermissions,
)
from parse_clone.core.system_classes import VOLATILE_CLASSES, system_schema
from parse_clone.errors import ErrorCode, ParseError


class SchemaCollection:
    """The schemas of a database. `collection` finds a collection by the name of its class."""

    def __init__(self, collection: Callable[[str], AsyncCollection[Row]]) -> None:
        self.collection = collection

    async def load(self) -> list[ClassSchema]:
        """Read all classes. Rows of classes whose schema is fixed mean nothing."""
        rows = await self._rows.find({}).to_list()
        return [decode_schema(row) for row in rows if row["_id"] not in VOLATILE_CLASSES]

    async def change(self, change: SchemaChange, *, in_transaction: bool) -> None:
        """Make a change. In a transaction no index is made on the way, which would wait for the transaction's
        end, which waits for it; and no collection, which would be newer than what the transaction sees."""
        match change:
            case CreateClass(schema):
                if not in_transaction:
                    await self._create_collection(schema.name)
                await self._create_class(schema)
                if not in_transaction:
                    await self._index_fields(schema.name, schema.fields)
            case AddFields(class_name, fields):
                await self._add_fields(class_name, fields)
                if not in_transaction:
                    await self._index_fields(class_name, fields)
            case SetFieldOptions(class_name, fields):
                await self._update(class_name, changed_options(fields))
            case DeleteFields(class_name, fields):
                await self._delete_fields(class_name, fields)
            case SetPermissions(class_name, None):
                await self._update(class_name, {"$unset": {"_metadata.class_permissions": ""}})
            case SetPermissions(class_name, permissions):
                await self._update(class_name, {"$set": {"_metadata.class_permissions": permissions}})
            case AddIndexes(indexes):
                await self._add_indexes(indexes)
            case DropIndexes(class_name, names):
                await self._drop_indexes(class_name, names)
            case DropClass(schema):
                await self._drop_class(schema)
            case _:
                assert_never(change)

    async def list_indexes(self, class_name: str) -> list[Index]:
        """Describe the real indexes of a class."""
        return [decode_index(class_name, description) for description in await self._indexes(class_name)]

    async def forget_class(self, schema: ClassSchema) -> None:
        """Remove a class, unless somebody has put a row into it."""
        if await self.collection(schema.name).find_one({}, {"_id": 1}) is None:
            await self._drop_class(schema)

    async def forget_fields(self, class_name: str, names: Sequence[str]) -> None:
        """Remove fields from a class's schema; rows stay as they are."""
        definitions = [place for name in names for place in (name, f"_metadata.fields_options.{name}")]
        await self._update(class_name, {"$unset": dict.fromkeys(definitions, "")} if names else {})

    async def create_index(self, class_name: str, member: str, kind: str) -> None:
        """Make an index that a query turned out to need."""
        await self.collection(class_name).create_index([(member, kind)], name=f"{member}_{kind}")
        await self._mirror_indexes(class_name)

    # --- Classes and fields -------------------------------------------------------------------------------

    @property
    def _rows(self) -> AsyncCollection[Row]:
        return self.collection("_SCHEMA")

    async def _update(self, class_name: str, update: Row) -> None:
        if update:
            await self._rows.update_one({"_id": class_name}, update)

    async def _create_collection(self, class_name: str) -> None:
        """Whoever follows the database's changes can ask for former states before the first row comes."""
        if class_name in VOLATILE_CLASSES:
            return
        rows = self.collection(class_name)
        with suppress(OperationFailure):  # it is there already, or this user of the database may only insert
            await rows.database.create_collection(rows.name, check_exists=False)

    async def _create_class(self, schema: ClassSchema) -> None:
        if schema.name in VOLATILE_CLASSES:
            return
        try:
            await self._rows.insert_one(encode_schema(schema))
        except DuplicateKeyError as error:
            message = f"Class {schema.name} already exists."
            raise ParseError(ErrorCode.INVALID_CLASS_NAME, message) from error

    async def _add_fields(self, class_name: str, fields: Mapping[str, Field]) -> None:
        additions = [
            UpdateOne({"_id": class_name, name: {"$exists": False}}, added_field(name, field), upsert=True)
            for name, field in fields.items()
            if is_listed(class_name, name)
        ]
        if not additions or class_name in VOLATILE_CLASSES:
            return
        try:
            await self._rows.bulk_write(additions, ordered=False)
        except BulkWriteError as error:
            # The upsert of a field that exists meanwhile meets the class's row.
            if any(failure["code"] != Code.DUPLICATE_KEY for failure in error.details["writeErrors"]):
                raise

    async def _delete_fields(self, class_name: str, fields: Mapping[str, Field]) -> None:
        codec = RowCodec(ClassSchema(class_name, fields))
        members = [member for name in fields for member in codec.members(name)]
        if members:
            present = {"$or": [{member: {"$exists": True}} for member in members]}
            await self.collection(class_name).update_many(present, {"$unset": dict.fromkeys(members, "")})
            definitions = [place for name in fields for place in (name, f"_metadata.fields_options.{name}")]
            await self._update(class_name, {"$unset": dict.fromkeys(definitions, "")})
        await self._drop_links(codec.schema)

    async def _drop_class(self, schema: ClassSchema) -> None:
        await self.collection(schema.name).drop()
        await self._rows.delete_one({"_id": schema.name})
        await self._drop_links(schema)

    async def _drop_links(self, schema: ClassSchema) -> None:
        for field in schema.relations:
            await self.collection(JoinTable(class_name=schema.name, field=field).name).drop()

    # --- Indexes ------------------------------------------------------------------------------------------

    async def _index_fields(self, class_name: str, fields: Mapping[str, Field]) -> None:
        """Index polygons, as parse-server does, and links, which would be scanned otherwise."""
        for name, field in fields.items():
            if field.type.name == "Polygon":
                await self.collection(class_name).create_index([(name, "2dsphere")])
            elif field.type.name == "Relation":
                links = self.collection(JoinTable(class_name=class_name, field=name).name)
                await links.create_index([("owningId", 1), ("relatedId", 1)])
                await links.create_index([("relatedId", 1), ("owningId", 1)])

    async def _add_indexes(self, indexes: Sequence[Index]) -> None:
        for class_name, group in groupby(indexes, key=lambda index: index.class_name):
            codec = RowCodec(await self._load_class(class_name))
            known = {description["name"] for description in await self._indexes(class_name)}
            models = [index_model(codec, index) for index in group if index.name not in known]
            if models:
                await self.collection(class_name).create_indexes(models)
            await self._mirror_indexes(class_name)

    async def _drop_indexes(self, class_name: str, names: Sequence[str]) -> None:
        for name in names:
            try:
                await self.collection(class_name).drop_index(name)
            except OperationFailure as error:
                if error.code not in (Code.INDEX_NOT_FOUND, Code.NAMESPACE_NOT_FOUND):
                    raise
        await self._mirror_indexes(class_name)

    async def _load_class(self, class_name: str) -> ClassSchema:
        if class_name in VOLATILE_CLASSES:
            return system_schema(class_name)
        row = await self._rows.find_one({"_id": class_name})
        return ClassSchema(class_name, {}) if row is None else decode_schema(row)

    async def _mirror_indexes(self, class_name: str) -> None:
        """Show the real indexes in the class's row."""
        indexes = {index["name"]: mirrored_keys(index) for index in await self._indexes(class_name)}
        await self._update(class_name, {"$set": {"_metadata.indexes": indexes}})

    async def _indexes(self, class_name: str) -> list[Any]:
        return await (await self.collection(class_name).list_indexes()).to_list()
