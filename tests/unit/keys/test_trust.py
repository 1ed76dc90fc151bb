from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.position import LogPosition
from pytest_cutover.keys.signer import development_signer, generate, load_private_pem
from pytest_cutover.keys.trust import (
    Anchor,
    AnchorSource,
    KeyState,
    Refusal,
    find_anchor,
    load_trust,
    parse_trust,
    trust_entry,
    with_changes,
    with_entry,
)
from pytest_cutover.keys.trusted import persons_of
from pytest_cutover.keys.verifier import KeyKind

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LOG = "log.example.org/cutover"
GRACE: dict[str, Any] = {
    "state": "grace",
    "rotated": {"origin": LOG, "size": 5, "at": "2026-11-20T00:00:00Z"},
    "grace_until": "2026-12-01T00:00:00Z",
}
REVOKED: dict[str, Any] = {
    "state": "revoked",
    "revoked_at": "2026-11-20T00:00:00Z",
    "reason": "it was on a stolen laptop",
}
ONE, OTHER = (load_private_pem(generate(kind), where="key").public for kind in KeyKind)


def entry(**changes: Any) -> dict[str, Any]:
    fields = {**trust_entry(ONE, name="release", environments=("production",)), **changes}
    return {k: v for k, v in fields.items() if v is not ...}


def document(*entries: Any, **changes: Any) -> bytes:
    return json.dumps({"format": 1, "keys": list(entries), **changes}).encode()


def parse(data: bytes) -> Anchor:
    return parse_trust(data, where="trust.json")


def keyids(
    anchor: Anchor,
    role: str = "decision",
    environment: str = "production",
    at: datetime = NOW,
    position: LogPosition | None = None,
) -> list[str]:
    found = anchor.verifiers(role=role, environment=environment, at=at, position=position)
    return [k.keyid for k in found]


