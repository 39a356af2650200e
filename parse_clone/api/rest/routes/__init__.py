"""The table of contents of the REST API."""

from __future__ import annotations

from parse_clone.api.rest.middleware.rate_limit import RateLimiter
from parse_clone.api.rest.middleware.route_allow_list import RouteAllowList
from parse_clone.api.rest.router import Router
from parse_clone.api.rest.routes import (
    account_mail,
    aggregate,
    batch,
    classes,
    cloud_code,
    config,
    graphql_config,
    push,
    schemas,
    server,
    sessions,
    users,
)
from parse_clone.settings import Settings


def all_routes(settings: Settings, allowed: RouteAllowList, limits: RateLimiter) -> Router:
    """Every route of the REST API. A batch goes through the same table, and the same gates."""
    router = Router(
        classes.ROUTES,
        users.ROUTES,
        account_mail.ROUTES,
        sessions.ROUTES,
        config.ROUTES,
        schemas.ROUTES,
        aggregate.ROUTES,
        cloud_code.ROUTES,
        push.ROUTES,
        graphql_config.ROUTES,
        server.ROUTES,
    )
    router.add(*batch.routes(settings, router, allowed, limits))
    return router
