"""The documentation says what the code does: generated pages, hand-written ones, links, decision records."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_cutover import cli, gate, marker
from pytest_cutover.evidence import statements
from pytest_cutover.evidence.envelope import POLICY_TYPE, STATEMENT_TYPE
from pytest_cutover.evidence.problems import ProblemCode
from pytest_cutover.keys.trust import parse_trust
from pytest_cutover.model import ExitCode
from pytest_cutover.phases import PHASES
from pytest_cutover.reasons import Reason, Weight
from tests.unit.evidence.fleets import sealed_fleet
from tests.unit.evidence.opened_runs import OpenedRun
from tests.unit.gate_project import GateProject
from tools import docs, words

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changelog.d/*.md")])


def page(name):
    return (REFERENCE / name).read_text(encoding="utf-8")


def blocks(text, language):
    """The fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def tables(text):
    """Heading to the names, in backquotes, in the first column of the table below it."""
    out = {}
    for section in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        cells = re.findall(r"^\| (`[^|]*?`(?:, `[^|]*?`)*) \|", body, re.MULTILINE)
        out[title.strip("` ")] = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    return out


class TestGenerated:
    def test_the_pages_are_as_the_code_says(self, capsys):
        assert docs.main(["--check"]) == 0, capsys.readouterr().err

    def test_a_stale_page_is_named_and_written_anew(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(docs, "FOLDER", tmp_path)
        docs.main([])
        (tmp_path / "hooks.md").write_text("old")

        assert docs.main(["--check"]) == 1
        assert "docs/reference/hooks.md is stale" in capsys.readouterr().err
        assert (tmp_path / "hooks.md").read_text() == "old"
        assert docs.main([]) == 0
        assert docs.main(["--check"]) == 0

    @pytest.mark.parametrize(
        ("codes", "said"),
        [
            (ExitCode, words.EXIT_CODES),
            (Reason, words.REASONS),
            (Weight, words.WEIGHTS),
            (ProblemCode, words.PROBLEMS),
        ],
    )
    def test_every_code_has_its_words_and_no_other(self, codes, said):
        assert set(said) == set(codes)

    def test_every_exit_code_of_pytest_is_explained(self):
        theirs = {int(code) for code in pytest.ExitCode} - {0}

        assert theirs <= set(words.PYTEST_EXIT_CODES)

    def test_every_other_verb_has_its_exit_codes(self):
        explained = {name.strip("`").split()[0] for name, *_ in words.VERB_EXIT_CODES}

        assert explained == set(cli.VERBS) - {"run", "merge"}

    def test_every_environment_variable_is_documented(self):
        internal = {"CUTOVER_CHILD_FD", "CUTOVER_GO", "CUTOVER_GO_WITH_GUARDS"}
        sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "pytest_cutover").rglob("*.py"))
        read = set(re.findall(r'"(CUTOVER_[A-Z_]+)"', sources)) - internal

        assert read == {name for name in words.VARIABLES if name.startswith("CUTOVER_")}


class TestMarkerPage:
    def test_it_lists_the_arguments_of_the_marker(self):
        assert tables(page("marker.md"))["Arguments"] == set(marker._MARKER_KEYS)

    def test_it_lists_the_phases(self):
        assert tables(page("marker.md"))["Phases"] == set(PHASES)

    def test_its_example_is_a_gate(self, tmp_path):
        example, *_ = blocks(page("marker.md"), "python")
        limits = {"canary.health": {"green_windows": {"at_least": 3}}}
        project = GateProject(tmp_path, example, requires=["canary.health"], limits=limits)

        done = project.pytest("--cutover-key", "none")

        assert done.returncode == 0, done.stdout
        collected = next(e for e in project.journal() if e["event"] == "run.collected")["gates"][0]
        assert collected["title"] == "The canary stays healthy"
        assert collected["timeout_s"] == 30