class TestParseTrust:
    def test_reads_every_field(self) -> None:
        data = document(
            entry(person="Ada", not_before="2026-01-01T00:00:00Z", not_after="2027-01-01T00:00:00.5Z")
        )
        (key,) = parse(data).keys

        assert (key.name, key.person, key.keyid) == ("release", "Ada", ONE.keyid)
        assert key.not_before == datetime(2026, 1, 1, tzinfo=UTC)
        assert key.not_after == datetime(2027, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "expected a trust file in JSON"),
            (b"\xff", "expected a trust file in JSON"),
            (b'{"format": 1, "format": 1, "keys": []}', "duplicate key 'format'"),
            (b"[]", "the file: expected an object"),
            (document(), "keys: expected a list of at least one key"),
            (document(entry(), format=2), "format: expected 1, got 2"),
            (document(entry(), format=True), "format: expected 1, got True"),
            (document(entry(), extra=1), "got 'extra'"),
            (document("x"), r"keys\[0\]: expected an object, got 'x'"),
            (document(entry(keyid=...)), r"keys\[0\]: keyid is missing"),
            (document(entry(keyid="00")), r"keys\[0\]\.keyid: expected [0-9a-f]{64} \(SHA-256"),
            (document(entry(keyid=ONE.keyid.upper())), r"keys\[0\]\.keyid"),
            (document(entry(role=["decision"])), r"keys\[0\]: expected only .* got 'role'"),
            (document(entry(roles=[])), r"keys\[0\]\.roles: expected a list"),
            (document(entry(roles=["decisions"])), r"keys\[0\]\.roles\[0\]: expected one of policy"),
            (document(entry(roles="decision")), r"keys\[0\]\.roles: expected a list"),
            (document(entry(environments=[""])), r"keys\[0\]\.environments\[0\]: expected a name"),
            (document(entry(environments=[["a"]])), r"keys\[0\]\.environments\[0\]: expected a name"),
            (document(entry(environments=["a", "a"])), "each name once"),
            (document(entry(name="")), r"keys\[0\]\.name: expected a text"),
            (document(entry(person=None)), r"keys\[0\]\.person: expected a text, got None"),
            (document(entry(roles=["log"])), r"keys\[0\]: origin is missing, and role log needs it"),
            (document(entry(roles=["decision", "witness"])), "origin is missing, and role witness"),
            (
                document(trust_entry(OTHER, name="log", roles=("log",), origin=LOG)),
                r"keys\[0\]\.public_key: expected an Ed25519 key for role log, .* got 'ecdsa-p256'",
            ),
            (
                document(entry(origin="log.example.org")),
                r"origin: expected it only beside role log or witness",
            ),
            (document(entry(roles=["log"], origin="")), r"origin: expected a text"),
            (document(entry(roles=["log"], origin="a b")), "a name without white space"),
            (document(entry(roles=["log"], origin="a+b")), "a name without white space"),
            (document(entry(not_after="tomorrow")), r"keys\[0\]\.not_after: expected a UTC time"),
            (document(entry(not_after="2026-01-01T00:00:00+00:00")), "expected a UTC time"),
            (document(entry(not_after=5)), "expected a UTC time"),
            (
                document(entry(not_before="2027-01-01T00:00:00Z", not_after="2026-01-01T00:00:00Z")),
                "expected a time after not_before",
            ),
            (document(entry(state="asleep")), "state: expected one of active, grace, retired, revoked"),
            (document(entry(state=["grace"])), "state: expected one of active"),
            (document(entry(state="grace")), "rotated is missing, and state grace needs it"),
            (document(entry(**GRACE, reason="x")), "reason: expected none beside state grace"),
            (document(entry(**{**GRACE, "grace_until": ...})), "grace_until is missing"),
            (document(entry(**{**GRACE, "state": ...})), "rotated: expected none beside state active"),
            (document(entry(**{**GRACE, "grace_until": "2026-11-19T00:00:00Z"})), "time after the rotation"),
            (document(entry(**GRACE | {"rotated": {"origin": LOG, "size": 5}})), "rotated: at is missing"),
            (document(entry(**GRACE | {"rotated": GRACE["rotated"] | {"size": -1}})), "whole number from 0"),
            (
                document(entry(**GRACE | {"rotated": GRACE["rotated"] | {"size": True}})),
                "whole number from 0",
            ),
            (document(entry(**{**REVOKED, "state": ...})), "revoked_at: expected none beside state active"),
            (document(entry(**{**REVOKED, "state": "retired"})), "expected none beside state retired"),
            (document(entry(**{**REVOKED, "reason": ...})), "reason is missing, and state revoked needs it"),
            (document(entry(**{**REVOKED, "reason": " "})), "reason: expected a text"),
            (document(entry(), thresholds=[]), "thresholds: expected an object of roles"),
            (document(entry(), thresholds={"boss": {"persons": 1}}), "thresholds: expected one of the roles"),
            (document(entry(), thresholds={"log": {"persons": 1}}), "thresholds: expected one of the roles"),
            (document(entry(), thresholds={"policy": 2}), r"thresholds\.policy: expected an object"),
            (document(entry(), thresholds={"policy": {"persons": 0}}), "whole number from 1 to 64, got 0"),
            (document(entry(), thresholds={"policy": {"persons": 1, "keys": 1}}), "expected only persons"),
            (document(entry(), policies={"shop": {}}), r"policies\.shop: min_version is missing"),
            (document(entry(), policies={"shop": {"min_version": "3"}}), "whole number from 1"),
            (document(entry(), policies={"": {"min_version": 3}}), "policies: expected a text"),
            (document(entry(public_key="x")), r"trust\.json: keys\[0\]\.public_key: expected PEM"),
            (document(entry(public_key=5)), r"keys\[0\]\.public_key: expected a text"),
            (document(entry(), entry(name="again")), r"keys\[1\] is the same key as keys\[0\]"),
        ],
    )
    def test_says_the_file_and_what_is_wrong(self, data: bytes, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            parse(data)
        assert str(caught.value).startswith("trust.json: ")

    @pytest.mark.parametrize("role", ["log", "witness"])
    def test_a_key_of_notes_has_the_name_it_signs_them_with(self, role: str) -> None:
        (key,) = parse(document(entry(roles=[role], origin="log.example.org/cutover"))).keys

        assert key.origin == "log.example.org/cutover"
        assert key.has_role(role)

    def test_a_private_key_in_it_is_not_repeated(self) -> None:
        pem = generate(KeyKind.ED25519).decode()

        for data in (document(entry(public_key=pem)), document(entry(keyid=pem))):
            with pytest.raises(ConfigError) as caught:
                parse(data)
            assert pem.splitlines()[1] not in f"{caught.value} {caught.value.hint}"

    @given(
        st.binary(max_size=200)
        | st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text()
            | st.sampled_from(["format", "keys", "roles"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["format", "keys", "roles", "keyid", "name", "environments", "public_key"]
                    ),
                    inner,
                )
            ),
            max_leaves=8,
        ).map(lambda v: json.dumps(v).encode())
    )
    @settings(max_examples=200, deadline=None)
    def test_never_raises_anything_but_config_error(self, data: bytes) -> None:
        with pytest.raises(ConfigError):
            parse(data)


