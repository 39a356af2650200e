"""The door for hook authors: registration, typed requests, and a client that enters at the service floor.

An application's cloud code defines `register(cloud: Cloud) -> None` and imports everything from here.
"""

from parse_clone.cloud.client import Client, Query
from parse_clone.cloud.objects import ParseObject
from parse_clone.cloud.registration import Cloud
from parse_clone.cloud.requests import (
    AfterDelete,
    AfterFind,
    AfterLogin,
    AfterLogout,
    AfterSave,
    BeforeDelete,
    BeforeFind,
    BeforeLogin,
    BeforePasswordReset,
    BeforeSave,
    ConfigRequest,
    ConnectRequest,
    FileRequest,
    FunctionRequest,
    FunctionResponse,
    JobRequest,
    LiveQueryEventRequest,
    Request,
    SubscribeRequest,
)
from parse_clone.cloud.validators import Field, RateLimit, Validator
from parse_clone.cloud.values import File, Pointer
from parse_clone.core.context import Auth
from parse_clone.core.operations import ChangeRelation as RelationChange
from parse_clone.core.query import GeoPoint
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError
from parse_clone.services.audit_trail import AuditTrail
from parse_clone.services.triggers import AuditEvent

__all__ = [
    "AfterDelete",
    "AfterFind",
    "AfterLogin",
    "AfterLogout",
    "AfterSave",
    "AuditEvent",
    "AuditTrail",
    "Auth",
    "BeforeDelete",
    "BeforeFind",
    "BeforeLogin",
    "BeforePasswordReset",
    "BeforeSave",
    "Client",
    "Cloud",
    "ConfigRequest",
    "ConnectRequest",
    "DuplicateValue",
    "ErrorCode",
    "Field",
    "File",
    "FileRequest",
    "FunctionRequest",
    "FunctionResponse",
    "GeoPoint",
    "JobRequest",
    "LiveQueryEventRequest",
    "ParseError",
    "ParseObject",
    "Pointer",
    "Query",
    "RateLimit",
    "RelationChange",
    "Request",
    "SubscribeRequest",
    "Validator",
]
