"""The JSON Schema of the policy file (draft 2020-12), made from the models.

It tells an editor most of what `cutover policy check` knows; what values say about each other is only there.
"""

from __future__ import annotations

import json
from typing import Any

from pytest_cutover.policy.document import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IDENTIFIER = "urn:pytest-cutover:schema:policy-1"


def policy_schema() -> dict[str, Any]:
    """The schema of policy format 1."""
    schema = _cleaned(Document.model_json_schema(by_alias=True))
    return {"$schema": DIALECT, "$id": IDENTIFIER, **schema}


def schema_bytes() -> bytes:
    """The committed file, byte for byte."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False).encode() + b"\n"


def _cleaned(node: Any, *, named: bool = False) -> Any:
    """pydantic's schema without what our format does not have: null, titles of keys, unlisted keys.

    `named` says that the keys of `node` are names of properties, not words of JSON Schema.
    """
    if isinstance(node, list):
        return [_cleaned(n) for n in node]
    if not isinstance(node, dict):
        return node
    if named:
        return {k: _cleaned(v) for k, v in node.items()}
    out = {
        k: _cleaned(v, named=k in ("properties", "$defs", "patternProperties"))
        for k, v in node.items()
        if not (k == "title" and "properties" not in node) and not (k == "default" and _is_empty(v))
    }
    if "patternProperties" in out:
        out["additionalProperties"] = False
    return _without_null(out)


def _is_empty(default: Any) -> bool:
    """A default that says nothing: null, an empty list, or an object that is empty or all null."""
    if isinstance(default, dict):
        return all(v is None for v in default.values())
    return default is None or default == []


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """Keys of a policy are left out, never null."""
    choices = [c for c in node.get("anyOf", ()) if c != {"type": "null"}]
    if not choices:
        return node
    rest = {k: v for k, v in node.items() if k != "anyOf"}
    if len(choices) > 1:
        return {"anyOf": choices, **rest}
    only = choices[0]
    # Beside $ref other words are allowed since draft 2019-09.
    return {**only, **rest}


def main() -> None:
    """Print the schema; `docs/reference/policy.md` says where it belongs."""
    print(schema_bytes().decode(), end="")


if __name__ == "__main__":
    main()