class TestAnchor:
    def test_verifiers_have_role_environment_and_time(self) -> None:
        anchor = parse(
            document(
                entry(not_after="2026-11-21T00:00:00Z"),
                {**trust_entry(OTHER, name="anywhere"), "roles": ["decision", "policy"]},
            )
        )

        assert keyids(anchor) == [ONE.keyid, OTHER.keyid]
        assert keyids(anchor, role="policy") == [OTHER.keyid]
        assert keyids(anchor, role="approval") == []
        assert keyids(anchor, environment="staging") == [OTHER.keyid]
        assert keyids(anchor, at=NOW + timedelta(microseconds=1)) == [OTHER.keyid]

    def test_a_key_is_not_valid_before_its_time(self) -> None:
        anchor = parse(document(entry(not_before="2026-11-21T00:00:00Z")))

        assert keyids(anchor) == [ONE.keyid]
        assert keyids(anchor, at=NOW - timedelta(microseconds=1)) == []

    def test_a_key_in_grace_counts_for_what_the_log_held_before_its_rotation(self) -> None:
        anchor = parse(document(entry(**GRACE)))

        assert keyids(anchor) == []
        assert keyids(anchor, position=LogPosition(LOG, 4)) == [ONE.keyid]
        assert keyids(anchor, position=LogPosition(LOG, 5)) == []
        assert keyids(anchor, position=LogPosition(LOG, -1)) == []
        assert keyids(anchor, position=LogPosition("log.example.org/other", 4)) == []

    def test_a_claimed_time_before_the_rotation_proves_nothing(self) -> None:
        assert keyids(parse(document(entry(**GRACE))), at=NOW - timedelta(days=9)) == []

    def test_a_grace_ends(self) -> None:
        anchor, end = parse(document(entry(**GRACE))), datetime(2026, 12, 1, tzinfo=UTC)

        assert keyids(anchor, position=LogPosition(LOG, 4), at=end) == [ONE.keyid]
        assert keyids(anchor, position=LogPosition(LOG, 4), at=end + timedelta(microseconds=1)) == []
        assert anchor.keys[0].ends_at == end

    @pytest.mark.parametrize(
        "life", [REVOKED, {"state": "retired"}, GRACE | {"state": "retired"}, GRACE | REVOKED]
    )
    def test_retired_and_revoked_keys_count_for_nothing(self, life: dict[str, Any]) -> None:
        anchor = parse(document(entry(**life)))

        assert [keyids(anchor, position=p) for p in (None, LogPosition(LOG, 0))] == [[], []]

    @pytest.mark.parametrize(
        ("life", "asked", "refusal"),
        [
            ({}, {}, None),
            (REVOKED, {}, Refusal.REVOKED),
            ({"state": "retired"}, {}, Refusal.RETIRED),
            ({}, {"role": "policy"}, Refusal.ROLE),
            ({}, {"environment": "staging"}, Refusal.ENVIRONMENT),
            ({"not_after": "2026-01-01T00:00:00Z"}, {}, Refusal.TIME),
            (GRACE, {}, Refusal.ROTATED),
        ],
    )
    def test_it_says_why_a_key_does_not_count(
        self, life: dict[str, Any], asked: dict[str, str], refusal: Refusal | None
    ) -> None:
        question: dict[str, Any] = {"role": "decision", "environment": "production", "at": NOW} | asked
        anchor = parse(document(entry(**life)))

        assert anchor.refusal(ONE.keyid, **question) is refusal
        assert (anchor.verifiers(**question) == ()) is (refusal is not None)
        with pytest.raises(ValueError, match="there is no key"):
            anchor.refusal(OTHER.keyid, **question)

    @pytest.mark.parametrize(
        ("life", "said"), [(GRACE, "in grace"), ({"state": "retired"}, "retired"), (REVOKED, "revoked")]
    )
    def test_only_an_active_key_signs(self, life: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=f"'release' signs no more: trust.json says that it is {said}"):
            parse(document(entry(**life))).refuse_old(ONE.keyid)

        parse(document(entry())).refuse_old(ONE.keyid)
        parse(document(entry(**life))).refuse_old(OTHER.keyid)

    def test_persons_are_counted_and_not_their_keys(self) -> None:
        entries = [entry(person="Ada"), trust_entry(OTHER, name="second", person="Ada")]
        anchor = parse(document(*entries, thresholds={"policy": {"persons": 2}, "decision": {"persons": 1}}))
        ada = anchor.keys

        assert anchor.shortfall("policy", ada) == (
            "expected signatures of 2 persons in role policy, got 1 (Ada)"
        )
        assert anchor.shortfall("policy", ()) == ("expected signatures of 2 persons in role policy, got none")
        assert anchor.shortfall("decision", ada[:1]) is None
        assert anchor.shortfall("waiver", ()) is None

    def test_a_key_of_nobody_is_no_person(self) -> None:
        anchor = parse(document(entry(), thresholds={"policy": {"persons": 1}}))

        assert anchor.shortfall("policy", anchor.keys) is not None

    def test_an_older_policy_than_the_floor_is_outdated(self) -> None:
        anchor = parse(document(entry(), policies={"shop": {"min_version": 3}}))

        assert [anchor.is_outdated("shop", v) for v in (2, 3, 4)] == [True, False, False]
        assert not anchor.is_outdated("another", 1)

    def test_unknown_roles_and_naive_times_are_mistakes_of_the_caller(self) -> None:
        anchor = parse(document(entry()))

        with pytest.raises(ValueError, match="expected one of policy, decision, approval"):
            anchor.verifiers(role="boss", environment="production", at=NOW)
        with pytest.raises(ValueError, match="timezone-aware"):
            anchor.verifiers(role="decision", environment="production", at=NOW.replace(tzinfo=None))


