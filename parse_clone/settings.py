"""Every option of the server: its type, its default, its help, and what would be wrong with it.

Field names are parse-server's option names in snake case; defaults are parse-server's, except that the limits
on the work of one request are on. Where values come from is the business of `configuration.py`.
To add an option: a field here; `make docs` writes its line in `docs/settings.md`.
"""

# ruff: noqa: RUF009 (`option` makes a dataclass field, it is no default shared by instances)

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, TypeAlias

from parse_clone.errors import SettingsError

Switch: TypeAlias = bool | Callable[[Mapping[str, Any]], Awaitable[bool]]
"""Yes, no, or a function that decides for one user. Functions can only be given in Python."""


def option(
    help: str,
    default: Any = ...,
    *,
    name: str = "",
    env: str = "",
    refusal: str = "",
    missing: str = "",
    takes_text: bool = False,
    takes_null: bool = True,
) -> Any:
    """Declare an option. `name` and `env` stand where they do not follow from the field's name; `refusal` is
    the text for a value of the wrong type, where parse-server has its own; `missing` for none at all. An
    option that `takes_text` may be written as text in a file, too: a number, a list of one. Null is like
    no value, but to an option that does not take it."""
    metadata = {
        "help": help,
        "name": name,
        "env": env,
        "refusal": refusal,
        "missing": missing or refusal,
        "takes_text": takes_text,
        "takes_null": takes_null,
    }
    if default is ...:
        return field(metadata=metadata)
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


_EVERYBODY = ("0.0.0.0/0", "::0")
_LOCALHOST = ("127.0.0.1", "::1")

# Types that a browser would run with the rights of the site that serves them.
_HARMLESS_EXTENSIONS = (r"^(?!(?i:[xs]?html?|xht|svgz?|xml|xsl|xslt|xsd|rng|rdf|owl|mathml)(?i:\+xml)?$)",)


@dataclass(frozen=True, kw_only=True)
class RequestComplexity:
    """Limits on the work of one request; -1 takes a limit away. The master key is exempt."""

    include_depth: int | None = option("Longest path of `include`.", 10)
    include_count: int | None = option("Most paths of `include`, implied parents counted.", 100)
    query_depth: int | None = option("Deepest nesting of `$or`, `$and`, `$nor`.", 20)
    subquery_depth: int | None = option("Deepest nesting of `$inQuery`, `$select` and their like.", 10)
    subquery_limit: int | None = option("Most rows that a subquery hands on.", 100_000)
    batch_request_limit: int | None = option("Most parts of one `/batch`.", 1_000)
    graphql_depth: int | None = option("Deepest nesting of a GraphQL query.", 50)
    graphql_fields: int | None = option("Most fields of a GraphQL query.", 1_000)
    allow_regex: bool = option("May clients use `$regex`?", True)

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is None or isinstance(value, bool):
                continue
            text = "must be a positive integer or -1 to disable."
            _require(value > 0 or value == -1, f"requestComplexity.{wire_name(limit.name)} {text}")
            if value == -1:
                object.__setattr__(self, limit.name, None)


@dataclass(frozen=True, kw_only=True)
class PasswordPolicy:
    """Rules for passwords."""

    validator_pattern: re.Pattern[str] | None = option(
        "Regular expression that a password must match.",
        None,
        refusal="passwordPolicy.validatorPattern must be a regex string or RegExp object.",
    )
    validator_callback: Callable[[str], Awaitable[bool]] | None = option(
        "Function that accepts a password.",
        None,
        refusal="passwordPolicy.validatorCallback must be a function.",
    )
    validation_error: str = option(
        "Text for a refused password.", "Password does not meet the Password Policy requirements."
    )
    do_not_allow_username: bool = option(
        "Refuse passwords that contain the username.",
        False,
        refusal="passwordPolicy.doNotAllowUsername must be a boolean value.",
    )
    max_password_age: float | None = option(
        "Days until a password expires.",
        None,
        refusal="passwordPolicy.maxPasswordAge must be a positive number",
    )
    max_password_history: int = option(
        "How many former passwords may not come back.",
        0,
        refusal="passwordPolicy.maxPasswordHistory must be an integer ranging 0 - 20",
    )
    reset_token_validity_duration: float | None = option(
        "Seconds that a reset link is good for.",
        None,
        refusal="passwordPolicy.resetTokenValidityDuration must be a positive number",
    )
    reset_token_reuse_if_valid: bool = option(
        "Mail the same token again while it is valid.",
        False,
        refusal="resetTokenReuseIfValid must be a boolean value",
    )
    reset_password_success_on_invalid_email: bool = option(
        "Answer a reset of an unknown address like that of a known one.",
        True,
        refusal="resetPasswordSuccessOnInvalidEmail must be a boolean value",
    )

    def __post_init__(self) -> None:
        _require(
            self.max_password_age is None or self.max_password_age >= 0,
            "passwordPolicy.maxPasswordAge must be a positive number",
        )
        _require(
            self.reset_token_validity_duration is None or self.reset_token_validity_duration > 0,
            "passwordPolicy.resetTokenValidityDuration must be a positive number",
        )
        _require(
            0 <= self.max_password_history <= 20,
            "passwordPolicy.maxPasswordHistory must be an integer ranging 0 - 20",
        )
        _require(
            not self.reset_token_reuse_if_valid or self.reset_token_validity_duration is not None,
            "You cannot use resetTokenReuseIfValid without resetTokenValidityDuration",
        )


