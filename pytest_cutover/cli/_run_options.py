"""What a run is asked for on the command line: by `cutover run`, which begins one, and `cutover check`, which does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from pytest_cutover.cli import Parser
    from pytest_cutover.run.context import RunOptions


def add_run_options(parser: Parser) -> None:
    """For whom, under which policy and with which keys a run is made."""
    add = parser.add_argument
    add(
        "--env",
        "--environment",
        dest="env",
        metavar="NAME",
        help="environment that is judged; default: CUTOVER_ENV, then the policy's",
    )
    add("--subject", metavar="NAME@sha256:HEX", action="append", help="what is released; may be repeated")
    add("--shard", metavar="NAME", help="which part of a fleet the run gates")
    add("--policy", metavar="FILE", help="the policy; default: CUTOVER_POLICY, then configs/policy.json")
    add("--key", metavar="FILE", help="signing key, or none; default: CUTOVER_KEY, then a development key")
    add("--trust", metavar="FILE", help="trust file; default: CUTOVER_TRUST, then configs/trust.json")
    add("--waiver", metavar="FILE", action="append", help="a signed waiver; may be repeated")
    add("--author", metavar="PERSON", action="append", help="who wrote the change; may be repeated")


def run_options(options: argparse.Namespace) -> RunOptions:
    """What was typed."""
    from pytest_cutover.run.context import RunOptions

    return RunOptions(
        plan=options.plan or "",
        environment=options.env,
        subjects=options.subject or (),
        shard=options.shard,
        policy=options.policy,
        key=options.key,
        trust=options.trust,
        waivers=options.waiver or (),
        authors=options.author or (),
    )
