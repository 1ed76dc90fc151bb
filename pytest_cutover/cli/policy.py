"""`cutover policy check|sign|verify|show`: a policy file, before anything is judged by it."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser
from pytest_cutover.cli._logged import add_log, log_file
from pytest_cutover.errors import ConfigError
from pytest_cutover.report.fit import put

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pytest_cutover.keys.signer import Signer
    from pytest_cutover.policy.issues import Issue
    from pytest_cutover.policy.load import LoadedPolicy, PolicyFile
    from pytest_cutover.policy.signature import SignatureReport

YES, NO = 0, 1


def run(arguments: Sequence[str]) -> int:
    """Run one of check, sign, verify, show.

    Raises:
        CutoverError: the input cannot be used; `cutover` then exits 2.
    """
    options = _parser().parse_args(arguments)
    actions = {"check": _check, "sign": _sign, "verify": _verify, "show": _show}
    return actions[options.action](options)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="cutover policy", description="Check, sign, verify or show a policy.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    check = _action(actions, "check", "list every mistake in a policy; 0 none, 1 some, 2 unreadable")
    sign = _action(actions, "sign", "write FILE.dsse; refused while check finds a mistake")
    verify = _action(actions, "verify", "say whether a trusted key has signed it; 0 yes, 1 no, 2 unusable")
    show = _action(actions, "show", "print what applies in an environment, and where each value comes from")
    for action in (check, verify, show):
        action.add_argument("--environment", metavar="NAME", help="an environment of the policy")
    for action in (verify, show):
        action.add_argument(
            "--trust", metavar="FILE", help="trusted keys (otherwise CUTOVER_TRUST, configs/trust.json)"
        )
    sign.add_argument(
        "--add", action="store_true", help="add a signature to those of others, in place of signing anew"
    )
    sign.add_argument("--key", metavar="PATH", help="private key (otherwise CUTOVER_KEY, CUTOVER_KEY_PEM)")
    add_log(sign)
    show.add_argument("--plan", metavar="NAME", help="a plan of the policy (otherwise all of them)")
    show.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _action(actions: argparse._SubParsersAction[Parser], name: str, text: str) -> Parser:
    action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    if name == "sign":
        action.add_argument("file", metavar="FILE", type=Path, help="the policy, such as configs/policy.json")
    else:
        action.add_argument(
            "file",
            metavar="FILE",
            type=Path,
            nargs="?",
            default=Path(os.environ.get("CUTOVER_POLICY") or "configs/policy.json"),
            help="the policy; default: CUTOVER_POLICY, then configs/policy.json",
        )
    return action


# -- check


def _check(options: argparse.Namespace) -> int:
    from pytest_cutover.policy.issues import PolicyError
    from pytest_cutover.policy.load import choose_environment, read_policy

    try:
        file = read_policy(options.file, now=datetime.now(UTC))
    except PolicyError as exc:
        _print_issues(exc.all_issues)
        return NO
    if options.environment is not None:
        choose_environment(file, options.environment)
    _print_issues(file.notes)
    put([f"{file.located.name}: good; {_summary(file)}"])
    return YES


def _summary(file: PolicyFile) -> str:
    document = file.document
    plans = ", ".join(f"{n} ({_count(len(p.requires), 'gate')})" for n, p in document.plans.items())
    return f"{document.name} version {document.version}; plans: {plans}; environments: {', '.join(document.environments)}"


def _print_issues(issues: Sequence[Issue]) -> None:
    for issue in issues:
        said = f"{issue.file}:{issue.line}: note: {issue.said}" if issue.note else issue.text
        put([said, f"    hint: {issue.hint}"])
    mistakes = sum(not i.note for i in issues)
    if mistakes:
        print(f"\n{_count(mistakes, 'mistake')}, {_count(len(issues) - mistakes, 'note')}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# -- sign


def _sign(options: argparse.Namespace) -> int:
    from pytest_cutover.files import write_atomic
    from pytest_cutover.policy.issues import PolicyError
    from pytest_cutover.policy.load import read_policy, shown_path
    from pytest_cutover.policy.signature import envelope_path

    try:
        file = read_policy(options.file, now=datetime.now(UTC))
    except PolicyError as exc:
        _print_issues(exc.all_issues)
        print("not signed: correct the mistakes first", file=sys.stderr)
        return NO
    signer = _signer(options.key)
    _refuse_old(signer)
    beside = envelope_path(options.file)
    write_atomic(beside, _signed(options, file, signer))
    print(f"signed  {file.located.name}")
    print(f"digest  {file.digest}")
    print(f"wrote   {shown_path(beside)}")
    print(f"keyid   {signer.keyid}")
    if options.log is not None:
        from pytest_cutover.tlog.entry import EntryKind

        name = f"{file.document.name} version {file.document.version}"
        print(f"logged  {log_file(options.log, options.file, EntryKind.POLICY, name)}")
    _print_trust(file, signer)
    return YES


def _refuse_old(signer: Signer) -> None:
    """A key that was rotated signs no more."""
    from pytest_cutover.keys.trust import find_anchor

    anchor = find_anchor(None, os.environ, Path())
    if anchor is not None:
        anchor.refuse_old(signer.keyid)


def _signed(options: argparse.Namespace, file: PolicyFile, signer: Signer) -> bytes:
    """The envelope with this signature: alone, or beside those of others."""
    from pytest_cutover.errors import EvidenceError
    from pytest_cutover.policy.load import read_envelope
    from pytest_cutover.policy.signature import sign_policy, sign_policy_too

    if not options.add:
        return sign_policy(file.raw, signer)
    try:
        return sign_policy_too(file.raw, read_envelope(options.file), signer)
    except EvidenceError as exc:
        hint = "without --add the policy is signed anew, by this key alone"
        raise ConfigError(f"{file.located.name}: {exc}", hint=hint) from None


def _signer(key: str | None) -> Signer:
    from pytest_cutover.keys.signer import load_private_key, load_signer

    if key is not None:
        return load_private_key(Path(key), where=f"--key {key}")
    signer = load_signer(os.environ, Path(), option=None, say=lambda text: print(text, file=sys.stderr))
    if signer is None:
        raise ConfigError(
            "expected a private key, got none",
            hint="give --key PATH or CUTOVER_KEY; cutover keys new PATH makes one",
        )
    return signer


def _print_trust(file: PolicyFile, signer: Signer) -> None:
    """Whether the signature just made will count, and the entry that makes it so."""
    from pytest_cutover.keys.trust import find_anchor, trust_entry
    from pytest_cutover.keys.verifier import load_public_key

    anchor = find_anchor(None, os.environ, Path())
    if anchor is not None and any(k.keyid == signer.keyid and k.has_role("policy") for k in anchor.keys):
        put([f"trusted by {anchor.where}; `cutover policy verify` says whether that is enough"])
        return
    public = load_public_key(signer.public_pem().decode("ascii"), where="the signing key")
    entry = trust_entry(public, name=f"policy key of {file.document.name}", roles=("policy",))
    print('\nno trusted key yet; whoever decides that adds this to "keys" of the trust file:\n')
    print(json.dumps(entry, indent=2))


# -- verify


def _verify(options: argparse.Namespace) -> int:
    """Without --environment, every environment of the policy must trust the signature."""
    from pytest_cutover.model import PolicySignature
    from pytest_cutover.policy.load import choose_environment, read_policy

    file = read_policy(options.file, now=None)
    names = list(file.document.environments)
    if options.environment is not None:
        names = [choose_environment(file, options.environment)]
    reports = {name: _report(options, file, name) for name in names}
    print(f"{file.located.name}\n{file.digest}")
    # Most policies look the same from everywhere: say it once.
    for report in dict.fromkeys(reports.values()):
        where = ", ".join(n for n, r in reports.items() if r == report)
        put([f"  {report.state.value.upper()} for {where}: {report.detail}"])
        put(f"    {line}" for line in _who(report))
    return YES if all(r.state is PolicySignature.TRUSTED for r in reports.values()) else NO


def _who(report: SignatureReport) -> Iterator[str]:
    """Who has signed, who could and has not, what that proves, and what to do."""
    for key in report.signers:
        if key.person is not None:  # the other keys stand above
            yield f"signed   {key.person}: {key.name} ({key.keyid[:16]}…)"
    for key in report.missing:
        yield f"missing  {key.person}: {key.name} ({key.keyid[:16]}…)"
    if report.proves is not None:
        yield report.proves
    if report.hint is not None:
        yield f"hint: {report.hint}"


def _report(options: argparse.Namespace, file: PolicyFile, environment: str) -> SignatureReport:
    from pytest_cutover.keys.trust import find_anchor
    from pytest_cutover.policy.load import read_envelope
    from pytest_cutover.policy.signature import verify_policy
    from pytest_cutover.resolution import resolve_settings

    # Plans may differ in development_key: the signature counts only where it does for all of them.
    plans = file.document.plans
    development = all(
        resolve_settings(file.located.value, plan, environment)[0]["development_key"] for plan in plans
    )
    return verify_policy(
        file.raw,
        read_envelope(options.file),
        find_anchor(options.trust, os.environ, Path()),
        name=file.document.name,
        version=file.document.version,
        environment=environment,
        development_key=development,
        now=datetime.now(UTC),
    )


# -- show


def _show(options: argparse.Namespace) -> int:
    from pytest_cutover.keys.trust import find_anchor
    from pytest_cutover.policy.load import load_policy, read_policy, shown_path
    from pytest_cutover.policy.view import as_json, as_text

    file = read_policy(options.file, now=None)
    plans = list(file.document.plans) if options.plan is None else [options.plan]
    anchor = find_anchor(options.trust, os.environ, Path())
    loaded: list[LoadedPolicy] = [
        load_policy(
            options.file, plan=plan, environment=options.environment, anchor=anchor, now=datetime.now(UTC)
        )
        for plan in plans
    ]
    name = shown_path(options.file)
    if options.json:
        print(json.dumps(as_json(loaded, name), indent=2, ensure_ascii=False))
        return YES
    put("\n\n".join(as_text(one, name, now=datetime.now(UTC)) for one in loaded).split("\n"))
    return YES
