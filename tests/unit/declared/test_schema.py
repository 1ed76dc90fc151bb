"""The published JSON Schema says what the reader says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from pytest_cutover.declared.schema import gates_schema, schema_bytes
from tests.unit.declared.documents import BAD, GOOD, ONLY_READ

PUBLISHED = Path(__file__).parents[3] / "configs/schemas/gates-1.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(gates_schema())


NO_JSON = ("time limit nan", "limit nan", "limit inf", "limit upside down")
"""JSON has no such numbers, and its schemas compare none."""

NO_TOML = ("no TOML", "the end in a text", "duplicate key", "byte order mark")


def is_valid(text):
    return VALIDATOR.is_valid(tomllib.loads(text))


class TestSchema:
    def test_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(gates_schema())

    def test_the_published_file_is_up_to_date(self):
        """`python -m pytest_cutover.declared.schema > configs/schemas/gates-1.schema.json` writes it."""
        assert PUBLISHED.read_bytes() == schema_bytes()

    @pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
    def test_accepts_what_the_reader_reads(self, text):
        assert is_valid(text), list(VALIDATOR.iter_errors(tomllib.loads(text)))

    @pytest.mark.parametrize("name", [n for n in BAD if n not in NO_JSON])
    def test_refuses_what_the_reader_refuses(self, name):
        assert not is_valid(BAD[name][0])

    @pytest.mark.parametrize("name", [n for n in ONLY_READ if n not in NO_TOML])
    def test_leaves_the_rest_to_the_reader(self, name):
        """Were one of these refused here, it would belong to the others."""
        assert is_valid(ONLY_READ[name][0])

    def test_every_key_has_a_sentence_for_the_editor(self):
        described = json.dumps(gates_schema()["$defs"]["gate"]["properties"])

        assert described.count('"description"') == len(gates_schema()["$defs"]["gate"]["properties"])
