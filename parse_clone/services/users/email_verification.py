"""E-mail verification: which users must verify their address, and what a new address writes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.operations import FieldOperation, Set
from parse_clone.core.values import date_value
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.authentication import without_secrets
from parse_clone.settings import Switch


async def is_on(switch: Switch, question: Mapping[str, object]) -> bool:
    """Ask a setting that may be a function of the user."""
    return switch if isinstance(switch, bool) else await switch(question)


def question_about(
    context: RequestContext, user: JsonObject, original: JsonObject | None = None
) -> dict[str, object]:
    """What such a function is told."""
    return {
        "original": None if original is None else without_secrets(original),
        "object": without_secrets(user),
        "master": context.auth.is_master,
        "ip": context.ip,
        "installationId": context.installation_id,
    }


async def must_verify(toolbox: Toolbox, question: Mapping[str, object]) -> bool:
    """Must this user verify his address before he may log in?"""
    settings = toolbox.settings
    return await is_on(settings.verify_user_emails, question) and await is_on(
        settings.prevent_login_with_unverified_email, question
    )


async def check_verified(toolbox: Toolbox, context: RequestContext, user: JsonObject) -> None:
    """Refuse the login of a user who must verify his address first (205)."""
    if user.get("emailVerified") is not True and await must_verify(toolbox, question_about(context, user)):
        raise unverified()


def unverified() -> ParseError:
    """Build the refusal of a user whose address is not verified."""
    return ParseError(ErrorCode.EMAIL_NOT_FOUND, "User email is not verified.")


async def verification_operations(
    toolbox: Toolbox, question: Mapping[str, object]
) -> dict[str, FieldOperation]:
    """What a new address writes: it is unverified, and a token waits for whoever reads its mail."""
    if not await is_on(toolbox.settings.verify_user_emails, question):
        return {}
    operations: dict[str, FieldOperation] = {
        "emailVerified": Set(False),
        "_email_verify_token": Set(toolbox.ids.token()),
    }
    duration = toolbox.settings.email_verify_token_validity_duration
    if duration:
        expires = toolbox.clock.now() + timedelta(seconds=duration)
        operations["_email_verify_token_expires_at"] = Set(date_value(expires))
    return operations