_LOCKOUT_DURATION = "Account lockout duration should be greater than 0 and less than 100000"
_LOCKOUT_THRESHOLD = "Account lockout threshold should be an integer greater than 0 and less than 1000"


@dataclass(frozen=True, kw_only=True)
class AccountLockout:
    """When wrong passwords lock an account."""

    duration: float = option("Minutes that the account stays locked.", refusal=_LOCKOUT_DURATION)
    threshold: int = option("Wrong passwords that lock it.", refusal=_LOCKOUT_THRESHOLD)
    unlock_on_password_reset: bool = option("Does a password reset unlock it?", False, takes_null=False)

    def __post_init__(self) -> None:
        _require(0 < self.duration < 100_000, _LOCKOUT_DURATION)
        _require(0 < self.threshold < 1_000, _LOCKOUT_THRESHOLD)


@dataclass(frozen=True, kw_only=True)
class FileUpload:
    """Who may upload what."""

    enable_for_public: bool = option(
        "May anyone upload?",
        False,
        refusal="fileUpload.enableForPublic must be a boolean value.",
        takes_null=False,
    )
    enable_for_anonymous_user: bool = option(
        "May anonymous users upload?",
        False,
        refusal="fileUpload.enableForAnonymousUser must be a boolean value.",
        takes_null=False,
    )
    enable_for_authenticated_user: bool = option(
        "May users upload?",
        True,
        refusal="fileUpload.enableForAuthenticatedUser must be a boolean value.",
        takes_null=False,
    )
    file_extensions: tuple[str, ...] = option(
        "Regular expressions of allowed extensions; `*` allows all. Default: all but what browsers run.",
        _HARMLESS_EXTENSIONS,
        refusal="fileUpload.fileExtensions must be an array.",
    )
    allowed_file_url_domains: tuple[str, ...] = option(
        "Hosts that the `url` of a File value may name; `*.example.org` for subdomains.",
        ("*",),
        name="allowedFileUrlDomains",
        refusal="fileUpload.allowedFileUrlDomains must be an array.",
    )

    def __post_init__(self) -> None:
        _require(
            all(domain.strip() for domain in self.allowed_file_url_domains),
            "fileUpload.allowedFileUrlDomains must contain only non-empty strings.",
        )


@dataclass(frozen=True, kw_only=True)
class FileDownload:
    """Who may download."""

    enable_for_public: bool = option(
        "May anyone download?",
        True,
        refusal="fileDownload.enableForPublic must be a boolean value.",
        takes_null=False,
    )
    enable_for_anonymous_user: bool = option(
        "May anonymous users download?",
        True,
        refusal="fileDownload.enableForAnonymousUser must be a boolean value.",
        takes_null=False,
    )
    enable_for_authenticated_user: bool = option(
        "May users download?",
        True,
        refusal="fileDownload.enableForAuthenticatedUser must be a boolean value.",
        takes_null=False,
    )


@dataclass(frozen=True, kw_only=True)
class S3Options:
    """How a bucket of S3, or of what speaks its protocol, is reached. Without keys they are looked for where
    the tools of AWS look."""

    region: str = option("Region of the bucket.", "us-east-1", env="S3_REGION")
    endpoint_url: str | None = option("Another server than that of AWS.", None, env="S3_ENDPOINT_URL")
    access_key: str | None = option("Access key.", None, env="S3_ACCESS_KEY")
    secret_key: str | None = option("Secret key.", None, env="S3_SECRET_KEY")
    server_side_encryption: Literal["AES256", "aws:kms"] | None = option(
        "How the bucket encrypts what it stores.", None, env="S3_SERVER_SIDE_ENCRYPTION"
    )
    kms_key_id: str | None = option("Key that it uses.", None, env="S3_KMS_KEY_ID")
    cache_control: str | None = option(
        "`Cache-Control` of stored files.", None, env="S3_GLOBAL_CACHE_CONTROL"
    )
    presigned_seconds: int = option(
        "Lead downloads to the bucket by URLs that are good for so long; 0: through this server.",
        0,
        env="S3_PRESIGNED_SECONDS",
    )