class TestFixturePage:
    def test_it_lists_the_arguments_of_measure(self):
        arguments = set(inspect.signature(gate.Gate.measure).parameters) - {"self"}

        documented = tables(page("fixture.md"))["gate.measure(name, value, …)"]

        assert documented == arguments

    def test_it_describes_every_method(self):
        methods = {n for n, _ in inspect.getmembers(gate.Gate, inspect.isfunction) if not n.startswith("_")}

        assert set(re.findall(r"^## gate\.(\w+)\(", page("fixture.md"), re.MULTILINE)) == methods

    def test_its_examples_run_green_under_its_limits(self, tmp_path):
        text = page("fixture.md")
        gates = "\n\n".join(blocks(text, "python"))
        ids = re.findall(r'mark\.gate\("([^"]+)"', gates)
        limits = json.loads(blocks(text, "json")[0])
        project = GateProject(tmp_path, gates, requires=list(limits), limits=limits)

        done = project.pytest("--cutover-key", "none")

        assert done.returncode == 0, done.stdout
        assert re.search(r"(\d+) of \1 gates green", done.stdout)
        assert [i for i in ids if f"✓ {i}" not in done.stdout] == []
        attached = next((project.run / "attachments").glob("*build.log"))
        assert attached.read_text() == "compiled 12 files\nwarnings: 0\n"


