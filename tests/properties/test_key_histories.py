"""Simulated histories of keys under a virtual clock: what counts agrees with a small model of its own, whatever happens.

A history adds, rotates, retires and revokes keys, signs honestly and with stolen keys, and asks; meanwhile the clock goes
on, and sometimes back. The trust file is changed by the code of `cutover keys`, read by the reader of `cutover verify`
and judged by `Anchor.verifiers`. The model knows no trust file: it remembers what happened, and the order of the log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pytest_cutover.keys.countdown import Severity, check_keys
from pytest_cutover.keys.life import into_grace, into_retirement, into_revocation, with_successor
from pytest_cutover.keys.position import LogPosition
from pytest_cutover.keys.trust import parse_trust, trust_entry, with_entry
from pytest_cutover.keys.trusted import KeyState
from pytest_cutover.keys.verifier import ed25519_key
from pytest_cutover.model import rfc3339
from tests.properties.cases import Choices, cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.keys.trust import Anchor

EPOCH = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LOG, OTHER_LOG = "log.example.org/cutover", "log.example.org/other"
WHERE = "trust.json"
ROLES = ("decision", "policy")
PLACES = ("production", "staging")
PERSONS = ("Ada", "Grace", None)
# Nothing is signed here: which keys count does not depend on what their bits are.
PUBLIC = [ed25519_key(bytes([number]) * 32) for number in range(24)]
STEPS = 14


@dataclass
class Known:
    """What the model remembers of a key."""

    keyid: str
    roles: frozenset[str]
    places: frozenset[str]
    person: str | None
    begins: datetime | None
    ends: datetime | None
    rotated_behind: int | None = None  # how many entries the log had
    grace_ends: datetime | None = None
    retired: bool = False
    revoked: bool = False


@dataclass
class Signed:
    """A signature, where the log really holds it, and what its maker says about the time."""

    by: Known
    index: int
    claimed: datetime
    stolen: bool  # by somebody who should not have the key


@dataclass
class World:
    """The clock, the log, the trust file, and beside it the model."""

    choices: Choices
    now: datetime = EPOCH
    entries: int = 0
    trust: bytes = b""
    model: dict[str, Known] = field(default_factory=dict)
    signed: list[Signed] = field(default_factory=list)
    threshold: int = 0

    def anchor(self) -> Anchor:
        return parse_trust(self.trust, where=WHERE)

    def log(self) -> int:
        self.entries += 1
        return self.entries - 1

    def active(self) -> list[Known]:
        return [k for k in self.model.values() if k.rotated_behind is None and not k.revoked]

    # -- what can happen

    def begin(self) -> None:
        self.threshold = self.choices.randint(1, 2)
        document = {"format": 1, "keys": [], "thresholds": {"policy": {"persons": self.threshold}}}
        for _ in range(self.choices.randint(1, 2)):
            entry = self._entry()
            if document["keys"]:
                self.trust = with_entry(self.trust, entry, where=WHERE)
            else:
                document["keys"] = [entry]
                self.trust = json.dumps(document).encode()

    def _entry(self) -> dict[str, Any]:
        choices, public = self.choices, PUBLIC[len(self.model)]
        begins = self.now + choices.randint(-3, 3) * DAY if choices.random() < 0.5 else None
        ends = self.now + choices.randint(4, 20) * DAY if choices.random() < 0.6 else None
        roles = choices.choice([ROLES, ROLES[:1], ROLES[1:]])
        places = choices.choice([("*",), PLACES[:1], PLACES])
        known = Known(
            public.keyid, frozenset(roles), frozenset(places), choices.choice(PERSONS), begins, ends
        )
        self.model[public.keyid] = known
        times = {"not_before": begins, "not_after": ends}
        return {
            **trust_entry(
                public, name=f"key {len(self.model)}", roles=roles, environments=places, person=known.person
            ),
            **{name: rfc3339(at) for name, at in times.items() if at is not None},
        }

    def add(self) -> None:
        self.trust = with_entry(self.trust, self._entry(), where=WHERE)

    def rotate(self) -> None:
        """As a key ring does: the new key is listed, the rotation logged, the old key put into grace."""
        old = self.choices.one_of(self.active() or list(self.model.values()))
        public = PUBLIC[len(self.model)]
        self.trust = with_successor(self.trust, old.keyid, public, at=self.now, where=WHERE)
        lasts = None if old.begins is None or old.ends is None else old.ends - old.begins
        self.model[public.keyid] = Known(
            public.keyid,
            old.roles,
            old.places,
            old.person,
            None if lasts is None else self.now,
            None if lasts is None else self.now + lasts,
        )
        self.pass_time()
        size, grace = self.log(), self.choices.randint(0, 10) * DAY
        self.trust = into_grace(
            self.trust, old.keyid, origin=LOG, size=size, at=self.now, grace=grace, where=WHERE
        )
        if old.rotated_behind is None and not old.revoked:
            old.rotated_behind, old.grace_ends = size, self.now + grace

    def retire(self) -> None:
        graced = [k for k in self.model.values() if k.rotated_behind is not None and not k.revoked]
        if graced:
            key = self.choices.choice(graced)
            self.trust = into_retirement(self.trust, key.keyid, where=WHERE)
            key.retired = True

    def revoke(self) -> None:
        key = self.choices.choice(list(self.model.values()))
        self.trust = into_revocation(self.trust, key.keyid, at=self.now, reason="stolen", where=WHERE)
        key.revoked = True

    def sign(self) -> None:
        """Somebody with the active key, who says the time as it is."""
        if self.active():
            key = self.choices.choice(self.active())
            self.signed.append(Signed(key, self.log(), self.now, stolen=False))

    def steal(self) -> None:
        """A thief with any key there ever was, who says any time he likes."""
        key = self.choices.choice(list(self.model.values()))
        claimed = EPOCH + self.choices.randint(-10, 30) * DAY
        self.signed.append(Signed(key, self.log(), claimed, stolen=True))

    def pass_time(self) -> None:
        days = self.choices.choice([0, 0, 0.25, 1, 3, 8, -2])
        self.now += days * DAY

    def happen(self) -> None:
        things = [self.sign] * 4 + [self.steal] * 2 + [self.rotate] * 2 + [self.pass_time] * 3
        self.choices.choice([*things, self.add, self.retire, self.revoke])()


def world(choices: Choices) -> World:
    """A world after everything in it has happened."""
    out = World(choices)
    out.begin()
    for _ in range(choices.randint(1, STEPS)):
        out.happen()
    return out


def counts(key: Known, role: str, place: str, at: datetime, index: int | None) -> bool:
    """The model: `index` is where this log holds what was signed; None: nobody has shown that."""
    if key.revoked or key.retired or role not in key.roles:
        return False
    if not key.places & {"*", place}:
        return False
    if (key.begins and at < key.begins) or (key.ends and at > key.ends):
        return False
    if key.rotated_behind is None or key.grace_ends is None:
        return True
    return at <= key.grace_ends and index is not None and index < key.rotated_behind


def questions(found: World) -> Iterator[tuple[str, str, datetime]]:
    for _ in range(4):
        at = found.now + found.choices.choice([0, -1, 1, -5, 12]) * DAY
        yield found.choices.choice(ROLES), found.choices.choice(PLACES), at


# -- what holds in every world


def the_keys_that_count_are_those_of_the_model(found: World, choices: Choices) -> None:
    anchor = found.anchor()
    for role, place, at in questions(found):
        for index in (None, 0, choices.randint(0, found.entries + 1)):
            position = None if index is None else LogPosition(LOG, index)
            asked: dict[str, Any] = {"role": role, "environment": place, "at": at, "position": position}
            counting = {k.keyid for k in anchor.verifiers(**asked)}

            assert counting == {k.keyid for k in found.model.values() if counts(k, role, place, at, index)}
            assert counting == {k.keyid for k in anchor.keys if anchor.refusal(k.keyid, **asked) is None}


def another_log_proves_nothing(found: World, choices: Choices) -> None:
    anchor = found.anchor()
    for role, place, at in questions(found):
        asked: dict[str, Any] = {"role": role, "environment": place, "at": at}
        elsewhere = LogPosition(OTHER_LOG, choices.randint(0, found.entries))

        assert anchor.verifiers(**asked, position=elsewhere) == anchor.verifiers(**asked)


def no_stolen_key_counts_for_what_came_after_its_rotation(found: World, choices: Choices) -> None:
    """Whatever time the thief says, whoever asks, whenever. And nobody's key does once it was revoked."""
    anchor = found.anchor()
    for signed in found.signed:
        behind = signed.by.rotated_behind
        late = behind is not None and signed.index >= behind
        if not (late or signed.by.revoked or signed.by.retired):
            continue
        for position in (LogPosition(LOG, signed.index), None):
            for role in ROLES:
                for at in (signed.claimed, found.now, EPOCH):
                    asked: dict[str, Any] = {"role": role, "environment": "production", "at": at}
                    counting = anchor.verifiers(**asked, position=position)
                    assert signed.by.keyid not in {k.keyid for k in counting}


