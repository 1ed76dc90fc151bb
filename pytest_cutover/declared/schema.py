"""The JSON Schema of a file of gates (draft 2020-12), made from the reader's own table.

It tells an editor most of what the reader knows; patterns, paths and duplicate ids are only there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_cutover.declared import shapes
from pytest_cutover.declared.reader import sample_takes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_cutover.declared.shapes import Key, ProbeKind

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IDENTIFIER = "urn:pytest-cutover:schema:gates-1"


def gates_schema() -> dict[str, Any]:
    """The schema of format 1."""
    return {
        "$schema": DIALECT,
        "$id": IDENTIFIER,
        "title": "Gates in TOML, for pytest-cutover",
        "type": "object",
        "required": ["format", "gate"],
        "additionalProperties": False,
        "properties": {
            "format": {"const": shapes.FORMAT, "type": "integer"},
            **_properties(shapes.TOP),
            "gate": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/gate"}},
        },
        "if": {"not": {"required": ["phase"]}},
        "then": {"properties": {"gate": {"items": {"required": ["phase"]}}}},
        "$defs": {"gate": _gate(), **{f"measure-{k}": _measure(p) for k, p in shapes.KINDS.items()}},
    }


def schema_bytes() -> bytes:
    """The committed file, byte for byte."""
    return json.dumps(gates_schema(), indent=2, ensure_ascii=False).encode() + b"\n"


def _gate() -> dict[str, Any]:
    options = {name: key for kind in shapes.KINDS.values() for name, key in kind.options.items()}
    kinds = {name: kind.key for name, kind in shapes.KINDS.items()}
    return {
        "type": "object",
        "required": ["id", "measure"],
        "additionalProperties": False,
        "properties": {
            **_properties({**shapes.GATE, **kinds, **options}),
            "measure": {"type": "object", "minProperties": 1, "description": "What is measured, by name."},
        },
        "oneOf": [{"required": [name]} for name in shapes.KINDS],
        "allOf": [_when(name, kind) for name, kind in shapes.KINDS.items()],
    }


def _when(name: str, kind: ProbeKind) -> dict[str, Any]:
    """What holds for gates of one kind."""
    known = [*shapes.GATE, name, *kind.options, "measure"]
    measures = {
        "propertyNames": {"pattern": shapes.NAME_PATTERN},
        "additionalProperties": {"$ref": f"#/$defs/measure-{name}"},
    }
    return {
        "if": {"required": [name]},
        "then": {"propertyNames": {"enum": known}, "properties": {"measure": measures}},
    }


def _measure(kind: ProbeKind) -> dict[str, Any]:
    word = {"enum": list(kind.words)}
    takes = ("of", *kind.takes)
    beside = {
        name: key
        for name, key in shapes.MEASURE.items()
        if (name != "in" or kind.streams) and (name != "labels" or "metric" in kind.takes)
    }
    properties = _properties({**{t: shapes.TAKES[t] for t in takes}, **beside})
    properties["of"] = {**properties["of"], **word}
    properties["samples"] = {**properties["samples"], **_samples(kind)}
    table: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "oneOf": [{"required": [take]} for take in takes],
        "allOf": [_at_most_one(shapes.LIMIT_WORDS)],
    }
    if "labels" in beside:
        table["dependentRequired"] = {"labels": ["metric"]}
    return {"anyOf": [word, table]}


def _samples(kind: ProbeKind) -> dict[str, Any]:
    takes = sample_takes(kind)
    properties = _properties({t: shapes.TAKES[t] for t in takes})
    properties["of"] = {**properties["of"], "enum": list(kind.words)}
    if kind.streams:
        properties |= _properties({"in": shapes.MEASURE["in"]})
    return {
        "additionalProperties": False,
        "properties": properties,
        "oneOf": [{"required": [take]} for take in takes],
    }


def _at_most_one(names: Iterable[str]) -> dict[str, Any]:
    required = [{"required": [name]} for name in names]
    return {"oneOf": [*required, {"not": {"anyOf": required}}]}


def _properties(keys: Mapping[str, Key]) -> dict[str, Any]:
    return {name: {**key.shape.schema, "description": key.says} for name, key in keys.items()}


def main() -> None:
    """Print the schema; `docs/reference/toml-gates.md` says where it belongs."""
    print(schema_bytes().decode(), end="")


if __name__ == "__main__":
    main()
