"""Evidence documents: everything in them follows from the files of the set."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.model import SECTION_TYPE, Verdict
from pytest_cutover.store.document import build_document, read_document
from pytest_cutover.store.index import Collected, Index, Indexed
from tests.unit.evidence.fleets import sealed_fleet
from tests.unit.evidence.runs import KEY, NOW, SHA
from tests.unit.store.stores import SECTION, StoredRun, file_of

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "configs/schemas/evidence-1.schema.json").read_text())
VECTOR = ROOT / "tests/vectors/evidence-1"


def vector():
    return {name: (VECTOR / name).read_bytes() for name in ("bundle.intoto.jsonl", "report.json")}


def fleet():
    bundle, report = sealed_fleet()
    return {"bundle.intoto.jsonl": bundle, "report.json": report}


class TestBuild:
    def test_it_says_what_was_decided_and_names_every_file(self):
        files = StoredRun().files()

        document = read_document(build_document(files), "x")

        assert (document.run_id, document.verdict) == ("20261121T084700Z-1a2b3c4d", Verdict.GO)
        assert (document.plan, document.environment, document.sandbox) == ("preflight", "production", False)
        assert document.decided_at == NOW
        assert document.subjects[0].digest == {"sha256": SHA}
        assert {n: (f.sha256, f.bytes) for n, f in document.files.items()} == {
            n: (hashlib.sha256(d).hexdigest(), len(d)) for n, d in files.items()
        }
        assert document.log is None

    def test_the_same_files_give_the_same_bytes(self):
        files = StoredRun().files()

        assert build_document(files) == build_document(dict(reversed(files.items())))

    def test_sections_are_there_as_they_were_attached(self):
        """Their numbers are not written anew."""
        data = build_document(StoredRun().files())
        document = read_document(data, "x")

        assert SECTION.strip() in data
        (part,) = document.sections["perf"]
        assert part.gate == "service.ready"
        assert part.file == file_of("perf", SECTION)
        assert part.content == {"p95": Decimal("0.10"), "window": "5 min"}

    def test_several_gates_can_provide_one_section(self):
        run = StoredRun(gates=("a", "b"))

        document = read_document(build_document(run.files()), "x")

        assert [part.gate for part in document.sections["perf"]] == ["a", "b"]

    @pytest.mark.parametrize("broken", [b"[1]", b"{", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"\xff"])
    def test_a_section_that_is_no_json_object_is_there_without_content(self, broken):
        run = StoredRun(attached=[("perf", broken, SECTION_TYPE)])

        document = read_document(build_document(run.files()), "x")

        assert document.sections["perf"][0].content is None

    @pytest.mark.parametrize(
        "attached", [("perf", SECTION, "application/json"), ("other", SECTION, SECTION_TYPE)]
    )
    def test_other_attachments_are_no_sections(self, attached):
        document = read_document(build_document(StoredRun(attached=[attached]).files()), "x")

        assert document.sections == {}

    @pytest.mark.parametrize("make", [vector, fleet], ids=["old", "merge"])
    def test_old_evidence_and_merges_have_documents_too(self, make):
        files = make()

        document = read_document(build_document(files), "x")

        assert set(document.files) == set(files)
        assert document.sections == {}

    @pytest.mark.parametrize("name", ["bundle.intoto.jsonl", "report.json"])
    def test_what_was_not_decided_and_signed_has_none(self, name):
        files = StoredRun().files()
        del files[name]

        with pytest.raises(EvidenceError, match=f"expected a decided and signed run, it has no {name}"):
            build_document(files)

    def test_a_bundle_without_a_decision_has_none(self):
        with pytest.raises(EvidenceError, match=r"expected a decision in bundle\.intoto\.jsonl"):
            build_document({**StoredRun().files(), "bundle.intoto.jsonl": b"{}\n"})

    @pytest.mark.parametrize(("change", "state"), [(None, "missing"), (b"x", "another one")])
    def test_an_attachment_that_is_not_the_one_is_said(self, change, state):
        files = StoredRun().files()
        name = f"attachments/{file_of('log', b'ok' + bytes([10]))}"
        if change is None:
            del files[name]
        else:
            files[name] = change

        with pytest.raises(EvidenceError, match=f"-log of gate service.ready, it is {state}"):
            build_document(files)

    def test_an_attachment_whose_name_leads_elsewhere_is_refused(self, monkeypatch):
        monkeypatch.setattr("tests.unit.store.stores.file_of", lambda *_: "../../etc/passwd")

        with pytest.raises(EvidenceError, match="expected the name of an attachment"):
            build_document(StoredRun().files())


class TestRead:
    def test_an_unknown_or_missing_field_is_refused(self):
        fields = json.loads(build_document(StoredRun().files()))
        for name in fields:
            with pytest.raises(
                EvidenceError, match=r"a/b: expected an evidence document: .*missing or unknown"
            ):
                read_document(json.dumps({n: v for n, v in fields.items() if n != name}).encode(), "a/b")
        with pytest.raises(EvidenceError, match="missing or unknown"):
            read_document(json.dumps({**fields, "more": 1}).encode(), "x")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("format", v) for v in (2, "1", True)),
            *(("kind", v) for v in ("report", None)),
            *(("verdict", v) for v in ("go", None)),
            *(("exit_code", v) for v in (5, "0", True)),
            *(("decided_at", v) for v in ("2026-11-21", 1)),
            ("sandbox", 0),
            ("subjects", {}),
            *(("files", v) for v in ([], {"a": {}}, {"a": {"sha256": "x", "bytes": 1}})),
            *(("files", {"a": {"sha256": "0" * 64, "bytes": v}}) for v in ("1", True)),
            *(("log", v) for v in ([], {"origin": "x"}, {"origin": "x", "index": "1"})),
            *(("sections", v) for v in ([], {"other": []}, {"perf": {}}, {"perf": [{}]})),
            ("sections", {"perf": [{"gate": "a", "file": "b", "content": [1]}]}),
        ],
    )
    def test_a_wrong_value_is_refused(self, name, value):
        fields = {**json.loads(build_document(StoredRun().files())), name: value}

        with pytest.raises(EvidenceError, match="x: expected an evidence document"):
            read_document(json.dumps(fields).encode(), "x")

    @pytest.mark.parametrize(
        "data", [b"", b"[]", b"null", b'{"format": 1, "format": 1}', b"\xff", b"[" * 9999]
    )
    def test_what_is_no_object_is_refused(self, data):
        with pytest.raises(EvidenceError, match="x: expected an evidence document"):
            read_document(data, "x")


class TestSchema:
    @pytest.mark.parametrize(
        "files", [StoredRun().files(), StoredRun(latency="0.9").files(), vector(), fleet()]
    )
    def test_documents_fit_it(self, files):
        jsonschema.validate(json.loads(build_document(files)), SCHEMA)

    def test_it_refuses_what_the_reader_refuses(self):
        fields = json.loads(build_document(StoredRun().files()))

        for wrong in ({"more": 1}, {"verdict": "go"}, {"files": {"a": {}}}, {"sections": {"other": []}}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**fields, **wrong}, SCHEMA)

    def test_it_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_reference_page_names_every_field():
    page = (ROOT / "docs/reference/evidence-store.md").read_text(encoding="utf-8")
    index = Index(NOW, (Indexed("history/a/b", "0" * 64, 1),), (Collected("x", "", NOW),))
    named = {
        *SCHEMA["properties"],
        *index.objects[0].to_json(),
        *SCHEMA["$defs"]["Section"]["items"]["properties"],
    }

    assert {name for name in named if f"`{name}`" not in page} == set()


def test_the_key_of_these_runs_is_no_shared_one():
    """A module that made its own key would seal runs nobody here trusts."""
    assert KEY.keyid in StoredRun().files()["bundle.intoto.jsonl"].decode()
