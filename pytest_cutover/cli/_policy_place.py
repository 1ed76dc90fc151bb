"""What the project's policy says about a place for evidence or a log: its server, and how long evidence stays at least.

Whoever says which server a bucket is on says what is found there, so a policy says that only where it is trusted.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust import find_anchor, is_there
from pytest_cutover.model import PolicySignature
from pytest_cutover.objects.place import absolute, open_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.policy.load import LoadedPolicy, PlaceRule, StoreRule


def open_place(place: str, trust: str | None = None) -> ObjectStore:
    """The store at `place`; which server is asked stands on standard error, unless it is Amazon's.

    That is the one that the policy names, where its signature is trusted (by the trust file `trust`, else as everywhere), or the
    environment, which may not name another.

    Raises:
        ConfigError: no such place can be used, or the policy cannot be read, is not trusted, or says another server.
    """
    if "://" not in place:
        return open_objects(place)
    from pytest_cutover.objects.s3 import S3Objects

    endpoint, region = _server(place, trust)
    store = open_objects(place, endpoint=endpoint, region=region)
    if isinstance(store, S3Objects) and store.server is not None:
        address = urlsplit(store.server)
        print(
            f"{store.where}: asking {address.scheme}://{address.netloc.rpartition('@')[2]}", file=sys.stderr
        )
    return store


def _server(place: str, trust: str | None) -> tuple[str | None, str | None]:
    """Endpoint and region that the policy names for `place`; None: the environment or the AWS profile does."""
    rule = store_rule_of(place)
    if rule is None or rule.endpoint is None:
        return None, None if rule is None else rule.region  # a bucket has one name in all regions
    given = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    loaded = list(_loaded(place, find_anchor(trust, os.environ, Path())))
    doubts = [p.signature.detail for p in loaded if p.signature.state is not PolicySignature.TRUSTED]
    if doubts and given:
        return None, None
    if doubts:
        raise ConfigError(
            f"{_path()} says that {place} is at {rule.endpoint}, and it is not trusted: {doubts[0]}",
            hint="see cutover policy verify; or say yourself which server it is, with AWS_ENDPOINT_URL",
        )
    rule = _only(place, loaded)
    if given and rule.endpoint is not None and given.rstrip("/") != rule.endpoint.rstrip("/"):
        raise ConfigError(
            f"expected one server for {place}: {_path()} says {rule.endpoint}, AWS_ENDPOINT_URL says {given}",
            hint="unset AWS_ENDPOINT_URL, or sign a policy that says the same",
        )
    return rule.endpoint, rule.region


def store_rule_of(place: str) -> StoreRule | None:
    """What the policy says about `place`, whoever signed it; None: nothing, or there is no policy.

    Of several environments that keep evidence there the longest retention holds; a log retains nothing. CUTOVER_ENV says
    which one is meant.

    Raises:
        ConfigError: the policy cannot be read, or names several servers for that place.
    """
    loaded = list(_loaded(place, None))
    return _only(place, loaded) if loaded else None


def _only(place: str, loaded: list[LoadedPolicy]) -> StoreRule:
    from pytest_cutover.policy.load import StoreRule

    found = [rule for one in loaded for rule in _at(place, one.profile.store, one.profile.log)]
    servers = {(rule.endpoint, rule.region) for rule in found}
    if len(servers) != 1:
        raise ConfigError(
            f"{_path()}: expected one server for {place}, got {len(servers)}",
            hint="CUTOVER_ENV says whose evidence it is",
        )
    spans = [rule.retain_for for rule in found if isinstance(rule, StoreRule) and rule.retain_for is not None]
    return StoreRule(place, *servers.pop(), max(spans, default=None))


def _path() -> Path:
    return Path(os.environ.get("CUTOVER_POLICY") or "configs/policy.json")


def _loaded(place: str, anchor: Anchor | None) -> Iterator[LoadedPolicy]:
    """The policy for each plan of each environment that keeps anything at `place`: plans may differ in whose key counts."""
    path = _path()
    if not os.environ.get("CUTOVER_POLICY") and not is_there(path):
        return
    from pytest_cutover.policy.load import load_policy, log_rule, read_policy, store_rule

    document = read_policy(path, now=None).document
    chosen = os.environ.get("CUTOVER_ENV")
    for name, environment in document.environments.items():
        kept = _at(place, store_rule(environment), log_rule(environment))
        if kept and chosen in (None, "", name):
            for plan in document.plans:
                yield load_policy(path, plan=plan, environment=name, anchor=anchor, now=datetime.now(UTC))


def _at(place: str, *rules: PlaceRule | None) -> list[PlaceRule]:
    """Those of the rules that are about the same place, seen from this folder."""
    return [rule for rule in rules if rule is not None and absolute(rule.place) == absolute(place)]


def words(span: timedelta) -> str:
    """`30 days`."""
    return "1 day" if span == timedelta(days=1) else f"{span.days} days"
