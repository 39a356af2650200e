"""What settings refuse, and what follows from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from parse_clone.errors import SettingsError
from parse_clone.settings import (
    AccountLockout,
    FileUpload,
    IdempotencyOptions,
    PasswordPolicy,
    RequestComplexity,
    Settings,
    wire_name,
)

STRONG = "q7F-x2Lm9_Rt4VbKz1"


def settings(**options: Any) -> Settings:
    return Settings(**{"app_id": "clinic", "master_key": "master", **options})


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"app_id": ""}, "You must provide an appId!"),
        ({"master_key": ""}, "You must provide a masterKey!"),
        ({"read_only_master_key": "master"}, "masterKey and readOnlyMasterKey should be different"),
        ({"maintenance_key": "master"}, "masterKey and maintenanceKey should be different"),
        (
            {"master_key_ips": ("127.0.0.1", "nowhere")},
            'The Parse Server option "masterKeyIps" contains an invalid IP address "nowhere".',
        ),
        (
            {"trust_proxy": ("everybody",)},
            'trustProxy wants addresses or networks of proxies, not "everybody"',
        ),
        (
            {"public_server_url": "clinic.example"},
            "publicServerURL should be a valid HTTPS URL starting with https://",
        ),
        ({"mount_path": "parse"}, "mountPath must start with /"),
        (
            {"database_uri": "postgres://x"},
            "databaseURI must start with sqlite:, mongodb:// or mongodb+srv://",
        ),
        ({"session_length": 0}, "Session length must be a value greater than 0."),
        ({"default_limit": 0}, "Default limit must be a value greater than 0."),
        ({"max_limit": -1}, "Max limit must be a value greater than 0."),
        ({"allow_headers": ("X-One", " ")}, "Allow headers must not contain empty strings"),
        (
            {"route_allow_list": ("(",)},
            'Parse Server option routeAllowList contains an invalid regex pattern: "(".',
        ),
        (
            {"verify_user_emails": True},
            "An app name is required for e-mail verification and password resets.",
        ),
        (
            {"verify_user_emails": True, "app_name": "Clinic"},
            "A public server url is required for e-mail verification and password resets.",
        ),
    ],
)
def test_invalid_settings_are_refused_by_name(options: dict[str, Any], refusal: str) -> None:
    with pytest.raises(SettingsError, match=f"^{re.escape(refusal)}$"):
        settings(**options)


@pytest.mark.parametrize(
    ("group", "members", "refusal"),
    [
        (
            AccountLockout,
            {"duration": 0, "threshold": 5},
            "Account lockout duration should be greater than 0",
        ),
        (
            AccountLockout,
            {"duration": 5, "threshold": 1000},
            "Account lockout threshold should be an integer",
        ),
        (PasswordPolicy, {"max_password_age": -1}, "passwordPolicy.maxPasswordAge must be a positive number"),
        (
            PasswordPolicy,
            {"max_password_history": 21},
            "passwordPolicy.maxPasswordHistory must be an integer",
        ),
        (
            PasswordPolicy,
            {"reset_token_reuse_if_valid": True},
            "You cannot use resetTokenReuseIfValid without",
        ),
        (IdempotencyOptions, {"ttl": 0}, "idempotency TTL value must be greater than 0 seconds"),
        (
            RequestComplexity,
            {"query_depth": 0},
            "requestComplexity.queryDepth must be a positive integer or -1",
        ),
        (
            FileUpload,
            {"allowed_file_url_domains": ("",)},
            "fileUpload.allowedFileUrlDomains must contain only",
        ),
    ],
)
def test_groups_refuse_what_they_cannot_use(group: Any, members: dict[str, Any], refusal: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(refusal)):
        group(**members)


def test_minus_one_takes_a_limit_away() -> None:
    assert RequestComplexity(query_depth=-1).query_depth is None
    assert RequestComplexity().query_depth is not None


@pytest.mark.parametrize("key", ["short", "aaaaaaaaaaaaaaaaaaaaaaaa", "clinic-clinic-clinic"])
def test_production_refuses_weak_keys(key: str) -> None:
    with pytest.raises(SettingsError, match="masterKey is too weak for production"):
        settings(app_id="clinic-clinic-clinic", master_key=key, production=True)
    settings(app_id="clinic-clinic-clinic", master_key=key)


def test_production_takes_strong_keys() -> None:
    assert settings(master_key=STRONG, production=True).production


@pytest.mark.parametrize("extension", ["html", "HTM", "shtml", "svg", "svg+xml", "xhtml+xml", "xsl", "rdf"])
def test_files_that_browsers_execute_are_not_allowed_by_default(extension: str) -> None:
    assert not any(re.search(pattern, extension) for pattern in FileUpload().file_extensions)


@pytest.mark.parametrize("extension", ["txt", "pdf", "png", "htmlx", "json", "xmlx", ""])
def test_other_files_are_allowed_by_default(extension: str) -> None:
    assert any(re.search(pattern, extension) for pattern in FileUpload().file_extensions)


def test_client_keys_are_those_that_are_set() -> None:
    assert settings(rest_api_key="rest", client_key="").client_keys == {"restAPIKey": "rest"}


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///./data/parse.sqlite3", Path("data/parse.sqlite3")),
        ("sqlite:////var/lib/parse.sqlite3", Path("/var/lib/parse.sqlite3")),
        ("sqlite://", None),
        ("mongodb://localhost/parse", None),
    ],
)
def test_database_path_is_the_file_of_the_uri(uri: str, path: Path | None) -> None:
    assert settings(database_uri=uri).database_path == path


@pytest.mark.parametrize(
    ("field_name", "name"),
    [
        ("app_id", "appId"),
        ("rest_api_key", "restAPIKey"),
        ("database_uri", "databaseURI"),
        ("cache_ttl", "cacheTTL"),
        ("mount_graphql", "mountGraphQL"),
        ("graphql_path", "graphQLPath"),
        ("max_time_ms", "maxTimeMS"),
    ],
)
def test_options_are_spelled_as_parse_server_spells_them(field_name: str, name: str) -> None:
    assert wire_name(field_name) == name