LIMITS = {"everything": {"value": {"at_most": 2, "min_samples": 1, "max_age_s": 60}}}
EVERYTHING = """
@pytest.mark.preflight
@pytest.mark.gate("everything", title="t", category="c", owner="o", remedy="r", timeout=9)
def test_everything(gate):
    gate.measure("value", 1, samples=3, source="s", at_most=2)
    gate.measure("read", 1, information=True)
    gate.measure("broken", 5, unit="x", at_most=2)
    gate.note("n")
    gate.attach("a", "b")


def test_not_a_gate_and_red():
    assert False


test_not_a_gate_and_red = pytest.mark.preflight(test_not_a_gate_and_red)
"""


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A supervised run in which every field of the formats occurs."""
    project = GateProject(tmp_path_factory.mktemp("f"), EVERYTHING, requires=["everything"], limits=LIMITS)
    done = project.cutover("run", "preflight", "--subject", f"app@sha256:{'a' * 64}", "--", "gates")
    assert done.returncode == 10, done.stdout + done.stderr
    return project


def keys(dicts):
    return {name for d in dicts for name in d}


class TestFormatsPage:
    FIELDS = tables(page("formats.md"))

    def test_the_files_of_a_run_folder_are_listed(self, everything):
        found = {f.name + ("/" if f.is_dir() else "") for f in everything.run.iterdir()}

        # The sandbox did not start it, and its policy names no log.
        assert self.FIELDS["The run folder"] - found == {"service/", "bundle.intoto.jsonl.tlog-proof"}
        assert found <= self.FIELDS["The run folder"]

    @pytest.mark.parametrize(
        "event",
        [
            "run.started",
            "run.collected",
            "gate.started",
            "gate.finished",
            "run.problem",
            "run.finished",
            "run.exited",
        ],
    )
    def test_the_fields_of_each_event_are_listed(self, everything, event):
        written = keys(e for e in everything.journal() if e["event"] == event)

        assert written - {"seq", "event", "at"} == self.FIELDS[event] - {"signal"}

    def test_no_other_event_is_written(self, everything):
        assert keys([{e["event"]: 0} for e in everything.journal()]) <= set(self.FIELDS)

    def test_the_fields_within_events_are_listed(self, everything):
        events = {e["event"]: e for e in everything.journal()}
        finished = events["gate.finished"]

        assert keys(events["run.collected"]["gates"]) == self.FIELDS["A collected gate"]
        assert keys(finished["measurements"]) == self.FIELDS["A measurement"]
        assert keys(finished["attachments"]) == self.FIELDS["An attachment"]

    def test_the_fields_of_the_report_are_listed(self, everything):
        report = everything.report()

        assert set(report) == self.FIELDS["Report"]
        assert set(report["run"]) == self.FIELDS["Run"]
        assert set(report["policy"]) == self.FIELDS["Policy"] - {
            "waiver_persons",
            "shards",
            "log",
            "sections",
        }  # it sets none
        assert set(report["decision"]) == self.FIELDS["Decision"]
        assert keys(report["decision"]["gates"]) == self.FIELDS["A judged gate"]
        assert keys(report["decision"]["findings"]) <= self.FIELDS["A finding"]

    def test_within_policies_and_judged_gates_too(self, everything):
        report, text = everything.report(), page("formats.md")
        limits = [m for g in report["policy"]["limits"].values() for m in g.values()]
        nested = keys(limits) | keys(report["policy"]["requires"])
        nested |= keys(m for g in report["decision"]["gates"] for m in g["measurements"])

        assert {name for name in nested if f"`{name}`" not in text} == set()

    def test_the_bundle_holds_the_lines_it_lists(self, everything):
        rows = re.findall(r"^\| [\w ,]+ \| `(application/[^`]+)` \|", page("formats.md"), re.MULTILINE)
        bundle = (everything.run / "bundle.intoto.jsonl").read_text().splitlines()

        assert rows == [POLICY_TYPE, *[STATEMENT_TYPE] * (1 + len(statements.PREDICATES))]
        # Its policy is not signed, and it was given no waiver.
        assert [json.loads(line)["payloadType"] for line in bundle] == rows[2:]
        assert all(f"`{kind}`" in page("formats.md") for kind in statements.PREDICATES)

    def test_openssl_checks_the_bundle_as_described(self, everything, tmp_path):
        done = self.check(everything, tmp_path, "sh")

        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines() == ["Signature Verified Successfully"] * 4

    def test_securesystemslib_checks_the_bundle_as_described(self, everything, tmp_path):
        done = self.check(everything, tmp_path, "python")

        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("good: ") == 4

    @pytest.mark.parametrize("language", ["sh", "python"])
    def test_both_refuse_a_bundle_that_was_changed(self, everything, tmp_path, language):
        """Else the two tests above would prove nothing."""
        good = (everything.run / "bundle.intoto.jsonl").read_bytes().splitlines(keepends=True)
        changed = json.loads(good[2])
        payload = base64.b64decode(changed["payload"]).replace(b"NO-GO", b"YESGO", 1)
        good[2] = json.dumps({**changed, "payload": base64.b64encode(payload).decode()}).encode() + b"\n"

        assert self.check(everything, tmp_path, language, b"".join(good)).returncode != 0

    def check(self, everything, folder, language, bundle=None):
        """The page's own commands, on the bundle of a run or on `bundle`."""
        bundle = (everything.run / "bundle.intoto.jsonl").read_bytes() if bundle is None else bundle
        (folder / "bundle.intoto.jsonl").write_bytes(bundle)
        key = str(everything.folder / "var/cutover/keys/development.pub.pem")
        command = ["sh", "-c"] if language == "sh" else [sys.executable, "-c"]
        return subprocess.run(
            [*command, blocks(page("formats.md"), language)[0], key],
            cwd=folder,
            env={**os.environ, "KEY": key},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_the_fields_of_a_merged_shard_are_listed(self):
        _, report = sealed_fleet()

        assert keys(json.loads(report)["shards"]) == self.FIELDS["The bundle of a merge"]

    def test_the_fields_of_an_opened_run_are_listed(self):
        report = json.loads(OpenedRun().seal()[1])
        first, carried, *_ = report["journal"]
        new = {"opened"}, {"opened", "carried"}, {"carried_from"}

        assert keys([first["opened"]]) == self.FIELDS["The run that was opened"]
        assert keys([carried]) - {"seq", "event", "at"} == self.FIELDS["gate.carried"]
        assert set(report) - self.FIELDS["Report"] == new[0]
        assert set(report["run"]) - self.FIELDS["Run"] == new[1]
        assert keys(report["decision"]["gates"]) - self.FIELDS["A judged gate"] == new[2]
        assert all(f"`{name}`" in page("formats.md") for names in new for name in names)

    def test_the_digests_are_where_the_page_says(self, everything):
        lines = (everything.run / "bundle.intoto.jsonl").read_bytes().splitlines()
        *_, decision, manifest = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]
        report = {"sha256": hashlib.sha256((everything.run / "report.json").read_bytes()).hexdigest()}

        assert decision["predicate"][statements.DECISION_FIELD]["report"] == report
        assert manifest["predicate"]["report"] == report
        assert manifest["predicate"]["envelopes"] == [
            {"sha256": hashlib.sha256(line).hexdigest()} for line in lines[:-1]
        ]

    def test_its_trust_file_can_be_read(self):
        example = blocks(page("formats.md"), "json")[0]
        schema = json.loads((ROOT / "configs/schemas/trust-1.schema.json").read_text())

        assert parse_trust(example.encode(), where="formats.md").keys[0].name == "release key 2026"
        listed = self.FIELDS["Trust file"]
        assert keys(json.loads(example)["keys"]) == listed
        assert all(f'"{name}"' in json.dumps(schema) for name in listed)


