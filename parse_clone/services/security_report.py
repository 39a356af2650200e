"""What is weak about a server: its settings and the permissions of its classes, reported to its operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from parse_clone.core.json_types import JsonObject
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings import Settings


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that should be so, and what to do if it is not."""

    title: str
    warning: str
    solution: str
    passes: Callable[[Toolbox], bool]


def make_security_report(toolbox: Toolbox) -> JsonObject:
    """Run every check."""
    groups = [_run_group(name, checks, toolbox) for name, checks in GROUPS]
    return {"version": "1.0.0", "state": _worst(group["state"] for group in groups), "groups": [*groups]}


def _run_group(name: str, checks: Iterable[Check], toolbox: Toolbox) -> JsonObject:
    results = [_run(check, toolbox) for check in checks]
    return {"name": name, "state": _worst(result["state"] for result in results), "checks": [*results]}


def _run(check: Check, toolbox: Toolbox) -> JsonObject:
    if check.passes(toolbox):
        return {"title": check.title, "state": "success"}
    texts: JsonObject = {"warning": check.warning, "solution": check.solution}
    return {"title": check.title, "state": "fail", **texts}


def _worst(states: Iterable[object]) -> str:
    return "fail" if "fail" in states else "success"


def _has_strong_master_key(settings: Settings) -> bool:
    key = settings.master_key
    kinds = (str.isupper, str.islower, str.isdigit)
    varied = sum(any(kind(character) for character in key) for kind in kinds) + (not key.isalnum())
    return len(key) >= 14 and varied >= 2


def _has_limits(settings: Settings) -> bool:
    limits = settings.request_complexity
    return None not in (limits.include_depth, limits.include_count, limits.query_depth, limits.subquery_depth)


def _is_open(settings: Settings) -> bool:
    return bool({"0.0.0.0/0", "0.0.0.0", "::/0", "::", "::0"} & set(settings.master_key_ips))  # noqa: S104


def _has_class_for_everybody(toolbox: Toolbox) -> bool:
    return any(
        schema.permissions is None and not name.startswith("_")
        for name, schema in toolbox.catalog.classes.items()
    )


def _tells_invalid_addresses(settings: Settings) -> bool:
    policy = settings.password_policy
    return policy is not None and not policy.reset_password_success_on_invalid_email


GROUPS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    (
        "Parse Server Configuration",
        (
            Check(
                "Secure master key",
                "The master key is short or simple, so it can be guessed.",
                "Choose at least 14 random characters: letters in both cases, digits and signs.",
                lambda toolbox: _has_strong_master_key(toolbox.settings),
            ),
            Check(
                "Master key IP range restricted",
                "The master key works from every address.",
                "List the addresses that need it in 'masterKeyIps'.",
                lambda toolbox: not _is_open(toolbox.settings),
            ),
            Check(
                "Security log disabled",
                "Reports like this one may be written to the log, and be read there.",
                "Set 'security.enableCheckLog' to false.",
                lambda toolbox: not toolbox.settings.security.enable_check_log,
            ),
            Check(
                "Client class creation disabled",
                "Every client may create classes.",
                "Set 'allowClientClassCreation' to false.",
                lambda toolbox: not toolbox.settings.allow_client_class_creation,
            ),
            Check(
                "Users are created without public access",
                "New users can be read by everybody.",
                "Set 'enforcePrivateUsers' to true.",
                lambda toolbox: toolbox.settings.enforce_private_users,
            ),
            Check(
                "Insecure auth adapters disabled",
                "Some login providers are believed without proof.",
                "Set 'enableInsecureAuthAdapters' to false.",
                lambda toolbox: not toolbox.settings.enable_insecure_auth_adapters,
            ),
            Check(
                "Request complexity limits enabled",
                "One request may ask for unlimited work.",
                "Leave the limits of 'requestComplexity' at their defaults, or set your own.",
                lambda toolbox: _has_limits(toolbox.settings),
            ),
            Check(
                "Password reset does not tell who has an account",
                "The answer to a password reset tells whether an address is known.",
                "Set 'passwordPolicy.resetPasswordSuccessOnInvalidEmail' to true.",
                lambda toolbox: not _tells_invalid_addresses(toolbox.settings),
            ),
            Check(
                "E-mail verification does not tell who has an account",
                "The answer to a verification request tells whether an address is known.",
                "Set 'emailVerifySuccessOnInvalidEmail' to true.",
                lambda toolbox: toolbox.settings.email_verify_success_on_invalid_email,
            ),
            Check(
                "GraphQL playground disabled",
                "The playground invites everybody to try queries.",
                "Set 'mountPlayground' to false.",
                lambda toolbox: not toolbox.settings.mount_playground,
            ),
        ),
    ),
    (
        "Database",
        (
            Check(
                "Public database explain disabled",
                "Every client may ask for query plans.",
                "Set 'databaseOptions.allowPublicExplain' to false.",
                lambda toolbox: not toolbox.settings.database_options.allow_public_explain,
            ),
            Check(
                "Class-level permissions set",
                "Some classes have no class-level permissions: everybody may read and write them.",
                "Set permissions for every class.",
                lambda toolbox: not _has_class_for_everybody(toolbox),
            ),
        ),
    ),
)