def what_was_signed_honestly_counts_until_its_key_ends(found: World, choices: Choices) -> None:
    """A rotation refuses nothing that was good before it."""
    anchor = found.anchor()
    for signed in found.signed:
        key = signed.by
        ends = [end for end in (key.ends, key.grace_ends) if end is not None]
        in_time = (key.begins is None or key.begins <= signed.claimed) and all(
            signed.claimed <= end for end in ends
        )
        if signed.stolen or key.revoked or key.retired or not in_time:
            continue
        place = "production"
        if not key.places & {"*", place}:
            continue
        for role in key.roles:
            asked: dict[str, Any] = {"role": role, "environment": place, "at": signed.claimed}
            counting = anchor.verifiers(**asked, position=LogPosition(LOG, signed.index))
            assert key.keyid in {k.keyid for k in counting}


def persons_are_counted_as_the_model_counts_them(found: World, choices: Choices) -> None:
    anchor = found.anchor()
    signers = [k for k in anchor.keys if choices.random() < 0.6]
    persons = {found.model[k.keyid].person for k in signers} - {None}

    assert (anchor.shortfall("policy", signers) is None) is (len(persons) >= found.threshold)
    assert anchor.shortfall("decision", signers) is None


def the_countdown_is_that_of_the_model(found: World, choices: Choices) -> None:
    """Also after the clock went back behind a rotation or revocation, which is an alarm of its own."""
    warn, critical = 7 * DAY, 3 * DAY
    anchor = found.anchor()
    findings = {f.key.keyid: f for f in check_keys(anchor, found.now, warn=warn, critical=critical) if f.key}
    for key in anchor.keys:
        known, finding = found.model[key.keyid], findings[key.keyid]
        if key.state is KeyState.ACTIVE:
            assert finding.severity is _countdown(known, found.now)
        elif "a clock is wrong" in finding.message:
            times = [key.revoked_at, key.rotated and key.rotated.at]
            assert any(at is not None and at > found.now for at in times)
        elif key.state is KeyState.GRACE:
            ends = [end for end in (known.ends, known.grace_ends) if end is not None]
            over = found.now > min(ends)
            assert finding.severity is (Severity.CRITICAL if over else Severity.FINE)
        else:
            assert finding.severity is Severity.FINE


