"""Multipart forms: fields are texts, files are name, content type and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, create_form_parser

from parse_clone.api.rest.query_string import MAX_PARAMETERS
from parse_clone.core.json_types import JsonObject
from parse_clone.errors import ErrorCode, ParseError

FormFiles = dict[str, tuple[str, str, bytes]]


def is_multipart(headers: Mapping[str, str]) -> bool:
    """Is the body a multipart form?"""
    return headers.get("content-type", "").startswith("multipart/form-data")


def form_too_large() -> ParseError:
    """Build the refusal of a form over the size limit."""
    return ParseError(ErrorCode.OBJECT_TOO_LARGE, "Multipart request exceeds maximum upload size.")


def read_form(body: bytes, headers: Mapping[str, str]) -> tuple[JsonObject, FormFiles]:
    """Read a whole form."""
    fields: JsonObject = {}
    files: FormFiles = {}

    parts = count()

    def check_number() -> None:
        if next(parts) >= MAX_PARAMETERS:
            raise form_too_large()

    def take_field(field: Field) -> None:
        check_number()
        fields[_text(field.field_name)] = _text(field.value)

    def take_file(file: File) -> None:
        check_number()
        file.file_object.seek(0)
        content_type = file.content_type or "application/octet-stream"
        files[_text(file.field_name)] = (_text(file.file_name), content_type, file.file_object.read())

    try:
        parser = create_form_parser(
            {"Content-Type": headers["content-type"].encode()},
            take_field,
            take_file,
            config={"MAX_MEMORY_FILE_SIZE": len(body) + 1},  # it is in memory already
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise ParseError(ErrorCode.INVALID_JSON, f"Invalid multipart request: {error}") from None
    return fields, files


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")
