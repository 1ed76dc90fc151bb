"""Mistakes of meaning: values that are well-formed alone and wrong together.

Works on the located tree, so it also finds them in a document that has mistakes of shape: whatever
is missing or of the wrong type is passed over here and reported by `shape`. Pure: `now` is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.model import parse_rfc3339, rfc3339
from pytest_cutover.policy.environments import check_environments
from pytest_cutover.policy.issues import did_you_mean, mistake, shown
from pytest_cutover.policy.limits import check_limits
from pytest_cutover.policy.requires import check_plans
from pytest_cutover.policy.shape import check_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from pytest_cutover.policy.document import Document
    from pytest_cutover.policy.issues import Issue
    from pytest_cutover.policy.positions import Located, Node


def check(located: Located, *, now: datetime | None) -> tuple[Document | None, list[Issue]]:
    """The document, and every mistake and note in file order.

    The document is None when an issue is a mistake (not only notes). With `now` of None the end date is
    not judged: `decide` does that, with a reason code of its own.
    """
    document, issues = check_shape(located)
    if document is not None or isinstance(located.root.value, dict):
        issues = _without_repeats([*issues, *_meaning(located.root, now)])
    issues.sort(key=lambda i: i.line)
    return (None if any(not i.note for i in issues) else document), issues


def _without_repeats(issues: Iterable[Issue]) -> list[Issue]:
    return list(dict.fromkeys(issues))


def _meaning(root: Node, now: datetime | None) -> Iterator[Issue]:
    yield from _texts(root)
    yield from _expiry(root, now)
    yield from _default_environment(root)
    yield from check_plans(root)
    yield from check_limits(root)
    yield from check_environments(root)


def _texts(root: Node) -> Iterator[Issue]:
    """Control characters would let a policy write to the terminal of whoever reads about it."""
    for node in root.walk():
        keys = [k for k, _ in node.members()]
        for text in [*keys, *([node.value] if isinstance(node.value, str) else [])]:
            found = next((c for c in text if ord(c) < 32 or 127 <= ord(c) < 160), None)
            if found is not None and not ("command" in node.path and found in "\n\t"):
                yield mistake(
                    node, f"expected plain text, got the control character U+{ord(found):04X}", "remove it"
                )


def _expiry(root: Node, now: datetime | None) -> Iterator[Issue]:
    node = root.get("expires")
    if node is None or not isinstance(node.value, str):
        return
    try:
        expires = parse_rfc3339(node.value)
    except ValueError:
        yield mistake(
            node, f"expected a UTC time, got {shown(node.value)}", "write it as 2030-01-01T00:00:00Z"
        )
        return
    if now is not None and expires <= now:
        yield mistake(
            node,
            f"expected a time after {rfc3339(now)}, got {node.value}: the policy has expired",
            "review the policy, raise its version, move the date and sign it again",
        )


def _default_environment(root: Node) -> Iterator[Issue]:
    node = root.get("default_environment")
    known = [name for name, _ in root.members("environments")]
    if node is not None and isinstance(node.value, str) and node.value not in known:
        yield mistake(
            node,
            f"expected an environment of this policy, got {node.value!r}",
            did_you_mean(node.value, known, what="environments"),
        )