@dataclass(frozen=True, kw_only=True)
class IdempotencyOptions:
    """Which requests are done once, however often they arrive."""

    paths: tuple[str, ...] = option(
        "Regular expressions of paths below the mount, anchored at the start.",
        (),
        refusal="idempotency paths must be of an array of strings",
    )
    ttl: int = option(
        "Seconds that a request id is remembered.",
        300,
        env="PARSE_SERVER_EXPERIMENTAL_IDEMPOTENCY_TTL",
        refusal="idempotency TTL value must be a number",
        takes_text=True,
    )

    def __post_init__(self) -> None:
        _require(self.ttl > 0, "idempotency TTL value must be greater than 0 seconds")


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """At most `request_count` requests to `request_path` in each time window."""

    request_path: str = option(
        "Route pattern (`/classes/*path`).",
        refusal="rateLimit.requestPath must be a string",
        missing="rateLimit.requestPath must be defined",
    )
    request_time_window: float = option(
        "Milliseconds.",
        refusal="rateLimit.requestTimeWindow must be a number",
        missing="rateLimit.requestTimeWindow must be defined",
    )
    request_count: int = option(
        "Requests in the window.",
        refusal="rateLimit.requestCount must be a number",
        missing="rateLimit.requestCount must be defined",
    )
    request_methods: tuple[str, ...] | None = option(
        "HTTP methods that count; default all.", None, takes_text=True
    )
    error_response_message: str = option(
        "Text of the refusal.",
        "Too many requests.",
        refusal="rateLimit.errorResponseMessage must be a string",
    )
    include_internal_requests: bool = option(
        "Count requests from 127.0.0.1, too.",
        False,
        refusal="rateLimit.includeInternalRequests must be a boolean",
    )
    include_master_key: bool = option("Count requests with the master key, too.", False)
    zone: Literal["ip", "session", "user", "global"] = option(
        "Who shares a counter.",
        "ip",
        refusal="rateLimit.zone must be one of global, session, user, or ip",
    )
    redis_url: str | None = option(
        "Redis server that keeps the counters of several servers.", None, name="redisUrl"
    )


@dataclass(frozen=True, kw_only=True)
class DeniedKeyword:
    """A key, a value or a pair that requests may not contain: regular expressions, unanchored."""

    key: str | None = option("Expression for the key.", None)
    value: str | int | float | bool | None = option("Expression or exact value.", None)


@dataclass(frozen=True, kw_only=True)
class DriverOptions:
    """Options that MongoDB's driver is given as they are, in addition to those of the URI."""

    app_name: str | None = option("Name of this program in MongoDB's log.", None)
    auth_mechanism: str | None = option("How the driver proves who it is.", None)
    auth_mechanism_properties: Mapping[str, str] | None = option("More about that.", None)
    auth_source: str | None = option("Database that knows the user.", None)
    compressors: tuple[str, ...] | None = option("Ways to compress the traffic, best first.", None)
    connect_timeout_ms: int | None = option("Milliseconds to connect.", None)
    direct_connection: bool | None = option("Speak with the named server alone?", None)
    heartbeat_frequency_ms: int | None = option("Milliseconds between two looks at a server.", None)
    load_balanced: bool | None = option("Is there a load balancer in between?", None)
    local_threshold_ms: int | None = option("Milliseconds that a farther server may be slower.", None)
    max_connecting: int | None = option("Connections that are opened at the same time.", None)
    max_idle_time_ms: int | None = option("Milliseconds that a connection may be unused.", None)
    max_pool_size: int | None = option("Most connections to MongoDB.", None)
    max_staleness_seconds: int | None = option("Oldest replica that may be read.", None)
    min_pool_size: int | None = option("Connections to MongoDB that are kept open.", None)
    read_concern_level: str | None = option("How settled what is read must be.", None)
    read_preference: str | None = option("Which MongoDB servers are read.", None)
    read_preference_tags: tuple[Mapping[str, str], ...] | None = option("Tags of those servers.", None)
    replica_set: str | None = option("Name of the replica set.", None)
    retry_reads: bool | None = option("Does the MongoDB driver repeat failed reads?", None)
    retry_writes: bool | None = option("Does the MongoDB driver repeat failed writes?", None)
    server_monitoring_mode: str | None = option("`auto`, `poll` or `stream`.", None)
    server_selection_timeout_ms: int | None = option(
        "Milliseconds until a database that does not answer is an error; the driver's default: 30000.", None
    )
    socket_timeout_ms: int | None = option("Milliseconds for an answer.", None)
    srv_max_hosts: int | None = option("Most servers of a `mongodb+srv://` name.", None)
    srv_service_name: str | None = option("Service in its DNS records.", None)
    ssl: bool | None = option("Older name of `tls`.", None)
    tls: bool | None = option("Encrypt the connection?", None)
    tls_allow_invalid_certificates: bool | None = option("Accept any certificate?", None)
    tls_allow_invalid_hostnames: bool | None = option("Accept a certificate of another host?", None)
    tls_ca_file: str | None = option(
        "File with the authorities to trust.", None, name="tlsCAFile", env="PARSE_SERVER_DATABASE_TLS_CAFILE"
    )
    tls_certificate_key_file: str | None = option("File with this server's certificate and key.", None)
    tls_certificate_key_file_password: str | None = option("Its password.", None)
    tls_insecure: bool | None = option("Check nothing about certificates?", None)
    wait_queue_timeout_ms: int | None = option("Milliseconds to wait for a free connection.", None)
    zlib_compression_level: int | None = option("How hard zlib tries.", None)