class TestWriting:
    def test_another_entry_leaves_the_rest_as_it_is(self) -> None:
        """A threshold that got lost on the way would let one person do what takes two."""
        before = document(
            entry(person="Ada"), thresholds={"policy": {"persons": 2}}, policies={"shop": {"min_version": 3}}
        )
        after = parse(with_entry(before, trust_entry(OTHER, name="second"), where="trust.json"))

        assert [k.name for k in after.keys] == ["release", "second"]
        assert (after.thresholds, after.floors) == ({"policy": 2}, {"shop": 3})

    def test_a_key_changes_its_state_and_nothing_else_does(self) -> None:
        before = document(entry(), trust_entry(OTHER, name="second"), policies={"shop": {"min_version": 3}})
        grace = with_changes(before, ONE.keyid, GRACE, where="trust.json")
        again = {"state": None, "rotated": None, "grace_until": None}

        assert [k.state for k in parse(grace).keys] == [KeyState.GRACE, KeyState.ACTIVE]
        assert parse(with_changes(grace, ONE.keyid, again, where="trust.json")) == parse(before)

    def test_what_the_reader_would_refuse_is_not_written(self) -> None:
        with pytest.raises(ConfigError, match="rotated is missing"):
            with_changes(document(entry()), ONE.keyid, {"state": "grace"}, where="trust.json")
        with pytest.raises(ConfigError, match="there is no key"):
            with_changes(document(entry()), OTHER.keyid, GRACE, where="trust.json")


