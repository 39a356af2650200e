"""What the server says about itself, and what it only listens to."""

from __future__ import annotations

from parse_clone import __version__
from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, ok, security_check_disabled
from parse_clone.api.rest.router import Route
from parse_clone.core.json_types import JsonObject
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.security_report import make_security_report
from parse_clone.settings import Settings

PARSE_SERVER_VERSION = "9.10.0"
"""The version of the protocol that is spoken here: clients decide by it what they may use."""


async def server_info(request: Request) -> Answer:
    """Answer which features there are."""
    features = describe_features(request.toolbox.settings)
    version = {"parseServerVersion": PARSE_SERVER_VERSION, "parseCloneVersion": __version__}
    return ok({"features": features, **version})


def describe_features(settings: Settings) -> JsonObject:
    """The features as the dashboard asks for them."""
    has_push = settings.push is not None
    return {
        "globalConfig": {"create": True, "read": True, "update": True, "delete": True},
        "hooks": {"create": True, "read": True, "update": True, "delete": True},
        "cloudCode": {"jobs": True},
        "logs": {"level": True, "size": True, "order": True, "until": True, "from": True},
        "push": {
            "immediatePush": has_push,
            "scheduledPush": has_push and settings.scheduled_push,
            "storedPushData": has_push,
            "pushAudiences": True,
            "localization": True,
        },
        "schemas": {
            "addField": True,
            "removeField": True,
            "addClass": True,
            "removeClass": True,
            "clearAllDataFromClass": True,
            "exportClass": False,
            "editClassLevelPermissions": True,
            "editPointerPermissions": True,
        },
        "settings": {"securityCheck": settings.security.enable_check},
    }


async def track_event(request: Request, name: str) -> Answer:
    """Hand an analytics event on, where somebody listens."""
    if request.toolbox.analytics is not None:
        await request.toolbox.analytics.track(name, request.body)
    return ok({})


async def script_log(request: Request) -> Answer:
    """Answer the log, if it could be asked."""
    raise ParseError(ErrorCode.PUSH_MISCONFIGURED, "Logger adapter is not available")


async def security(request: Request) -> Answer:
    """Answer what is weak about the settings and the classes."""
    if not request.toolbox.settings.security.enable_check:
        raise security_check_disabled()
    return ok({"report": make_security_report(request.toolbox)})


ROUTES = (
    Route("GET", "/serverInfo", server_info, master=True),
    Route("POST", "/events/:name", track_event),
    Route("GET", "/scriptlog", script_log, master=True),
    Route("GET", "/security", security, master=True),
)
