"""The reason codes: why a criterion, or a whole run, is not green.

Codes are stable: they are never renamed or reused, only added. The reference page
`docs/reference/reason-codes.md` is generated from this module.
"""

from __future__ import annotations

from enum import Enum


class Weight(Enum):
    """What a reason does to the verdict, heaviest first."""

    RED = "red"  # measured, and it broke its limit: exit 10
    UNPROVEN = "unproven"  # nothing says it is good: exit 11
    HOLD = "hold"  # green, but somebody has yet to act: exit 12
    NOTE = "note"  # worth reading, moves nothing


class Reason(Enum):
    """One stable code, its weight, and the sentence the reference page prints for it."""

    code: str
    weight: Weight
    meaning: str

    def __new__(cls, code: str, weight: Weight, meaning: str) -> Reason:
        """Let `Reason("gate.skipped")` find the member: the code alone is the value."""
        member = object.__new__(cls)
        member._value_ = code
        member.code = code
        member.weight = weight
        member.meaning = meaning
        return member

    @classmethod
    def of(cls, code: str) -> Reason:
        """The reason with this code.

        Raises:
            ValueError: there is none.
        """
        reason = cls._value2member_map_.get(code)
        if not isinstance(reason, Reason):
            raise ValueError(f"unknown reason code {code!r}")
        return reason

    # -- a criterion, measured red
    LIMIT_BROKEN = ("limit.broken", Weight.RED, "A measured value lies outside its limit.")
    GATE_FAILED = ("gate.failed", Weight.RED, "The gate's own assertion failed.")
    SUBTEST_FAILED = ("gate.subtest-failed", Weight.RED, "A subtest of the gate failed.")

    # -- a criterion, unproven: it was not (wholly) run
    GATE_NOT_COLLECTED = (
        "gate.not-collected",
        Weight.UNPROVEN,
        "The plan requires a gate that pytest never collected: deleted, ignored, renamed or not importable.",
    )
    GATE_DESELECTED = (
        "gate.deselected",
        Weight.UNPROVEN,
        "The gate was collected, then deselected by an option, a hook or the marker expression.",
    )
    GATE_NOT_RUN = ("gate.not-run", Weight.UNPROVEN, "The gate was collected, but never started.")
    GATE_NOT_FINISHED = (
        "gate.not-finished",
        Weight.UNPROVEN,
        "The gate started and did not end: its process crashed, exited or was killed.",
    )
    GATE_PHASE_MISSING = (
        "gate.phase-missing",
        Weight.UNPROVEN,
        "Setup, call or teardown of the gate was never run, as with --setup-only or a hook that replaces it.",
    )
    GATE_SKIPPED = ("gate.skipped", Weight.UNPROVEN, "The gate, or a subtest of it, was skipped.")
    GATE_XFAILED = (
        "gate.xfailed",
        Weight.UNPROVEN,
        "The gate is marked xfail: whatever it did, it was not expected to prove anything.",
    )
    GATE_SETUP_FAILED = (
        "gate.setup-failed",
        Weight.UNPROVEN,
        "A fixture of the gate failed before its body.",
    )
    GATE_ERROR = (
        "gate.error",
        Weight.UNPROVEN,
        "The gate's body ended with an error that is not an assertion: a source was unreachable, or it has a bug.",
    )
    GATE_TEARDOWN_FAILED = (
        "gate.teardown-failed",
        Weight.UNPROVEN,
        "A fixture of the gate failed after its body.",
    )
    GATE_TIMEOUT = ("gate.timeout", Weight.UNPROVEN, "The gate took longer than its time limit.")
    GATE_RERUN = (
        "gate.rerun",
        Weight.UNPROVEN,
        "The gate was run more than once; an attempt that failed is not undone by one that passed.",
    )
    GATE_INTERRUPTED = ("gate.interrupted", Weight.UNPROVEN, "The gate was interrupted while it ran.")
    GATE_CANCELLED = (
        "gate.cancelled",
        Weight.UNPROVEN,
        "The gate had begun beside others and was cancelled, because the run ended before its turn.",
    )
    GATE_ALTERED = (
        "gate.altered",
        Weight.UNPROVEN,
        "Something changed the outcome of the gate after it ended: an error became a pass.",
    )
    GATE_DUPLICATE = ("gate.duplicate", Weight.UNPROVEN, "Two collected tests carry the same gate id.")
    GATE_INVALID = ("gate.invalid", Weight.UNPROVEN, "The gate's marker cannot be used.")
    GATE_INSTANCES = (
        "gate.instances",
        Weight.UNPROVEN,
        "A parametrized gate has other instances, or another number of them, than the policy names.",
    )
    GATE_CODE_CHANGED = (
        "gate.code-changed",
        Weight.UNPROVEN,
        "The digest of the gate code differs from the one the policy pins.",
    )
    GATE_CODE_OUTSIDE = (
        "gate.code-outside",
        Weight.UNPROVEN,
        "The policy pins the gate code, and a gate was collected from a file outside of the pinned paths.",
    )
    GATE_NO_MEASUREMENT = (
        "gate.no-measurement",
        Weight.UNPROVEN,
        "The gate passed without a measurement; a bare assert is not enough.",
    )
    GATE_RECORD_INCOMPLETE = (
        "gate.record-incomplete",
        Weight.UNPROVEN,
        "The record of the gate holds fewer measurements or reports than the gate counted.",
    )

    # -- a measurement, unproven
    LIMIT_UNMEASURED = ("limit.unmeasured", Weight.UNPROVEN, "A limit has no measurement to judge.")
    MEASUREMENT_UNJUDGED = (
        "measurement.unjudged",
        Weight.UNPROVEN,
        "A measurement has no limit and was not recorded as information.",
    )
    MEASUREMENT_INVALID = (
        "measurement.invalid",
        Weight.UNPROVEN,
        "The value is not a finite number or a text: NaN, infinite, a bool, None, a mock.",
    )
    MEASUREMENT_KIND = (
        "measurement.kind",
        Weight.UNPROVEN,
        "A text was measured where the limit is a number, or the other way round.",
    )
    MEASUREMENT_UNIT = (
        "measurement.unit",
        Weight.UNPROVEN,
        "The unit measured is not, letter for letter, the unit of the limit.",
    )
    MEASUREMENT_DUPLICATE = (
        "measurement.duplicate",
        Weight.UNPROVEN,
        "One gate measured the same name more than once.",
    )
    MEASUREMENT_STALE = (
        "measurement.stale",
        Weight.UNPROVEN,
        "The value was observed longer ago than allowed.",
    )
    MEASUREMENT_FUTURE = ("measurement.future", Weight.UNPROVEN, "The value was observed in the future.")
    SAMPLES_MISSING = (
        "measurement.samples-missing",
        Weight.UNPROVEN,
        "The limit asks for a minimum of samples and the measurement names none.",
    )
    SAMPLES_LOW = ("measurement.samples-low", Weight.UNPROVEN, "The measurement rests on too few samples.")
    GATE_NOT_APPLICABLE = (
        "gate.not-applicable",
        Weight.NOTE,
        "A gate that the plan does not require was skipped.",
    )
    LIMIT_DIFFERS = (
        "limit.differs",
        Weight.NOTE,
        "The limit in the gate's code differs from the policy's; the policy's was used.",
    )

    # -- the run
    RUN_NOTHING_SELECTED = ("run.nothing-selected", Weight.UNPROVEN, "The run selected no gate at all.")
    RUN_NOT_CLEAN = (
        "run.not-clean",
        Weight.UNPROVEN,
        "Something other than a gate failed in the run: a plain test, a collector, a warning made an error.",
    )
    RUN_COLLECT_ERROR = ("run.collect-error", Weight.UNPROVEN, "A test file could not be collected.")
    RUN_MODULE_SKIPPED = (
        "run.module-skipped",
        Weight.NOTE,
        "A whole test file skipped itself while it was collected; a required gate in it is also not collected.",
    )
    RUN_INTERRUPTED = (
        "run.interrupted",
        Weight.UNPROVEN,
        "The run was interrupted or stopped before its end.",
    )
    RUN_INTERNAL_ERROR = ("run.internal-error", Weight.UNPROVEN, "pytest or a plugin crashed.")
    RUN_DEADLINE = ("run.deadline", Weight.UNPROVEN, "The run took longer than the policy allows.")
    RUN_WORKER_CRASHED = ("run.worker-crashed", Weight.UNPROVEN, "An xdist worker crashed.")
    RUN_WORKERS_DISAGREE = (
        "run.workers-disagree",
        Weight.UNPROVEN,
        "xdist workers collected different gates, or one did not report what it collected.",
    )
    RUN_FORKED = (
        "run.forked",
        Weight.UNPROVEN,
        "A gate forked, and the copy of the process went on running gates.",
    )
    RUN_JOURNAL_INCOMPLETE = (
        "run.journal-incomplete",
        Weight.UNPROVEN,
        "The journal has no end, a gap, or fewer events than were counted: the run was killed or lines are gone.",
    )
    RUN_JOURNAL_DAMAGED = (
        "run.journal-damaged",
        Weight.UNPROVEN,
        "A line of the journal cannot be read, or does not belong to this run.",
    )
    RUN_EXIT_STATUS = (
        "run.exit-status",
        Weight.UNPROVEN,
        "pytest's exit status does not fit what was recorded.",
    )
    RUN_ASSERTS_OFF = (
        "run.asserts-off",
        Weight.UNPROVEN,
        "Assertions are switched off (python -O, PYTHONOPTIMIZE).",
    )
    RUN_CLOCK = ("run.clock", Weight.UNPROVEN, "The clock went backwards during the run.")
    RUN_RUNNER = (
        "run.runner",
        Weight.UNPROVEN,
        "The policy demands a supervised run (`cutover run`), and this one was in-process.",
    )
    RUN_PROVE_RED = (
        "run.prove-red",
        Weight.UNPROVEN,
        "Readings of the run were, or could have been, distorted on purpose to see its gates red: it proves nothing.",
    )
    EVIDENCE_NOT_WRITTEN = (
        "evidence.not-written",
        Weight.UNPROVEN,
        "The evidence could not be written; a decision nobody can check is no GO.",
    )

    EVIDENCE_NOT_STORED = (
        "evidence.not-stored",
        Weight.UNPROVEN,
        "The policy asks for an evidence store, and the evidence could not be put into it.",
    )

    # -- the transparency log, and the evidence document
    LOG_UNAVAILABLE = (
        "log.unavailable",
        Weight.UNPROVEN,
        "The policy asks for a transparency log, and the decision could not be put into that one.",
    )
    LOG_REWRITTEN = (
        "log.rewritten",
        Weight.RED,
        "The transparency log does not continue the one that an earlier decision saw: entries were changed or taken away.",
    )
    SECTION_MISSING = (
        "section.missing",
        Weight.UNPROVEN,
        "The plan asks for a section of the evidence document that no gate provided.",
    )

    # -- gates that are carried from an earlier run, as `--open` does
    CARRIED_CHANGED = (
        "carried.changed",
        Weight.UNPROVEN,
        "A gate that was carried from an earlier run was not collected again, or not as it was then.",
    )
    CARRIED_OUTDATED = (
        "carried.outdated",
        Weight.UNPROVEN,
        "Another run of the plan, environment and shard began after the one that was opened, and may have found other things.",
    )
    CARRIED_EXPIRED = (
        "carried.expired",
        Weight.UNPROVEN,
        "What a carried gate measured is older than a decision may last: it can bear none any more.",
    )

    # -- waivers and guards: why a waiver that was given does not count, and what a GO still waits for
    WAIVER_UNUSABLE = ("waiver.unusable", Weight.NOTE, "A waiver that was given cannot be read.")
    WAIVER_UNTRUSTED = (
        "waiver.untrusted",
        Weight.NOTE,
        "No key that may waive here, and belongs to a person, has signed this waiver.",
    )
    WAIVER_FOREIGN = (
        "waiver.foreign",
        Weight.NOTE,
        "The waiver is for another environment or another change set.",
    )
    WAIVER_EXPIRED = ("waiver.expired", Weight.NOTE, "The waiver's time is over, or has not begun.")
    WAIVER_NOT_ALLOWED = (
        "waiver.not-allowed",
        Weight.NOTE,
        "The policy allows no waivers in this environment.",
    )
    WAIVER_AUTHORS_UNKNOWN = (
        "waiver.authors-unknown",
        Weight.NOTE,
        "The run does not say who wrote the change, so nobody can be known to be somebody else.",
    )
    WAIVER_SELF_SIGNED = (
        "waiver.self-signed",
        Weight.NOTE,
        "An author of the change signed the waiver.",
    )
    WAIVER_PERSONS = (
        "waiver.persons",
        Weight.NOTE,
        "Fewer persons signed the waiver than the policy asks for.",
    )
    WAIVER_BEYOND = (
        "waiver.beyond",
        Weight.NOTE,
        "The measured value lies outside of what the waiver accepts.",
    )
    GUARDS_UNCONFIRMED = (
        "guards.unconfirmed",
        Weight.HOLD,
        "The guards of a waiver are not in place: nothing confirmed that they were injected.",
    )

    # -- obligations: gates that have to be green after a release went out with guards
    OBLIGATION_OVERDUE = (
        "obligation.overdue",
        Weight.RED,
        "A release of this environment went out on the promise of a green gate, and no run has shown it in time.",
    )
    OBLIGATION_PENDING = (
        "obligation.pending",
        Weight.NOTE,
        "A release of this environment went out on the promise of a green gate, which is not due yet.",
    )
    OBLIGATION_MET = (
        "obligation.met",
        Weight.NOTE,
        "This run shows a gate green that a release had promised.",
    )

    # -- the shards of a fleet: what one run is, and what a merge makes of many
    SHARD_PARTIAL = (
        "shard.partial",
        Weight.HOLD,
        "The run gates one shard of a fleet: only a merge of all of them can be a GO.",
    )
    SHARD_UNNAMED = (
        "shard.unnamed",
        Weight.UNPROVEN,
        "The plan asks for a fleet, and the run does not say which shard it gates.",
    )
    SHARD_NOT_REQUIRED = (
        "shard.not-required",
        Weight.UNPROVEN,
        "The plan asks for no shards: there is no fleet that a merge could decide about.",
    )
    SHARD_MISSING = ("shard.missing", Weight.UNPROVEN, "A shard that the policy requires is not there.")
    SHARD_FOREIGN = (
        "shard.foreign",
        Weight.UNPROVEN,
        "A shard is not one the policy names, or there are more than it counts.",
    )
    SHARD_DUPLICATE = ("shard.duplicate", Weight.UNPROVEN, "Two runs of one shard were merged.")
    SHARD_REPLAYED = ("shard.replayed", Weight.UNPROVEN, "One run was merged more than once.")
    SHARD_UNVERIFIED = (
        "shard.unverified",
        Weight.UNPROVEN,
        "The evidence of a shard is unsigned, changed, cut off or signed by a key that does not count.",
    )
    SHARD_RED = ("shard.red", Weight.RED, "A shard is NO-GO: something in it was measured red.")
    SHARD_UNPROVEN = ("shard.unproven", Weight.UNPROVEN, "A shard is NO-GO: something in it is not proven.")
    SHARD_HOLD = ("shard.hold", Weight.HOLD, "A shard is green, and somebody has yet to act on it.")
    SHARD_EXPIRED = (
        "shard.expired",
        Weight.UNPROVEN,
        "The decision of a shard is not in force when the fleet is decided: expired, or made later.",
    )
    SHARD_STALE = (
        "shard.stale",
        Weight.UNPROVEN,
        "What a shard measured is older than allowed when the fleet is decided.",
    )
    SHARD_SUBJECT = ("shard.subject", Weight.UNPROVEN, "The shards are about different subjects.")
    SHARD_ENVIRONMENT = (
        "shard.environment",
        Weight.UNPROVEN,
        "A shard was decided for another environment than the fleet.",
    )
    SHARD_PLAN = ("shard.plan", Weight.UNPROVEN, "A shard was decided for another plan than the fleet.")
    SHARD_POLICY = (
        "shard.policy",
        Weight.UNPROVEN,
        "A shard was decided under another policy than the fleet.",
    )

    # -- what was judged, and by which policy
    SUBJECT_MISSING = (
        "subject.missing",
        Weight.UNPROVEN,
        "Outside of the sandbox a GO needs a subject: the digest of what is released.",
    )
    POLICY_UNSIGNED = ("policy.unsigned", Weight.UNPROVEN, "The policy carries no signature.")
    POLICY_UNTRUSTED = (
        "policy.untrusted",
        Weight.UNPROVEN,
        "No key that may sign policies has signed this policy as it stands.",
    )
    POLICY_THRESHOLD = (
        "policy.threshold",
        Weight.UNPROVEN,
        "Fewer persons have signed the policy than the trust file asks for.",
    )
    POLICY_OUTDATED = (
        "policy.outdated",
        Weight.UNPROVEN,
        "The policy is older than the lowest version that counts.",
    )
    POLICY_EXPIRED = ("policy.expired", Weight.UNPROVEN, "The policy's own end date has passed.")
    POLICY_CHANGED = (
        "policy.changed",
        Weight.UNPROVEN,
        "The policy that judges is not the one the run was started under.",
    )
    POLICY_EMPTY = (
        "policy.empty",
        Weight.UNPROVEN,
        "The plan requires no gate; an empty plan proves nothing.",
    )
    KEY_DEVELOPMENT = (
        "key.development",
        Weight.UNPROVEN,
        "The run would be signed with a development key, and the policy refuses those.",
    )
    KEY_MISSING = (
        "key.missing",
        Weight.NOTE,
        "No signing key: the evidence is unsigned and admits nothing.",
    )