@dataclass(frozen=True, kw_only=True)
class DatabaseOptions(DriverOptions):
    """How the database is used."""

    allow_public_explain: bool = option("May clients without master key use `explain`?", False)
    schema_cache_ttl: float | None = option(
        "Milliseconds after which schemas are read again; default: kept until a change.",
        None,
        name="schemaCacheTtl",
        refusal="databaseOptions.schemaCacheTtl must be a number",
    )
    max_time_ms: int | None = option("Milliseconds that one query may take.", None)
    disable_index_field_validation: bool = option("May indexes name unknown fields?", False)
    create_index_user_username: bool = option("Make the index on usernames.", True)
    create_index_user_username_case_insensitive: bool = option("... and its case-insensitive twin.", True)
    create_index_user_email: bool = option("Make the index on e-mail addresses.", True)
    create_index_user_email_case_insensitive: bool = option("... and its case-insensitive twin.", True)
    create_index_user_email_verify_token: bool = option("Make the index on verification tokens.", True)
    create_index_user_password_reset_token: bool = option("Make the index on reset tokens.", True)
    create_index_role_name: bool = option("Make the unique index on role names.", True)
    create_index_auth_data_uniqueness: bool = option("Make the unique indexes on provider ids.", True)


@dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """Defaults of the aggregate route."""

    aggregation_raw_values: bool = option("Values in the database's own form.", False)
    aggregation_raw_field_names: bool = option("Names in the database's own form.", False)


SchemaHook: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class SchemaOptions:
    """The application's classes, compared with the database at start."""

    definitions: tuple[Mapping[str, Any], ...] = option("Classes in the form of the schema API.", ())
    strict: bool = option("Does a failed change stop the server?", False)
    delete_extra_fields: bool = option("Delete fields that no definition names. For development.", False)
    recreate_modified_fields: bool = option(
        "Delete and make fields anew whose type changed. For development.", False
    )
    lock_schemas: bool = option("Refuse every change of a schema at run time.", False)
    keep_unknown_indexes: bool = option("Keep indexes that no definition names.", False)
    before_migration: SchemaHook | None = option("Function to run before the comparison.", None)
    after_migration: SchemaHook | None = option("Function to run after it.", None)


