"""Before the first request: the classes and indexes that the server itself relies on."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from parse_clone.core.schema import AddIndexes, Index
from parse_clone.core.system_classes import (
    DEFAULT_INDEXES,
    INITIAL_CLASSES,
    VOLATILE_CLASSES,
    auth_data_index,
    new_schema,
)
from parse_clone.errors import DuplicateValue
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings import DatabaseOptions

log = structlog.get_logger("parse_clone")


async def prepare_database(toolbox: Toolbox) -> None:
    """Read the schemas; make what is missing of the initial classes and their indexes."""
    await toolbox.catalog.load()
    for name in INITIAL_CLASSES:
        if name not in VOLATILE_CLASSES and name not in toolbox.catalog.classes:
            await toolbox.catalog.create_class(toolbox.storage, new_schema(name))
    await make_indexes(toolbox, wanted_indexes(toolbox))


async def make_indexes(toolbox: Toolbox, indexes: tuple[Index, ...]) -> None:
    """Make indexes; the log names those that are unique where the rows are not: the server can do without,
    as parse-server does."""
    try:
        await toolbox.storage.change_schema(AddIndexes(indexes))
    except DuplicateValue:
        if len(indexes) > 1:
            for index in indexes:
                await make_indexes(toolbox, (index,))
        else:
            [index] = indexes
            log.warning("rows that are not unique refuse an index", on=index.class_name, index=index.name)


def wanted_indexes(toolbox: Toolbox) -> tuple[Index, ...]:
    """The indexes of the built-in classes, without those that the settings decline."""
    settings = toolbox.settings
    declined = {name for name, wanted in _switches(settings.database_options).items() if not wanted}
    if settings.enable_collation_case_comparison:
        declined |= {"case_insensitive_username", "case_insensitive_email"}
    wanted = tuple(index for index in DEFAULT_INDEXES if index.name not in declined)
    if settings.database_options.create_index_auth_data_uniqueness:
        wanted += tuple(auth_data_index(provider) for provider in sorted(toolbox.auth_providers))
    return wanted


async def missing_indexes(toolbox: Toolbox) -> list[Index]:
    """Which of them the database does not have, or has for other fields."""
    missing = []
    for index in wanted_indexes(toolbox):
        found = await toolbox.storage.list_indexes(index.class_name)
        if not any(real.name == index.name and real.keys == index.keys for real in found):
            missing.append(index)
    return missing


def _switches(options: DatabaseOptions) -> Mapping[str, bool]:
    return {
        "username_1": options.create_index_user_username,
        "email_1": options.create_index_user_email,
        "case_insensitive_username": options.create_index_user_username_case_insensitive,
        "case_insensitive_email": options.create_index_user_email_case_insensitive,
        "_email_verify_token": options.create_index_user_email_verify_token,
        "_perishable_token": options.create_index_user_password_reset_token,
        "name_1": options.create_index_role_name,
    }
