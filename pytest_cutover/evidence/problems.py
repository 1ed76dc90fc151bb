"""The problem codes of `cutover verify` and `cutover admit`: why evidence does not prove, or does not admit.

Codes are stable: they are never renamed or reused, only added, like those of `reasons.py`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple


class ProblemCode(Enum):
    """One stable code and the sentence the reference page prints for it."""

    code: str
    meaning: str

    def __new__(cls, code: str, meaning: str) -> ProblemCode:
        """Let `ProblemCode("report.digest")` find the member: the code alone is the value."""
        member = object.__new__(cls)
        member._value_ = code
        member.code = code
        member.meaning = meaning
        return member

    # -- the bundle as a file
    BUNDLE_MISSING = ("bundle.missing", "There is a report and no bundle: the evidence is not signed.")
    BUNDLE_MALFORMED = (
        "bundle.malformed",
        "The bundle is not a sequence of lines that each end in a newline: it was cut off or edited.",
    )

    # -- one envelope
    ENVELOPE_MALFORMED = (
        "envelope.malformed",
        "A line is not, byte for byte, an envelope as this project writes it.",
    )
    ENVELOPE_TYPE = (
        "envelope.type",
        "An envelope carries a payload type that does not belong into a bundle.",
    )

    # -- signatures
    SIGNATURE_UNTRUSTED = ("signature.untrusted", "No key of the trust anchor has the key id that signed.")
    SIGNATURE_INVALID = (
        "signature.invalid",
        "The signature does not fit the payload: one of them was changed.",
    )
    SIGNATURE_ROLE = ("signature.role", "The key that signed is not trusted for decisions.")
    SIGNATURE_ENVIRONMENT = (
        "signature.environment",
        "The key that signed is not trusted for this environment.",
    )
    SIGNATURE_EXPIRED = (
        "signature.expired",
        "The key that signed was not, or is no longer, valid at the time that counts.",
    )
    SIGNATURE_ROTATED = (
        "signature.rotated",
        "The key that signed was rotated, and nothing proves that a log held this before.",
    )
    SIGNATURE_RETIRED = ("signature.retired", "The key that signed is retired: it counts for nothing.")
    SIGNATURE_REVOKED = ("signature.revoked", "The key that signed was revoked: it counts for nothing.")

    SIGNATURE_PERSONS = (
        "signature.persons",
        "Fewer persons signed the decision than the trust file asks for.",
    )

    # -- the set of envelopes
    MANIFEST_MISSING = ("manifest.missing", "The last line is not the signed list of all other lines.")
    MANIFEST_MISMATCH = (
        "manifest.mismatch",
        "The lines are not exactly those, in exactly that order, that were signed together.",
    )
    STATEMENT_MALFORMED = ("statement.malformed", "A signed payload is not a statement this project writes.")
    STATEMENT_MISSING = (
        "statement.missing",
        "A bundle holds one statement of each kind, and one is not there.",
    )
    STATEMENT_DUPLICATE = (
        "statement.duplicate",
        "A bundle holds two statements of one kind, or two policies.",
    )
    STATEMENT_UNKNOWN = (
        "statement.unknown",
        "A statement has a predicate type that does not belong into a bundle.",
    )
    STATEMENT_DISAGREES = (
        "statement.disagrees",
        "A statement says something else than the report: another run, subject, environment or measurement.",
    )

    # -- the report
    REPORT_MISSING = ("report.missing", "The report the bundle was signed with is not there.")
    REPORT_DIGEST = ("report.digest", "The report is not, byte for byte, the one the bundle was signed with.")
    REPORT_MALFORMED = (
        "report.malformed",
        "The report cannot be read, although it is the one that was signed.",
    )
    REPORT_DISAGREES = ("report.disagrees", "The report's summary says something else than its own journal.")

    # -- the policy
    POLICY_MISSING = (
        "policy.missing",
        "The report calls the policy signed, and the bundle does not hold it.",
    )
    POLICY_DISAGREES = (
        "policy.disagrees",
        "The policy in the bundle is not the one that the decision names and the report goes by.",
    )
    POLICY_SIGNATURE = (
        "policy.signature",
        "No key of the trust anchor that may sign policies signed this policy.",
    )
    POLICY_PERSONS = (
        "policy.persons",
        "Fewer persons signed the policy than the trust file asks for.",
    )
    POLICY_FLOOR = (
        "policy.floor",
        "The policy is older than the lowest version that the trust file lets count.",
    )

    # -- the transparency log
    LOG_UNPROVEN = (
        "log.unproven",
        "The decision belongs into a transparency log, and no proof shows that it is in that log.",
    )
    LOG_PROOF = (
        "log.proof",
        "The proof beside the bundle does not show that a trusted log holds this bundle.",
    )

    # -- waivers
    WAIVER_SIGNATURE = (
        "waiver.signature",
        "No key of the trust anchor that may waive here signed a waiver that counted, or other persons did.",
    )

    # -- a run that was opened from an earlier one
    OPENED_MISSING = (
        "opened.missing",
        "The run carries gates from an earlier run, and that run's evidence is not in the report; or the reverse.",
    )
    OPENED_INVALID = (
        "opened.invalid",
        "The evidence of the run from which gates were carried does not verify.",
    )
    OPENED_UNFIT = (
        "opened.unfit",
        "No gate may be carried from that run: it was made for something else, or was not whole.",
    )
    OPENED_DISAGREES = (
        "opened.disagrees",
        "A carried gate is not what the journal of the run it comes from says.",
    )

    # -- the decision
    DECISION_INPUTS = (
        "decision.inputs",
        "The decision does not rest on exactly the other envelopes of the bundle.",
    )
    DECISION_DISAGREES = (
        "decision.disagrees",
        "The signed verdict is not what the journal and the policy in the report give when judged again.",
    )
    DECISION_EXPIRED = ("decision.expired", "The decision's time is over: a new run is needed.")
    DECISION_NOT_YET = (
        "decision.not-yet",
        "The decision was made later than the time asked about: a clock is wrong.",
    )

    # -- a fleet
    FLEET_SIGNATURE = (
        "fleet.signature",
        "The decision of a shard in a fleet's report is not signed by a key that could decide it.",
    )
    FLEET_SHARD = (
        "fleet.shard",
        "The evidence of a shard is not what the fleet was decided by: missing, another, or changed.",
    )
    FLEET_OUTDATED = (
        "fleet.outdated",
        "A shard was decided anew, and the fleet was merged without that decision.",
    )

    # -- admission
    DECISION_NOT_GO = ("decision.not-go", "The newest decision for this digest and environment is not GO.")
    EVIDENCE_NONE = ("evidence.none", "No signed evidence was found.")
    EVIDENCE_DOUBTFUL = (
        "evidence.doubtful",
        "Evidence that may be newer does not verify: it could hide a NO-GO.",
    )
    EVIDENCE_UNDECIDED = (
        "evidence.undecided",
        "A run about this digest and environment began after the newest decision and has not decided: it is under "
        "way, was killed, or lost its bundle.",
    )
    EVIDENCE_UNSIGNED_NO_GO = (
        "evidence.unsigned-no-go",
        "A run about this digest and environment began or decided after the newest decision and is not GO; nothing signs it.",
    )
    SUBJECT_MISMATCH = ("subject.mismatch", "No verified decision is about this digest.")
    ENVIRONMENT_MISMATCH = (
        "environment.mismatch",
        "The decisions about this digest are for other environments.",
    )
    SANDBOX_EVIDENCE = ("sandbox.evidence", "Sandbox evidence admits nothing outside of the sandbox.")
    POLICY_MISMATCH = ("policy.mismatch", "The decision was made under another policy than the one demanded.")
    TRUST_DEVELOPMENT = (
        "trust.development",
        "A development key of this machine admits nothing outside of the sandbox.",
    )

    # -- the store
    STORE_FILE_MISSING = (
        "store.file-missing",
        "A file that belongs to a run's evidence is not in the store.",
    )
    STORE_FILE_CHANGED = (
        "store.file-changed",
        "A file in the store is not, byte for byte, the one that was put there.",
    )
    STORE_FILE_UNKNOWN = ("store.file-unknown", "The store holds a file that belongs to no run's evidence.")
    STORE_UNREADABLE = ("store.unreadable", "Something in the store is a link, no file, or cannot be read.")
    STORE_DOCUMENT_MISSING = (
        "store.document-missing",
        "A run in the store has no evidence document: putting it was interrupted, or the document was removed.",
    )
    STORE_DOCUMENT_MALFORMED = ("store.document-malformed", "An evidence document cannot be read.")
    STORE_DOCUMENT_DISAGREES = (
        "store.document-disagrees",
        "An evidence document is not the one that follows from the run's signed evidence.",
    )
    STORE_SECTION_MISSING = (
        "store.section-missing",
        "An evidence document lacks a section that its plan, or the question, asks for.",
    )
    STORE_SECTION_MALFORMED = (
        "store.section-malformed",
        "What a gate provided as a section is no JSON object.",
    )
    STORE_LATEST = ("store.latest", "`latest.json` is not a copy of the newest evidence document.")
    STORE_INDEX_MISSING = ("store.index-missing", "The store has no signed index.")
    STORE_INDEX_INVALID = (
        "store.index-invalid",
        "The index is malformed, or no key that may sign it has signed it as it is.",
    )
    STORE_INDEX_STALE = (
        "store.index-stale",
        "The store holds what the index does not say, or says otherwise.",
    )
    STORE_UNLOCKED = (
        "store.unlocked",
        "The index says that a file is locked or held, and the store does not promise so much.",
    )
    STORE_NOT_LOGGED = (
        "store.not-logged",
        "The transparency log does not hold a decision that is in the store.",
    )
    STORE_DECISION_MISSING = (
        "store.decision-missing",
        "The transparency log holds a decision whose evidence is not in the store: it was dropped, or the store is an "
        "older copy.",
    )
    STORE_LOG_INVALID = (
        "store.log-invalid",
        "The transparency log does not verify, or does not go on from a checkpoint that was pinned elsewhere.",
    )


class EvidenceProblem(NamedTuple):
    """One thing wrong with evidence, and where."""

    code: ProblemCode
    message: str
    where: str | None = None

    def to_json(self) -> dict[str, Any]:
        out = {"code": self.code.code, "message": self.message}
        if self.where is not None:
            out["where"] = self.where
        return out