@dataclass(frozen=True, kw_only=True)
class InstallationOptions:
    """What happens to installations that share a device token."""

    duplicate_device_token_action: Literal["delete", "update"] = option(
        "Delete the older installation, or take its token away.",
        "delete",
        refusal="installation.duplicateDeviceTokenAction must be one of: 'delete', 'update'.",
    )
    duplicate_device_token_action_enforce_auth: bool = option(
        "With the caller's rights instead of the master's.",
        False,
        refusal="installation.duplicateDeviceTokenActionEnforceAuth must be a boolean.",
    )
    duplicate_device_token_merge_priority: Literal["deviceToken", "installationId"] = option(
        "Which row survives a merge.",
        "deviceToken",
        refusal="installation.duplicateDeviceTokenMergePriority must be one of: "
        "'deviceToken', 'installationId'.",
    )


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The pages for e-mail verification and password reset."""

    pages_endpoint: str = option("First segment of their paths.", "apps")
    pages_path: str | None = option("Folder with own pages.", None)
    enable_localization: bool = option("Serve pages in the reader's language.", False)
    localization_json_path: str | None = option("File with translations.", None)
    localization_fallback_locale: str = option("Language where a translation lacks.", "en")
    placeholders: Mapping[str, Any] | Callable[..., Any] = option(
        "Values for the pages; or a function.", dict,
        refusal="Parse Server option pages.placeholders must be an object or a function.",
    )  # fmt: skip
    force_redirect: bool = option("Redirect always, also on GET.", False)
    encode_page_param_headers: bool = option("Percent-encode the parameter headers.", False)
    custom_urls: Mapping[str, str] = option("Own pages elsewhere, by name.", dict)
    custom_routes: tuple[Mapping[str, Any], ...] = option("Own routes: method, path, handler.", ())


@dataclass(frozen=True, kw_only=True)
class CustomPages:
    """Older form of own pages."""

    invalid_link: str | None = option("Page for a bad link.", None)
    invalid_verification_link: str | None = option("Page for a bad verification link.", None)
    invalid_password_reset_link: str | None = option("Page for a bad reset link.", None)
    expired_verification_link: str | None = option("Page for an expired verification link.", None)
    link_send_success: str | None = option("Page after mailing a link.", None)
    link_send_fail: str | None = option("Page after failing to.", None)
    choose_password: str | None = option("Page with the new password's form.", None)
    password_reset_success: str | None = option("Page after a reset.", None)
    verify_email_success: str | None = option("Page after a verification.", None)
    parse_frame_url: str | None = option("Page that frames the others.", None)


@dataclass(frozen=True, kw_only=True)
class Security:
    """The report about weak settings."""

    enable_check: bool = option("Serve the report at `/security`.", False)
    enable_check_log: bool = option("Write the report to the log at start.", False)


@dataclass(frozen=True, kw_only=True)
class LiveQuery:
    """Classes that clients can watch."""

    class_names: tuple[str, ...] = option(
        "Names, or regular expressions of names.", (), env="PARSE_SERVER_LIVEQUERY_CLASSNAMES"
    )
    redis_url: str | None = option(
        "Redis server between several servers.", None, env="PARSE_SERVER_LIVEQUERY_REDIS_URL"
    )
    change_streams: bool = option(
        "Let MongoDB tell of all writes, also those of other programs. Needs a replica set of MongoDB 6.",
        False,
        env="PARSE_SERVER_LIVEQUERY_CHANGE_STREAMS",
    )
    regex_timeout: int = option(
        "Milliseconds for one regular expression.", 100, env="PARSE_SERVER_LIVEQUERY_REGEX_TIMEOUT"
    )


@dataclass(frozen=True, kw_only=True)
class LiveQueryServer:
    """How LiveQuery connections are kept."""

    key_pairs: Mapping[str, str] = option(
        "Keys of which a client must show one.", dict, env="PARSE_LIVE_QUERY_SERVER_KEY_PAIRS"
    )
    websocket_timeout: int = option(
        "Milliseconds between two pings.", 10_000, env="PARSE_LIVE_QUERY_SERVER_WEBSOCKET_TIMEOUT"
    )
    cache_timeout: int = option(
        "Milliseconds that a session token's user is remembered.",
        5_000,
        env="PARSE_LIVE_QUERY_SERVER_CACHE_TIMEOUT",
    )
    redis_url: str | None = option(
        "Other place for `liveQuery.redisURL`.", None, env="PARSE_LIVE_QUERY_SERVER_REDIS_URL"
    )
    max_subscriptions: int = option("Most subscriptions of one connection.", 1_000)
    max_connections_per_address: int = option("Most connections from one address.", 10_000)
    max_frame_size: int = option(
        "Largest message of a client, and most of all queries of a connection, in characters.", 1_000_000
    )
    max_backlog: int = option("Messages that may wait for a slow client before it is closed.", 1_000)


_DENIED_KEYWORDS = (
    DeniedKeyword(key="_bsontype", value="Code"),
    DeniedKeyword(key="constructor"),
    DeniedKeyword(key="__proto__"),
)


def _protected_fields() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    return {"_User": {"*": ("email",)}}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All options of one server."""

    # --- Who we are, who may come in
    app_id: str = option(
        "The application's id.", env="PARSE_SERVER_APPLICATION_ID", refusal="You must provide an appId!"
    )
    app_name: str | None = option("Its name, in mails and pages.", None)
    production: bool = option("Refuse generated, missing and weak keys.", False)
    master_key: str = option("The key to everything.", refusal="You must provide a masterKey!")
    master_key_ips: tuple[str, ...] = option("Addresses and networks it works from.", _LOCALHOST)
    maintenance_key: str | None = option("The key to internal fields.", None)
    maintenance_key_ips: tuple[str, ...] = option("Addresses and networks it works from.", _LOCALHOST)
    read_only_master_key: str | None = option("The key to read everything.", None)
    read_only_master_key_ips: tuple[str, ...] = option("Addresses and networks it works from.", _EVERYBODY)
    rest_api_key: str | None = option("Key of REST clients.", None)
    client_key: str | None = option("Key of Apple clients.", None)
    javascript_key: str | None = option("Key of JavaScript clients.", None)
    dot_net_key: str | None = option("Key of .NET and Unity clients.", None)
    webhook_key: str | None = option("Key sent with webhook calls.", None)
    webhook_timeout: float = option("Seconds that a webhook may take.", 10.0)
    webhook_allow_private_addresses: bool = option(
        "May webhooks live at loopback and private addresses?", False
    )
    file_key: str | None = option(
        "Key of the application at the hosted Parse service, for the URLs of files that stayed there. As in "
        "parse-server it also encrypts files in MongoDB, unless `encryptionKey` does.",
        None,
    )

    # --- Where we are
    host: str = option("Address to listen on.", "0.0.0.0")  # noqa: S104
    port: int = option("Port to listen on.", 1337, env="PORT")
    mount_path: str = option("Path below which the API lies.", "/parse")
    server_url: str | None = option(
        "URL of the API as this machine sees it.",
        None,
        env="PARSE_SERVER_URL",
        refusal="You must provide a serverURL!",
    )
    public_server_url: str | None = option(
        "URL of the API as clients see it.", None, env="PARSE_PUBLIC_SERVER_URL"
    )
    trust_proxy: tuple[str, ...] = option(
        "Proxies (addresses, networks, `loopback`, `linklocal`, `uniquelocal`) whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed.",
        (),
    )

    # --- The door
    allow_origin: tuple[str, ...] = option("Origins for CORS; default `*`.", (), takes_text=True)
    allow_headers: tuple[str, ...] = option(
        "Further request headers for CORS.", (), refusal="Allow headers must be an array"
    )
    route_allow_list: tuple[str, ...] | None = option(
        "Regular expressions of the only routes that clients may use.",
        None,
        refusal="Parse Server option routeAllowList must be an array of strings.",
    )
    max_upload_size: int = option("Largest request body (`20mb`).", 20 * 1024 * 1024)
    enable_sanitized_error_response: bool = option(
        "Tell refused callers `Permission denied` and no more.", True
    )
    request_complexity: RequestComplexity = option("Limits on one request.", RequestComplexity)
    request_keyword_denylist: tuple[DeniedKeyword, ...] = option(
        "Keys and values that requests may not contain.",
        _DENIED_KEYWORDS,
        refusal="Parse Server option requestKeywordDenylist must be an array.",
    )
    idempotency_options: IdempotencyOptions = option(
        "Requests that are done once.",
        IdempotencyOptions,
        env="PARSE_SERVER_EXPERIMENTAL_IDEMPOTENCY_OPTIONS",
    )
    rate_limit: tuple[RateLimit, ...] = option(
        "Limits on how often.", (), refusal="rateLimit must be an array or object"
    )

    # --- Data
    database_uri: str = option(
        "`sqlite:///path/to/file` (embedded), `sqlite://` (in memory), `mongodb://...` or `mongodb+srv://...`.",
        "sqlite:///./data/parse.sqlite3",
    )
    database_options: DatabaseOptions = option("How the database is used.", DatabaseOptions)
    collection_prefix: str = option("Prefix of every collection's name.", "")
    schema: SchemaOptions = option("The application's classes.", SchemaOptions)
    allow_client_class_creation: bool = option("May clients make classes?", False)
    allow_custom_object_id: bool = option("May clients choose object ids?", False)
    object_id_size: int = option("Length of generated object ids.", 10)
    default_limit: int = option(
        "Rows of a query that names no limit.", 100, refusal="Default limit must be a number."
    )
    max_limit: int | None = option("Most rows of any query.", None)
    query: QueryOptions = option("Defaults of the aggregate route.", QueryOptions)
    allow_aggregation_for_read_only_master_key: bool = option("May the read-only key aggregate?", True)
    protected_fields: Mapping[str, Mapping[str, tuple[str, ...]]] = option(
        "Class to group to fields that the group cannot see.", _protected_fields
    )
    protected_fields_owner_exempt: bool = option("Do users see their own row whole?", True)
    protected_fields_trigger_exempt: bool = option("Do triggers see rows whole?", False)
    protected_fields_save_response_exempt: bool = option("Do answers to writes stay whole?", True)
    user_sensitive_fields: tuple[str, ...] = option("Older form of protected fields of `_User`.", ())
    cache_ttl: float = option("Milliseconds that sessions and roles are remembered.", 5_000)
    cache_max_size: int = option("Most remembered sessions and roles.", 10_000)

    # --- Users
    enable_anonymous_users: bool = option(
        "Allow anonymous users.", True, env="PARSE_SERVER_ENABLE_ANON_USERS"
    )
    enforce_private_users: bool = option("Are new users hidden from others?", True)
    convert_email_to_lowercase: bool = option("Store e-mail addresses in lower case.", False)
    convert_username_to_lowercase: bool = option("Store usernames in lower case.", False)
    enable_collation_case_comparison: bool = option("Leave case rules to the database.", False)
    auth: Mapping[str, Mapping[str, Any]] = option(
        "Login providers by name.", dict, env="PARSE_SERVER_AUTH_PROVIDERS"
    )
    allow_expired_auth_data_token: bool = option("Skip validating unchanged provider data.", False)
    enable_insecure_auth_adapters: bool = option("Allow provider logins by id and token alone.", False)
    password_policy: PasswordPolicy | None = option("Rules for passwords.", None)
    account_lockout: AccountLockout | None = option("When wrong passwords lock an account.", None)
    session_length: float = option(
        "Seconds that a session lasts.",
        31_536_000,
        refusal="Session length must be a valid number.",
        takes_text=True,
    )
    expire_inactive_sessions: bool = option("Do sessions end at all?", True)
    extend_session_on_use: bool = option(
        "Prolong sessions in use.", False, refusal="extendSessionOnUse must be a boolean value"
    )
    revoke_session_on_password_reset: bool = option(
        "Does a new password end all sessions?",
        True,
        refusal="revokeSessionOnPasswordReset must be a boolean value",
    )

    # --- Mail and pages
    verify_user_emails: Switch = option("Must users verify their e-mail address?", False)
    send_user_email_verification: Switch = option("Mail the verification link?", True)
    prevent_login_with_unverified_email: Switch = option("Refuse their login until then?", False)
    prevent_signup_with_unverified_email: bool = option("Refuse the signup itself?", False)
    email_verify_token_validity_duration: float | None = option(
        "Seconds that a verification link is good for.",
        None,
        refusal="Email verify token validity duration must be a valid number.",
        takes_text=True,
    )
    email_verify_token_reuse_if_valid: bool = option(
        "Mail the same token again while it is valid.",
        False,
        refusal="emailVerifyTokenReuseIfValid must be a boolean value",
    )
    email_verify_success_on_invalid_email: bool = option(
        "Answer for unknown addresses as for known ones.",
        True,
        refusal="emailVerifySuccessOnInvalidEmail must be a boolean value",
    )
    smtp_url: str | None = option(
        "Mail server: `smtp://user:password@host:587`; `console:` prints mails.", None
    )
    mail_from: str = option("Sender of mails.", "")
    pages: Pages = option("The pages.", Pages)
    custom_pages: CustomPages = option(
        "Older form of own pages.", CustomPages, refusal="Parse Server option customPages must be an object."
    )

    # --- Files
    files_url: str | None = option(
        "Where files lie: `database:` (default), `file:///folder` or `s3://bucket/prefix`.", None
    )
    file_upload: FileUpload = option(
        "Who may upload what.",
        FileUpload,
        env="PARSE_SERVER_FILE_UPLOAD_OPTIONS",
        refusal="fileUpload must be an object value.",
        takes_null=False,
    )
    file_download: FileDownload = option(
        "Who may download.",
        FileDownload,
        env="PARSE_SERVER_FILE_DOWNLOAD_OPTIONS",
        refusal="fileDownload must be an object value.",
    )
    s3: S3Options = option("How a bucket is reached.", S3Options)
    preserve_file_name: bool = option("Store files without a random prefix.", False)
    private_files: bool = option(
        "Are files in fields marked `private` only for those who can read their object, by signed URLs?", True
    )
    file_url_lifetime: int = option("Seconds that a signed URL is good for.", 900)
    file_signing_key: str | None = option(
        "Key of signed URLs; default: made from the master key. A new one ends all URLs.", None
    )
    file_cleaning_grace: float | None = option(
        "Hours after which files that no object holds are deleted, every night; default: only on demand.",
        None,
    )
    encryption_key: str | None = option(
        "Encrypts stored files: in parse-server's own way where they lie in MongoDB.", None
    )
    file_encryption_keys: Mapping[str, str] = option(
        "Secrets that encrypt stored files, by id; the first is for new files, the others are for reading.",
        dict,
    )

    # --- Cloud code, push, LiveQuery, GraphQL
    cloud: str | None = option(
        "Module whose `register(cloud)` defines the hooks.",
        None,
        refusal="argument 'cloud' must either be a string or a function",
    )
    push: Mapping[str, Any] | None = option("Push senders by platform.", None)
    scheduled_push: bool = option("Keep pushes with a future time.", False)
    installation: InstallationOptions = option(
        "Installations that share a device token.", InstallationOptions
    )
    live_query: LiveQuery | None = option("Classes that clients can watch.", None)
    live_query_server_options: LiveQueryServer = option(
        "How LiveQuery connections are kept.", LiveQueryServer, env="PARSE_SERVER_LIVE_QUERY_SERVER_OPTIONS"
    )
    redis_url: str | None = option("Redis server that several servers share.", None)
    mount_graphql: bool = option("Serve GraphQL.", False)
    graphql_path: str = option("Where GraphQL lies.", "/graphql")
    graphql_public_introspection: bool = option("May everybody read the GraphQL schema?", False)
    mount_playground: bool = option("Serve the GraphQL playground. For development.", False)
    playground_path: str = option("Where the playground lies.", "/playground")

    # --- Watching the server
    security: Security = option("The report about weak settings.", Security)
    log_level: str = option("`debug`, `info`, `warning` or `error`.", "info")
    json_logs: bool = option("Log lines as JSON.", False, env="JSON_LOGS")
    silent: bool = option("Log nothing.", False, env="SILENT")
    verbose: bool = option("Log at level `debug`.", False, env="VERBOSE")

    def __post_init__(self) -> None:
        for check in _CHECKS:
            check(self)

    @cached_property
    def client_keys(self) -> Mapping[str, str]:
        """The configured client keys by option name; if there is one, a client must show one."""
        keys = {
            "restAPIKey": self.rest_api_key,
            "clientKey": self.client_key,
            "javascriptKey": self.javascript_key,
            "dotNetKey": self.dot_net_key,
        }
        return {name: key for name, key in keys.items() if key}

    @property
    def pubsub_url(self) -> str | None:
        """The Redis server by which the server processes talk to each other."""
        of_live_query = self.live_query.redis_url if self.live_query else None
        return of_live_query or self.live_query_server_options.redis_url or self.redis_url

    @property
    def is_embedded(self) -> bool:
        """Does the database live inside of this process?"""
        return self.database_uri.startswith("sqlite:")

    @property
    def database_path(self) -> Path | None:
        """The file of an embedded database; None for one in memory, and for any other."""
        return embedded_path(self.database_uri)