class TestHooksPage:
    def test_its_example_is_told_the_verdict(self, tmp_path):
        project = GateProject(tmp_path, EVERYTHING, requires=["everything"], limits=LIMITS)
        project.write("conftest.py", blocks(page("hooks.md"), "python")[-1])

        done = project.pytest("--cutover-key", "none", "gates/test_gates.py")

        assert "decided: NO-GO" in done.stdout

    def test_a_hook_that_raises_leaves_the_decision_alone(self, tmp_path):
        """The verdict is signed and printed by then: the exit code may not say something else."""
        project = GateProject(tmp_path, EVERYTHING, requires=["everything"], limits=LIMITS)
        project.write(
            "conftest.py", "def pytest_cutover_decided(config, decision):\n    raise ValueError('x')\n"
        )

        done = project.pytest("--cutover-key", "none")

        assert "ValueError: x" in done.stderr
        assert done.returncode == project.report()["decision"]["exit_code"] == 10


class TestLinks:
    @pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
    def test_every_relative_link_leads_somewhere(self, path):
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        links = re.findall(r"\]\(([^)#\s]+)", text)

        broken = [
            link for link in links if not re.match(r"[a-z]+:", link) and not (path.parent / link).exists()
        ]

        assert broken == []

    def test_the_remedies_of_the_shipped_gates_exist(self):
        gates = (ROOT / "gates" / "test_preflight.py").read_text(encoding="utf-8")
        remedies = set(re.findall(r'remedy="([^"]+)"', gates))

        assert remedies
        assert {r for r in remedies if not (ROOT / r).is_file()} == set()


class TestDecisionRecords:
    RECORDS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))

    def test_they_are_numbered_without_gaps(self):
        numbers = [int(path.name[:4]) for path in self.RECORDS]

        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 8

    @pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.name)
    def test_each_has_its_parts_and_is_short(self, path):
        text = path.read_text(encoding="utf-8")

        assert re.search(
            r"^Status: (accepted|superseded by \d{4})\nDate: \d{4}-\d\d-\d\d$", text, re.MULTILINE
        )
        for part in ("Context", "Options", "Outcome", "Negatives"):
            assert f"\n## {part}\n" in text
        assert len(text.splitlines()) <= 60


class TestChangelog:
    FRAGMENTS = sorted(p for p in (ROOT / "changelog.d").iterdir() if p.name != "README.md")

    def test_each_fragment_has_a_kind_that_the_readme_lists(self):
        kinds = tables((ROOT / "changelog.d" / "README.md").read_text())["Changelog fragments"]
        odd = [
            p.name
            for p in self.FRAGMENTS
            if not re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(kinds)})\.md", p.name)
        ]

        assert odd == []

    @pytest.mark.parametrize("path", FRAGMENTS, ids=lambda p: p.name)
    def test_each_fragment_is_written_in_sentences(self, path):
        text = path.read_text(encoding="utf-8")

        assert re.match(r"[A-Z`]", text)
        assert text.endswith(".\n")


class TestDev:
    def test_contributing_names_only_verbs_that_dev_has(self):
        done = subprocess.run(["sh", "dev", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
        verbs = set(re.findall(r"^  (\w+) {2,}", done.stdout, re.MULTILINE))
        named = {v for p in PAGES for v in re.findall(r"\./dev (\w+)", p.read_text(encoding="utf-8"))}

        assert {"preflight", "test", "lint"} <= verbs
        assert named <= verbs

    def test_an_unknown_verb_is_a_usage_error(self):
        done = subprocess.run(["sh", "dev", "nope"], cwd=ROOT, capture_output=True, text=True, check=False)

        assert done.returncode == 64
        assert done.stderr.startswith("error: unknown verb 'nope'")

    def test_an_interpreter_that_is_too_old_or_none_is_said(self):
        environment = {**os.environ, "CUTOVER_PYTHON": "/bin/false"}
        done = subprocess.run(
            ["sh", "dev", "test"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

        assert done.returncode == 69
        assert "is not a Python of version 3.11 or newer" in done.stderr