class TestFindAnchor:
    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        path = tmp_path / "trust.json"
        path.write_bytes(document(entry(name="outside")))
        return path

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "repo/configs").mkdir(parents=True)
        return tmp_path / "repo"

    def test_the_order_is_option_environment_repository_development(self, root: Path, outside: Path) -> None:
        assert find_anchor(None, {}, root) is None
        development_signer(root, say=lambda _: None)
        development = find_anchor(None, {}, root)
        (root / "configs/trust.json").write_bytes(document(entry(name="repository")))
        repository = find_anchor(None, {}, root)
        given_ = find_anchor(None, {"CUTOVER_TRUST": str(outside)}, root)
        option = find_anchor(str(outside), {"CUTOVER_TRUST": "/nowhere"}, root)

        sources = [a.source for a in (development, repository, given_, option) if a is not None]
        assert sources == [
            AnchorSource.DEVELOPMENT,
            AnchorSource.REPOSITORY,
            AnchorSource.GIVEN,
            AnchorSource.GIVEN,
        ]

    def test_it_says_how_much_it_proves(self, root: Path, outside: Path) -> None:
        development_signer(root, say=lambda _: None)
        development = find_anchor(None, {}, root)
        (root / "configs/trust.json").write_bytes(document(entry()))
        repository = find_anchor(None, {}, root)
        option = find_anchor(str(outside), {}, root)

        assert development is not None
        assert repository is not None
        assert option is not None
        assert "proves only that nothing changed" in development.description
        assert "proves little" in repository.description
        assert [a.integrity_only for a in (development, repository, option)] == [True, True, False]

    def test_a_given_file_inside_the_repository_is_the_repositorys(self, root: Path) -> None:
        path = root / "configs/trust.json"
        path.write_bytes(document(entry()))
        found = find_anchor(str(root / ".." / root.name / "configs/trust.json"), {}, root)

        assert found is not None
        assert found.source is AnchorSource.REPOSITORY

    @pytest.mark.parametrize(
        ("option", "environ"), [("", {}), (None, {"CUTOVER_TRUST": ""}), (None, {"CUTOVER_TRUST": " "})]
    )
    def test_empty_never_falls_back_to_weaker_trust(
        self, root: Path, option: str | None, environ: dict[str, str]
    ) -> None:
        (root / "configs/trust.json").write_bytes(document(entry()))

        with pytest.raises(ConfigError, match="expected the path of a trust file, got nothing"):
            find_anchor(option, environ, root)

    def test_a_repository_file_that_leads_nowhere_is_no_reason_to_trust_less(self, root: Path) -> None:
        development_signer(root, say=lambda _: None)
        (root / "configs/trust.json").symlink_to("gone.json")

        with pytest.raises(ConfigError, match="cannot be read"):
            find_anchor(None, {}, root)

    def test_beside_a_repository_file_a_development_key_counts_in_the_sandbox_only(self, root: Path) -> None:
        signer = development_signer(root, say=lambda _: None)
        (root / "configs/trust.json").write_bytes(document(entry()))
        anchor = find_anchor(None, {}, root)

        assert anchor is not None
        assert keyids(anchor, environment="sandbox") == [signer.keyid]
        assert keyids(anchor, environment="production") == [ONE.keyid]

    def test_a_given_file_is_all_that_counts(self, root: Path, outside: Path) -> None:
        development_signer(root, say=lambda _: None)
        anchor = find_anchor(str(outside), {}, root)

        assert anchor is not None
        assert [k.keyid for k in anchor.keys] == [ONE.keyid]

    @pytest.mark.parametrize("name", ["gone.json", ".", "a\0b"])
    def test_a_file_that_cannot_be_read_is_an_error(self, root: Path, name: str) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            find_anchor(name, {}, root)

    def test_a_huge_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="more than 4194304 bytes"):
            load_trust(Path("/dev/zero"))

    def test_a_development_key_signs_policies_in_the_sandbox_only(self, root: Path) -> None:
        signer = development_signer(root, say=lambda _: None)
        anchor = find_anchor(None, {}, root)

        assert anchor is not None
        assert keyids(anchor, environment="production") == [signer.keyid]
        assert keyids(anchor, role="policy", environment="sandbox") == [signer.keyid]
        assert keyids(anchor, role="policy", environment="production") == []


def test_two_spellings_of_a_person_are_one() -> None:
    keys = document(entry(person="Ada  Lovelace"), trust_entry(OTHER, name="x", person="ada lovelace "))

    assert persons_of(parse_trust(keys, where="t").keys) == ("Ada  Lovelace",)