def embedded_path(uri: str) -> Path | None:
    """The file that `sqlite:///relative/path` or `sqlite:////absolute/path` names."""
    path = uri.removeprefix("sqlite:///")
    return Path(path) if path and path != uri else None


_match_size = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)?\s*", re.IGNORECASE).fullmatch
_UNITS = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}


def read_size(text: str) -> int:
    """Read a size such as `20mb`, in bytes. Raises `ValueError` for what is none."""
    found = _match_size(text)
    if found is None:
        raise ValueError(text)
    return int(float(found[1]) * _UNITS[(found[2] or "b").lower()])


def wire_name(field_name: str) -> str:
    """Spell a field's name as parse-server spells the option."""
    first, *rest = field_name.split("_")
    acronyms = {"api": "API", "uri": "URI", "url": "URL", "ttl": "TTL", "ms": "MS", "graphql": "GraphQL"}
    head = "graphQL" if first == "graphql" else first
    return head + "".join(acronyms.get(part, part.capitalize()) for part in rest)


# --- What no type can say ---------------------------------------------------------------------------------


def _require(condition: bool, refusal: str) -> None:
    if not condition:
        raise SettingsError(refusal)


def _check_keys(settings: Settings) -> None:
    _require(bool(settings.app_id), "You must provide an appId!")
    _require(bool(settings.master_key), "You must provide a masterKey!")
    _require(
        settings.master_key != settings.read_only_master_key,
        "masterKey and readOnlyMasterKey should be different",
    )
    _require(
        settings.master_key != settings.maintenance_key, "masterKey and maintenanceKey should be different"
    )
    for name in ("master_key", "maintenance_key", "read_only_master_key"):
        key = getattr(settings, name)
        weak = key is not None and (len(key) < 16 or len(set(key)) < 8 or key == settings.app_id)
        _require(
            not (settings.production and weak),
            f"{wire_name(name)} is too weak for production: use at least 16 random characters",
        )


