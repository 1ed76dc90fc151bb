"""What the project's policy says about a place for evidence: its server, and how long evidence is kept there at least."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust import is_there
from pytest_cutover.objects.place import absolute, open_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.policy.document import Document
    from pytest_cutover.policy.load import StoreRule


def open_place(place: str) -> ObjectStore:
    """The store at `place`, on the server that the policy names for it.

    Raises:
        ConfigError: no such place can be used, or the policy cannot be read.
    """
    rule = store_rule_of(place) if "://" in place else None
    if rule is None:
        return open_objects(place)
    return open_objects(place, endpoint=rule.endpoint, region=rule.region)


def store_rule_of(place: str) -> StoreRule | None:
    """What the policy says about `place`; None: nothing, or there is no policy.

    Of several environments that keep evidence there the longest retention holds. CUTOVER_ENV says which one is meant.

    Raises:
        ConfigError: the policy cannot be read, or names several servers for that place.
    """
    given = os.environ.get("CUTOVER_POLICY")
    path = Path(given or "configs/policy.json")
    if not given and not is_there(path):
        return None
    from pytest_cutover.policy.load import StoreRule, read_policy

    found = list(_rules(read_policy(path, now=None).document, place))
    if not found:
        return None
    servers = {(rule.endpoint, rule.region) for rule in found}
    if len(servers) > 1:
        raise ConfigError(
            f"{path}: expected one server for {place}, got {len(servers)}",
            hint="CUTOVER_ENV says whose evidence it is",
        )
    spans = [rule.retain_for for rule in found if rule.retain_for is not None]
    return StoreRule(place, *servers.pop(), max(spans, default=None))


def _rules(document: Document, place: str) -> Iterator[StoreRule]:
    from pytest_cutover.policy.load import store_rule

    chosen = os.environ.get("CUTOVER_ENV")
    for name, environment in document.environments.items():
        rule = store_rule(environment)
        if rule is not None and is_same(rule.place, place) and chosen in (None, "", name):
            yield rule


def is_same(one: str, other: str) -> bool:
    """Whether both name the same place, seen from this folder."""
    return absolute(one) == absolute(other)


def words(span: timedelta) -> str:
    """`30 days`."""
    return "1 day" if span == timedelta(days=1) else f"{span.days} days"
