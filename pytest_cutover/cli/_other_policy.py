"""What `cutover decide` and `backtest` share: the policy that evidence is judged by instead."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.model import PolicySignature

if TYPE_CHECKING:
    import argparse

    from pytest_cutover.cli import Parser
    from pytest_cutover.model import EffectivePolicy


def add_policy(parser: Parser) -> None:
    """The options that name the policy."""
    parser.add_argument("--policy", required=True, metavar="FILE", help="the policy to judge by instead")
    parser.add_argument(
        "--draft",
        action="store_true",
        help="judge as if a trusted policy key had signed it: what a draft would say",
    )


def load(options: argparse.Namespace, plan: str, environment: str) -> EffectivePolicy:
    """The policy for one plan and environment; its signature counts as it stands now, unless it is a draft.

    Raises:
        ConfigError: unreadable, mistaken, or without such a plan or environment.
    """
    from pytest_cutover.keys.trust import find_anchor
    from pytest_cutover.policy.load import load_policy

    anchor = find_anchor(options.trust, os.environ, Path())
    path = Path(options.policy)
    loaded = load_policy(path, plan=plan, environment=environment, anchor=anchor, now=datetime.now(UTC))
    policy = loaded.effective
    return replace(policy, signature=PolicySignature.TRUSTED) if options.draft else policy


def line(policy: EffectivePolicy, *, draft: bool) -> str:
    """The policy in one line."""
    signature = "as if it were signed (--draft)" if draft else f"signature {policy.signature.value}"
    return f"{policy.name} v{policy.version}, {policy.digest[:19]}…, {signature}"
