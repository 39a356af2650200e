"""Aggregation pipelines as BSON, with the names that the core gives; on request as extended JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from bson import json_util

from parse_clone.adapters.storage.mongo.codec import Row, decode_nested, encode_nested
from parse_clone.core.aggregation import PipelineForm
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.schema import ClassSchema


class PipelineCodec:
    """Encodes one pipeline and decodes its results."""

    def __init__(self, schema: ClassSchema, options: Mapping[str, Json]) -> None:
        self._raw_values = options.get("rawValues") is True
        self._form = PipelineForm(schema, self._raw_values, options.get("rawFieldNames") is True)

    def encode(self, stages: Sequence[JsonObject]) -> list[Any]:
        """Turn the stages into MongoDB's."""
        if self._raw_values:
            return [self._form.stage(stage) for stage in json_util.loads(orjson.dumps(stages))]
        return [encode_nested(self._form.stage(stage)) for stage in stages]

    def decode(self, row: Row) -> JsonObject:
        """Turn a result, which is used up, into JSON."""
        if self._raw_values:
            text = json_util.dumps(row, json_options=json_util.RELAXED_JSON_OPTIONS)
            return self._form.result(orjson.loads(text))
        return self._form.result({name: decode_nested(value) for name, value in row.items()})
