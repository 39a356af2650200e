"""Where settings come from, and what is said about a value of the wrong type."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from parse_clone.adapters.storage.mongo.storage import MongoStorage
from parse_clone.app import driver_options
from parse_clone.configuration import load_settings
from parse_clone.errors import SettingsError
from parse_clone.settings import DriverOptions, RateLimit, wire_name
from parse_clone.settings_json import decode_settings
from parse_clone.settings_page import settings_page

ROOT = Path(__file__).parents[2]
KEYS = {"appId": "clinic", "masterKey": "master"}


def test_command_line_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**KEYS, "port": 1, "host": "file", "appName": "file"}))
    env = {"PORT": "2", "PARSE_SERVER_HOST": "environment"}
    settings = load_settings({"port": 3, "host": None}, env, file)
    assert (settings.port, settings.host, settings.app_name, settings.mount_path) == (
        3,
        "environment",
        "file",
        "/parse",
    )


def test_members_of_a_group_come_from_several_sources(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**KEYS, "passwordPolicy": {"maxPasswordHistory": 3, "maxPasswordAge": 9}}))
    env = {"PARSE_SERVER_PASSWORD_POLICY_MAX_PASSWORD_AGE": "30"}
    policy = load_settings({}, env, file).password_policy
    assert policy is not None
    assert (policy.max_password_history, policy.max_password_age) == (3, 30)


@pytest.mark.parametrize(
    ("variable", "value", "option", "decoded"),
    [
        ("PARSE_SERVER_APPLICATION_ID", "7", "app_id", "7"),
        ("PARSE_SERVER_MASTER_KEY_IPS", "10.0.0.1, ::1", "master_key_ips", ("10.0.0.1", "::1")),
        ("PARSE_SERVER_ENABLE_ANON_USERS", "false", "enable_anonymous_users", False),
        ("PARSE_SERVER_MAX_UPLOAD_SIZE", "1.5mb", "max_upload_size", 1_572_864),
        (
            "PARSE_SERVER_PROTECTED_FIELDS",
            '{"_User":{"*":["a"]}}',
            "protected_fields",
            {"_User": {"*": ("a",)}},
        ),
        (
            "PARSE_SERVER_RATE_LIMIT",
            '{"requestPath":"/login","requestTimeWindow":1000,"requestCount":5}',
            "rate_limit",
            (RateLimit(request_path="/login", request_time_window=1000, request_count=5),),
        ),
    ],
)
def test_variables_are_read_as_their_option_wants(
    variable: str, value: str, option: str, decoded: Any
) -> None:
    env = {"PARSE_SERVER_APPLICATION_ID": "clinic", "PARSE_SERVER_MASTER_KEY": "master", variable: value}
    assert getattr(load_settings({}, env), option) == decoded


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"appId": None}, "You must provide an appId!"),
        ({"masterKey": None}, "You must provide a masterKey!"),
        ({"serverURL": None}, "You must provide a serverURL!"),
        ({"extendSessionOnUse": "yolo"}, "extendSessionOnUse must be a boolean value"),
        ({"revokeSessionOnPasswordReset": "yolo"}, "revokeSessionOnPasswordReset must be a boolean value"),
        ({"sessionLength": "abc"}, "Session length must be a valid number."),
        ({"defaultLimit": "100"}, "Default limit must be a number."),
        ({"enforcePrivateUsers": []}, "Parse Server option enforcePrivateUsers must be a boolean."),
        ({"security": []}, "Parse Server option security must be an object."),
        ({"security": {"enableCheck": 1}}, "Parse Server option security.enableCheck must be a boolean."),
        ({"pages": {"pagesPath": {}}}, "Parse Server option pages.pagesPath must be a string."),
        (
            {"pages": {"placeholders": "x"}},
            "Parse Server option pages.placeholders must be an object or a function.",
        ),
        ({"pages": {"customRoutes": True}}, "Parse Server option pages.customRoutes must be an array."),
        (
            {"schema": {"beforeMigration": "x"}},
            "Parse Server option schema.beforeMigration must be a function.",
        ),
        ({"schema": {"definitions": {}}}, "Parse Server option schema.definitions must be an array."),
        ({"fileUpload": "string"}, "fileUpload must be an object value."),
        ({"fileUpload": None}, "fileUpload must be an object value."),
        (
            {"fileUpload": {"enableForPublic": None}},
            "fileUpload.enableForPublic must be a boolean value.",
        ),
        (
            {"accountLockout": {"duration": 1, "threshold": 3, "unlockOnPasswordReset": None}},
            "Parse Server option accountLockout.unlockOnPasswordReset must be a boolean.",
        ),
        ({"fileUpload": {"fileExtensions": "x"}}, "fileUpload.fileExtensions must be an array."),
        ({"idempotencyOptions": {"ttl": "a"}}, "idempotency TTL value must be a number"),
        ({"idempotencyOptions": {"paths": "a"}}, "idempotency paths must be of an array of strings"),
        ({"rateLimit": "limit"}, "rateLimit must be an array or object"),
        ({"rateLimit": {"requestPath": 1}}, "rateLimit.requestPath must be a string"),
        (
            {"rateLimit": {"requestPath": "/x", "requestTimeWindow": 1}},
            "rateLimit.requestCount must be defined",
        ),
        (
            {"accountLockout": {"duration": "x", "threshold": 3}},
            "Account lockout duration should be greater than 0 and less than 100000",
        ),
        (
            {"passwordPolicy": {"validatorPattern": 5}},
            "passwordPolicy.validatorPattern must be a regex string or RegExp object.",
        ),
        (
            {"installation": {"duplicateDeviceTokenAction": "x"}},
            "installation.duplicateDeviceTokenAction must be one of: 'delete', 'update'.",
        ),
        ({"masterkey": "x"}, "There is no option 'masterkey'; did you mean 'masterKey'?"),
        ({"pages": {"path": "x"}}, "There is no option 'pages.path'; did you mean 'pages.pagesPath'?"),
    ],
)
def test_wrong_types_are_refused_by_name(options: dict[str, Any], refusal: str) -> None:
    with pytest.raises(SettingsError, match=f"^{re.escape(refusal)}$"):
        decode_settings({**KEYS, **options})


@pytest.mark.parametrize(
    ("options", "option", "decoded"),
    [
        ({"allowOrigin": "https://clinic.example"}, "allow_origin", ("https://clinic.example",)),
        ({"allowOrigin": ["a", "b"]}, "allow_origin", ("a", "b")),
        ({"sessionLength": "60"}, "session_length", 60),
    ],
)
def test_some_options_take_texts(options: dict[str, Any], option: str, decoded: Any) -> None:
    assert getattr(decode_settings({**KEYS, **options}), option) == decoded


def test_options_without_meaning_here_are_passed_over() -> None:
    assert decode_settings({**KEYS, "directAccess": True, "cluster": 4}).app_id == "clinic"


def test_functions_are_taken_where_options_may_be_functions() -> None:
    async def decide(question: object) -> bool:
        return True

    settings = decode_settings({**KEYS, "sendUserEmailVerification": decide})
    assert settings.send_user_email_verification is decide


def test_a_file_may_list_one_application(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"port": 99, "apps": [KEYS]}))
    assert load_settings({}, {}, file).port == 99
    file.write_text(json.dumps({"apps": [KEYS, KEYS]}))
    with pytest.raises(SettingsError, match="must hold the options of one application"):
        load_settings({}, {}, file)


@pytest.mark.parametrize(
    ("content", "refusal"), [("{", "is not JSON"), ("[]", "the options of one application")]
)
def test_an_unusable_file_is_refused(tmp_path: Path, content: str, refusal: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(SettingsError, match=refusal):
        load_settings({}, {}, file)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({}, {}, tmp_path / "absent.json")


def test_the_embedded_database_keeps_keys_of_its_own(tmp_path: Path) -> None:
    uri = {"databaseURI": f"sqlite:///{tmp_path}/data/parse.sqlite3"}
    first, second = load_settings(uri), load_settings(uri)
    assert first.master_key == second.master_key
    assert len(first.master_key) > 30
    assert (tmp_path / "data" / "keys.json").stat().st_mode & 0o777 == 0o600
    assert load_settings({**uri, "masterKey": "mine", "appId": "clinic"}).master_key == "mine"


def test_keys_are_not_invented_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="appId"):
        load_settings({"databaseURI": "mongodb://localhost/parse"})
    with pytest.raises(SettingsError, match="appId"):
        load_settings({"databaseURI": f"sqlite:///{tmp_path}/parse.sqlite3", "production": True})
    assert not list(tmp_path.iterdir())


async def test_mongodbs_driver_takes_every_option_that_is_handed_on() -> None:
    driver: dict[str, Any] = {
        "appName": "clinic",
        "authMechanism": "SCRAM-SHA-256",
        "authMechanismProperties": {"SERVICE_NAME": "x"},
        "authSource": "admin",
        "compressors": ["zlib"],
        "connectTimeoutMS": 1000,
        "directConnection": True,
        "heartbeatFrequencyMS": 1000,
        "loadBalanced": False,
        "localThresholdMS": 15,
        "maxConnecting": 2,
        "maxIdleTimeMS": 1000,
        "maxPoolSize": 7,
        "maxStalenessSeconds": 90,
        "minPoolSize": 0,
        "readConcernLevel": "majority",
        "readPreference": "nearest",
        "readPreferenceTags": [{"region": "east"}],
        "replicaSet": "rs0",
        "retryReads": False,
        "retryWrites": False,
        "serverMonitoringMode": "poll",
        "serverSelectionTimeoutMS": 1000,
        "socketTimeoutMS": 1000,
        "srvServiceName": "mongodb",
        "tls": True,
        "tlsAllowInvalidCertificates": True,
        "tlsAllowInvalidHostnames": True,
        "waitQueueTimeoutMS": 1000,
        "zlibCompressionLevel": 3,
    }
    settings = decode_settings({**KEYS, "databaseOptions": driver})
    given = driver_options(settings)
    assert given.keys() == driver.keys()
    elsewhere = {"srvMaxHosts", "ssl", "tlsCAFile", "tlsCertificateKeyFile", "tlsCertificateKeyFilePassword"}
    known = {option.metadata["name"] or wire_name(option.name) for option in fields(DriverOptions)}
    assert known - given.keys() == {*elsewhere, "tlsInsecure"}, "what excludes another, or names files"
    await MongoStorage("mongodb://u:p@localhost/clinic", **given).close()


def test_a_source_that_is_wrong_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**KEYS, "port": "x"}))
    with pytest.raises(SettingsError, match=r"config\.json: Parse Server option port must be a number"):
        load_settings({}, {}, file)
    with pytest.raises(SettingsError, match=r"^PORT: Parse Server option port must be a number"):
        load_settings({}, {"PORT": "x"})
    with pytest.raises(SettingsError, match=r"^PARSE_SERVER_PASSWORD_POLICY: .* must be an object"):
        load_settings({}, {"PARSE_SERVER_PASSWORD_POLICY": "{"})


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == settings_page(), "run `make docs`"