def _check_addresses(settings: Settings) -> None:
    for name in ("master_key_ips", "maintenance_key_ips", "read_only_master_key_ips"):
        for address in getattr(settings, name):
            ip = address.split("/")[0]
            _require(
                _is_address(ip) and _is_network(address),
                f'The Parse Server option "{wire_name(name)}" contains an invalid IP address "{ip}".',
            )
    for proxy in settings.trust_proxy:
        known = proxy in ("loopback", "linklocal", "uniquelocal") or _is_network(proxy)
        _require(known, f'trustProxy wants addresses or networks of proxies, not "{proxy}"')


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _check_urls(settings: Settings) -> None:
    url = settings.public_server_url
    _require(
        url is None or url.startswith(("http://", "https://")),
        "publicServerURL should be a valid HTTPS URL starting with https://",
    )
    _require(settings.mount_path.startswith("/"), "mountPath must start with /")
    _require(
        settings.database_uri.startswith(("sqlite:", "mongodb://", "mongodb+srv://")),
        "databaseURI must start with sqlite:, mongodb:// or mongodb+srv://",
    )


def _check_numbers(settings: Settings) -> None:
    _require(
        not settings.expire_inactive_sessions or settings.session_length > 0,
        "Session length must be a value greater than 0.",
    )
    _require(settings.default_limit > 0, "Default limit must be a value greater than 0.")
    _require(
        settings.max_limit is None or settings.max_limit > 0, "Max limit must be a value greater than 0."
    )
    _require(0 <= settings.port < 65536, "port must be between 0 and 65535")
    _require(
        settings.file_cleaning_grace is None or settings.file_cleaning_grace >= 1,
        "fileCleaningGrace must be at least 1 hour",
    )
    _require(settings.file_url_lifetime > 0, "fileUrlLifetime must be a value greater than 0")
    _require(settings.object_id_size > 0, "objectIdSize must be a value greater than 0")
    _require(settings.max_upload_size > 0, "maxUploadSize must be a size such as 20mb")