def _countdown(key: Known, now: datetime) -> Severity:
    if key.ends is None or now > key.ends or (key.begins is not None and now < key.begins):
        return Severity.FINE  # what it leaves behind is said of the role
    left = (key.ends - now) / DAY
    return Severity.CRITICAL if left <= 3 else Severity.WARN if left <= 7 else Severity.FINE


class TestHistories:
    CLAIMS = (
        the_keys_that_count_are_those_of_the_model,
        another_log_proves_nothing,
        no_stolen_key_counts_for_what_came_after_its_rotation,
        what_was_signed_honestly_counts_until_its_key_ends,
        persons_are_counted_as_the_model_counts_them,
        the_countdown_is_that_of_the_model,
    )

    @cases(world)
    def test_every_one_agrees_with_the_model(self, found: World, choices: Choices) -> None:
        """One history for all claims: making it costs more than asking."""
        for claim in self.CLAIMS:
            claim(found, choices)


class TestTheHistories:
    def test_hold_everything_that_can_happen(self) -> None:
        """Guards the tests above: a world in which nothing happens would pass them all."""
        worlds = [world(Choices(number)) for number in range(300)]
        keys = [key for found in worlds for key in found.model.values()]
        states = {key.state for found in worlds for key in found.anchor().keys}

        assert states == set(KeyState)
        assert sum(key.rotated_behind is not None for key in keys) > 100
        assert sum(key.revoked for key in keys) > 30
        assert sum(key.retired for key in keys) > 30
        assert sum(key.begins is not None for key in keys) > 100
        late = [
            signed
            for found in worlds
            for signed in found.signed
            if signed.by.rotated_behind is not None and signed.index >= signed.by.rotated_behind
        ]
        assert len(late) > 30
        assert any(signed.claimed < EPOCH for signed in late)
