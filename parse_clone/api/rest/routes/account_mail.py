"""Mails about an account: password reset and e-mail verification."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer
from parse_clone.api.rest.router import Route
from parse_clone.errors import ErrorCode, ParseError

NOT_CONFIGURED = (
    "An appName, publicServerURL, and emailAdapter are required for password reset"
    " and email verification functionality."
)


async def refuse(request: Request) -> Answer:
    """Say that no mail can be sent."""
    raise ParseError(ErrorCode.INTERNAL_SERVER_ERROR, NOT_CONFIGURED)


ROUTES = (
    Route("POST", "/requestPasswordReset", refuse),
    Route("POST", "/verificationEmailRequest", refuse),
)