def _check_lists(settings: Settings) -> None:
    _require(
        all(header.strip() for header in settings.allow_headers),
        "Allow headers must not contain empty strings",
    )
    for pattern in settings.route_allow_list or ():
        _require(
            _is_pattern(pattern),
            f'Parse Server option routeAllowList contains an invalid regex pattern: "{pattern}".',
        )
    for pattern in settings.idempotency_options.paths:
        _require(_is_pattern(pattern), f'idempotency paths contain an invalid regex pattern: "{pattern}"')


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _check_mail(settings: Settings) -> None:
    duration = settings.email_verify_token_validity_duration
    if settings.verify_user_emails is False:
        return
    _require(
        isinstance(settings.app_name, str),
        "An app name is required for e-mail verification and password resets.",
    )
    _require(
        settings.public_server_url is not None,
        "A public server url is required for e-mail verification and password resets.",
    )
    _require(
        duration is None or duration > 0,
        "Email verify token validity duration must be a value greater than 0.",
    )
    _require(
        not settings.email_verify_token_reuse_if_valid or bool(duration),
        "You cannot use emailVerifyTokenReuseIfValid without emailVerifyTokenValidityDuration",
    )


_CHECKS: tuple[Callable[[Settings], None], ...] = (
    _check_keys,
    _check_numbers,
    _check_addresses,
    _check_urls,
    _check_lists,
    _check_mail,
)
