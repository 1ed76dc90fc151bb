"""What the generated reference pages say and the code does not: what to do about each code, and the prose between tables."""

from __future__ import annotations

from pytest_cutover.evidence.problems import ProblemCode
from pytest_cutover.model import ExitCode
from pytest_cutover.reasons import Reason, Weight

EXIT_CODES_HEAD = """
The exit code is a courtesy to the shell; the signed decision is the gate. A deploy step asks
`cutover admit` and does not rely on the exit code of a job that ran earlier.
"""

EXIT_CODES: dict[ExitCode, tuple[str, str]] = {
    ExitCode.GO: (
        "GO, GO-WITH-GUARDS",
        "Everything the plan requires is proven green, and nothing else is red.",
    ),
    ExitCode.NO_GO: ("NO-GO", "Something was measured and is red."),
    ExitCode.UNPROVEN: (
        "NO-GO (unproven)",
        "Nothing is red, and something is not proven: missing, skipped, stale, crashed, without samples, not signed.",
    ),
    ExitCode.HOLD: ("HOLD", "Everything is green, and somebody has yet to act."),
}

EXIT_CODES_ORDER = """
The heaviest reason decides: 10 before 11 before 12. The signed verdict and the exit code never differ. Which reason
leads to which code is in [reason codes](reason-codes.md).
"""

PYTEST_EXIT_CODES: dict[int, str] = {
    1: "A test failed, and no gate ran. In a run with gates a failed plain test gives 11 (`run.not-clean`).",
    2: "Interrupted before the gate run began; or, from `cutover run`, the run could not begin. Afterwards it is 11.",
    3: "pytest or a plugin crashed before the gate run began. Afterwards it is 11.",
    4: "The command line, the policy, the key or the subject cannot be used; or a marker, where no gate run began.",
    5: "No test was selected, and no gate run was asked for. In a gate run this is 11 (`run.nothing-selected`).",
    6: "More warnings than `--max-warnings` allows, and no gate ran. In a gate run this is 11 (`run.exit-status`).",
}

VERB_EXIT_CODES: list[tuple[str, str, str, str]] = [
    ("`init`", "done", "", "a file cannot be read or written"),
    (
        "`check`",
        "everything is there",
        "something would be unproven",
        "the policy or trust file cannot be used",
    ),
    ("`prove-red`", "each gate was seen red", "some were not", "no run could begin"),
    ("`verify`", "valid", "invalid", "the evidence or the trust file cannot be read"),
    ("`admit`", "admitted", "refused", "the evidence or the trust file cannot be read"),
    ("`explain`", "it was a GO", "it was not", "the evidence cannot be read or does not verify"),
    ("`decide`", "it would be a GO", "it would not", "the evidence or the policy cannot be used"),
    ("`backtest`", "no verdict would change", "some would", "no run, or the policy, can be used"),
    ("`diff`", "they came to the same", "they differ", "the evidence cannot be read or does not verify"),
    (
        "`show`",
        "shown",
        "shown, and its evidence does not verify",
        "there is no such run, or it was never decided",
    ),
    ("`obligations`", "nothing is overdue", "something is overdue", "no folder of runs, or no trusted key"),
    ("`history`", "there are runs", "there are none", "there is no such folder"),
    ("`prune`", "done", "", "a run cannot be taken away"),
    ("`evidence verify`", "valid", "invalid", "the store or the trust file cannot be read"),
    ("`evidence put`", "put", "", "a run cannot be put"),
    ("`evidence index`", "done", "something was tampered with", "no key, or an index that does not verify"),
    ("`evidence lock`", "done", "a run does not verify and was not locked", "no key, or no such run"),
    ("`evidence gc`", "done", "", "no key, or a run cannot be taken out"),
    ("`evidence list`", "there are runs", "there are none", "there is no such store"),
    ("`evidence show`", "shown", "", "there is no such run"),
    ("`evidence upload`, `restore`", "all of it is there", "something else is", "unusable, or no answer"),
    ("`evidence drill`", "PASS", "FAIL", "unusable, or no answer"),
    (
        "`evidence drilled`",
        "PASS, and fresh",
        "failed, stale, of another store, or does not verify",
        "there is none",
    ),
    ("`evidence check-store`", "WORM", "not WORM", "the store cannot be asked"),
    ("`log append`", "appended", "", "no key, or the log cannot be used"),
    ("`log checkpoint`, `prove`", "printed", "", "the log cannot be used, or a witness refuses"),
    ("`log verify`", "valid, or proven", "not so", "the log or a file cannot be read"),
    ("`log audit`", "valid, and nothing is missing", "not so", "the log or a file cannot be read"),
    ("`policy check`", "no mistake", "mistakes", "unreadable"),
    ("`policy sign`", "signed", "refused: mistakes in it", "no key, or unreadable"),
    ("`policy verify`", "signed by a trusted key", "not so", "unreadable"),
    ("`policy show`", "shown", "", "unreadable"),
    ("`keys check`", "fine", "something is red", "no trust file, or unreadable"),
    ("`keys new`, `show`, `list`", "done", "", "the key cannot be read or written"),
    ("`keys rotate`, `retire`, `revoke`", "done", "", "no such key, or the event could not be logged"),
    (
        "`waivers`",
        "done; `show`: signed by somebody who counts",
        "`show`: not so, or ended",
        "unreadable, or no key",
    ),
    ("`debug`", "valid", "invalid", "a value or file cannot be read"),
    ("`readyz`", "ready", "degraded", "error, unreachable or not understood"),
    ("`serve`", "told to stop", "", "it cannot serve"),
]

EXIT_CODES_SHELL = """
## Output that cannot be written

A closed pipe (`| head -1`), a full disk or a closed descriptor (`>&-`) never make a yes of it: a verb whose standard
output could not be written, or `cutover run` whose GO could not be shown, ends with `2` and says so on standard
error. Another answer keeps its code, and a run is decided and sealed all the same. In a run in this process,
`pytest -m PHASE`, it is pytest that writes: it then ends with `1` or `120`, sometimes before anything was decided.

## In scripts

`./dev` and `cutover run` hand codes through. `make` does not (it exits with 2), nor does a pipe
without `set -o pipefail`:

```sh
pytest -m preflight || exit $?
```

What else undoes a verdict in a job: [a job that really blocks](../guides/adopt.md#a-job-that-really-blocks).
"""

# -- reason codes ----------------------------------------------------------------------------

REASONS_HEAD = """
Why a criterion, or a whole run, is not simply green. Codes are stable: they are never renamed or
reused, only added. A decision lists its reasons heaviest first; the heaviest gives the verdict and
the [exit code](exit-codes.md).
"""

WEIGHTS: dict[Weight, str] = {
    Weight.RED: "Red: NO-GO, exit 10",
    Weight.UNPROVEN: "Unproven: NO-GO, exit 11",
    Weight.HOLD: "Hold: exit 12",
    Weight.NOTE: "Notes: worth reading, they move nothing",
}

_RUN_AGAIN = "Remove the cause and run again."
_REVIEW_POLICY = "Look at what changed in the policy, then sign it again: `cutover policy sign`."

REASONS: dict[Reason, str] = {
    Reason.LIMIT_BROKEN: "Do not deploy. Follow the gate's remedy; its owner is named beside it.",
    Reason.GATE_FAILED: "Read the assertion's message; follow the gate's remedy.",
    Reason.SUBTEST_FAILED: "Read the subtest's message; follow the gate's remedy.",
    Reason.GATE_NOT_COLLECTED: "Name the path that holds the gate, or correct its id, in the code or in the policy.",
    Reason.GATE_DESELECTED: "Leave out `-k`, `--deselect`, `--lf` and the like; look at `addopts` and the conftests.",
    Reason.GATE_NOT_RUN: "Run without `-x`; look for what stopped the run early.",
    Reason.GATE_NOT_FINISHED: "Look at the end of the output: a crash, `os._exit`, the out-of-memory killer.",
    Reason.GATE_PHASE_MISSING: "Run without `--setup-only` and `--setup-plan`; look for a hook that replaces the run.",
    Reason.GATE_SKIPPED: "Make it run. A gate that does not apply is taken out of the plan, by its signed policy.",
    Reason.GATE_XFAILED: "Remove the xfail mark.",
    Reason.GATE_SETUP_FAILED: "Repair the fixture, or the thing it sets up.",
    Reason.GATE_ERROR: "Is the source reachable? Otherwise the gate has a bug.",
    Reason.GATE_TEARDOWN_FAILED: "Repair the fixture's teardown; what it left behind may disturb the next run.",
    Reason.GATE_TIMEOUT: "Is the source slow? Otherwise raise `timeout` at the marker or `gate_timeout_s` in the policy.",
    Reason.GATE_RERUN: "Switch reruns off for gates. A retry belongs inside one reading, where it is counted.",
    Reason.GATE_INTERRUPTED: "Run again.",
    Reason.GATE_ALTERED: "Find the hook, in a conftest or plugin, that changes outcomes, and remove it.",
    Reason.GATE_DUPLICATE: "Give one of the two another id.",
    Reason.GATE_CANCELLED: "See what ended the run: `-x` and `--maxfail` leave what comes after unproven.",
    Reason.GATE_INVALID: "Correct the marker: [gate marker](marker.md).",
    Reason.GATE_INSTANCES: "Name or count the instances in the policy.",
    Reason.GATE_CODE_CHANGED: "Review the change to the gate code, pin the new digest, sign the policy.",
    Reason.GATE_CODE_OUTSIDE: "Move the gate below the pinned paths, or add its path to `gate_code` and sign the policy.",
    Reason.GATE_NO_MEASUREMENT: "Let the gate call `gate.measure`, and give the measurement a limit in the policy.",
    Reason.GATE_RECORD_INCOMPLETE: "A `measure()` call was refused, or the journal was edited: read the gate's message.",
    Reason.LIMIT_UNMEASURED: "Measure it, or remove the limit from the policy.",
    Reason.MEASUREMENT_UNJUDGED: "Give it a limit in the policy, or record it with `information=True`.",
    Reason.MEASUREMENT_INVALID: "Find out why the source gave no number; do not replace it by 0.",
    Reason.MEASUREMENT_KIND: "Numbers as numbers, texts as texts: correct the gate or the limit.",
    Reason.MEASUREMENT_UNIT: "Use one unit in the gate and in the policy; nothing is converted.",
    Reason.MEASUREMENT_DUPLICATE: "Give the second one another name.",
    Reason.MEASUREMENT_STALE: "Read the source again, or raise `max_age_s` of the limit.",
    Reason.MEASUREMENT_FUTURE: "Set the clocks of this machine and of the source.",
    Reason.SAMPLES_MISSING: "Give `samples=` to `gate.measure`.",
    Reason.SAMPLES_LOW: "Wait for more traffic, or send more requests.",
    Reason.RUN_NOTHING_SELECTED: "Name the paths that hold the gates; look at `-k` and `addopts`.",
    Reason.RUN_NOT_CLEAN: "Repair the test that failed, or leave it out of the gate run.",
    Reason.RUN_COLLECT_ERROR: "Repair the file: pytest prints the error.",
    Reason.RUN_INTERRUPTED: "Run again, to the end.",
    Reason.RUN_INTERNAL_ERROR: "Read pytest's traceback; switch off the plugin that crashed.",
    Reason.RUN_DEADLINE: "Find the gate that hangs, or raise `run_deadline_s` in the policy.",
    Reason.RUN_WORKER_CRASHED: "Look at the worker's output; run without `-n` to find the gate.",
    Reason.RUN_WORKERS_DISAGREE: "Make collection deterministic: no order of sets, no random parameters.",
    Reason.RUN_FORKED: "Use `subprocess` or threads; a forked copy must end with `os._exit`.",
    Reason.RUN_JOURNAL_INCOMPLETE: "Run again; keep the folder, its journal shows how far the run came.",
    Reason.RUN_JOURNAL_DAMAGED: "Find out who writes to the run's folder; run again.",
    Reason.RUN_EXIT_STATUS: "A hook or plugin changed pytest's exit status: find it, or it crashed: see its output.",
    Reason.RUN_PROVE_RED: "Run the gates as they are: `cutover run`. If nobody asked for `cutover prove-red`, look for gate code that uses `pytest_cutover.sources.distortion`.",
    Reason.RUN_ASSERTS_OFF: "Run without `-O` and without `PYTHONOPTIMIZE`.",
    Reason.RUN_CLOCK: "Let the clock settle (NTP), and run again.",
    Reason.RUN_RUNNER: "Use `cutover run PLAN` in place of `pytest -m PHASE`.",
    Reason.EVIDENCE_NOT_WRITTEN: "Is the disk full, or the folder read-only? " + _RUN_AGAIN,
    Reason.SHARD_PARTIAL: "Merge the runs of all shards: `cutover merge`.",
    Reason.SHARD_UNNAMED: "Give `--cutover-shard NAME` (`--shard`), or `CUTOVER_SHARD`.",
    Reason.SHARD_NOT_REQUIRED: "List the `shards` in the plan of the policy; a plan without shards needs no merge.",
    Reason.SHARD_MISSING: "Run the gates for that shard, and merge again.",
    Reason.SHARD_FOREIGN: "Correct the shard's name, or add it to the policy; do not merge runs of others.",
    Reason.SHARD_DUPLICATE: "Give the newest run of each shard alone.",
    Reason.SHARD_REPLAYED: "Give every run once.",
    Reason.SHARD_UNVERIFIED: "`cutover verify` says what is wrong with it; with `signature.rotated` it was signed before a rotation: run the shard again. "
    + _RUN_AGAIN,
    Reason.SHARD_RED: "`cutover explain` of the shard's run says what would have to differ.",
    Reason.SHARD_UNPROVEN: "`cutover explain` of the shard's run says what would have to differ.",
    Reason.SHARD_HOLD: "Read the reasons of the shard's run, act, and run the shard again.",
    Reason.SHARD_EXPIRED: "Run the shard again, and merge sooner; or raise `decision_ttl_s` in the policy.",
    Reason.SHARD_STALE: "Run the shard again, and merge sooner; or raise `max_age_s` in the policy.",
    Reason.SHARD_SUBJECT: "Gate the same artifacts in every shard.",
    Reason.SHARD_ENVIRONMENT: "Merge runs of one environment; name it with `--environment`.",
    Reason.SHARD_PLAN: "Merge runs of one plan; name it with `--plan`.",
    Reason.SHARD_POLICY: "Run every shard under the policy of the fleet.",
    Reason.SUBJECT_MISSING: "Give `--cutover-subject NAME@sha256:HEX`, or subjects in the policy's environment.",
    Reason.POLICY_UNSIGNED: "Sign it: `cutover policy sign configs/policy.json`.",
    Reason.POLICY_UNTRUSTED: _REVIEW_POLICY + " Or add the key to the trust file, if it should count.",
    Reason.POLICY_THRESHOLD: "Let others sign it too: `cutover policy sign FILE --add`; `cutover policy verify FILE` says who is missing.",
    Reason.POLICY_OUTDATED: "Take the policy that is in force. If this one is meant to be, give it a higher version and let it be signed.",
    Reason.POLICY_EXPIRED: "Review the policy, set a new end date, sign it.",
    Reason.POLICY_CHANGED: "Judge with the policy, plan and environment the run was made for, or run again.",
    Reason.POLICY_EMPTY: "List the gates that the plan requires.",
    Reason.KEY_DEVELOPMENT: "Set `CUTOVER_KEY`: [options](options.md).",
    Reason.EVIDENCE_NOT_STORED: "Is the store there and writable? `cutover evidence list` asks it. "
    + _RUN_AGAIN,
    Reason.LOG_UNAVAILABLE: "Is the log's place there, writable, and its key set (`CUTOVER_KEY_LOG`)? "
    + _RUN_AGAIN,
    Reason.LOG_REWRITTEN: "Treat it as tampering: compare with copies of the log, `cutover log audit` says where they part.",
    Reason.SECTION_MISSING: "Call `gate.section(NAME, {…})` in the gate that measures it, or take the section out of the plan.",
    Reason.CARRIED_CHANGED: "Run the plan without `--open`. Do not deselect a gate that is carried: it must be collected.",
    Reason.CARRIED_OUTDATED: "Run the plan again: with `--open` it starts from that other run.",
    Reason.CARRIED_EXPIRED: "Run the plan without `--open`.",
    Reason.WAIVER_UNUSABLE: "Repair the file, or remove it: `cutover waivers show FILE` says what is wrong.",
    Reason.WAIVER_UNTRUSTED: 'Add the signer\'s key to the trust file, with a person and the role "waiver", if it should count.',
    Reason.WAIVER_FOREIGN: "Ask for a waiver of this very change set and environment.",
    Reason.WAIVER_EXPIRED: "Mend what is red. If that takes longer, ask for a new waiver.",
    Reason.WAIVER_NOT_ALLOWED: "Set `waiver_persons` in the policy's settings, if waivers should count there, and sign it.",
    Reason.WAIVER_AUTHORS_UNKNOWN: "Give `--cutover-author`, or `change` in the policy's environment.",
    Reason.WAIVER_SELF_SIGNED: "Let somebody sign who did not write the change.",
    Reason.WAIVER_PERSONS: "Let more persons sign the same file: `cutover waivers sign FILE`.",
    Reason.WAIVER_BEYOND: "It is worse than what was accepted: mend it, or ask for a new waiver.",
    Reason.GUARDS_UNCONFIRMED: "Set `guards` in the policy's environment; look at what its command said. Then run again.",
    Reason.OBLIGATION_OVERDUE: "Run a plan that has the gate, in this environment; `cutover obligations` lists what is owed.",
    Reason.OBLIGATION_PENDING: "Run a plan that has the gate before it is due.",
    Reason.OBLIGATION_MET: "Nothing.",
    Reason.GATE_NOT_APPLICABLE: "Nothing. To make a skip count, require the gate in the plan.",
    Reason.LIMIT_DIFFERS: "Remove the limit from the gate's code, or make them equal.",
    Reason.RUN_MODULE_SKIPPED: "Nothing, unless a required gate is in it: that one has a reason of its own.",
    Reason.KEY_MISSING: "Nothing for a fork's pull request. For a release set `CUTOVER_KEY`.",
}

PROBLEMS_HEAD = """
## Problem codes of `cutover verify` and `cutover admit`

Why evidence does not prove, or does not admit. All of them are listed, not only the first; each of
them makes the answer no (exit 1).
"""

_NOT_OURS = "Do not use this evidence. Fetch it again from where the run put it, or run again."
_WRITER = (
    "Do not use this evidence: whoever wrote it held the key and did not write what this project writes."
)

_FROM_COPY = "Restore it from another copy, and find out what happened to this one."

PROBLEMS: dict[ProblemCode, str] = {
    ProblemCode.BUNDLE_MISSING: "Run with a signing key: unsigned evidence proves and admits nothing.",
    ProblemCode.BUNDLE_MALFORMED: _NOT_OURS,
    ProblemCode.ENVELOPE_MALFORMED: _NOT_OURS,
    ProblemCode.ENVELOPE_TYPE: _NOT_OURS,
    ProblemCode.SIGNATURE_UNTRUSTED: "Use the trust file that names the signer, or refuse the evidence.",
    ProblemCode.SIGNATURE_INVALID: _NOT_OURS,
    ProblemCode.SIGNATURE_ROLE: 'Give the key the role "decision" in the trust file, if it should have it.',
    ProblemCode.SIGNATURE_ENVIRONMENT: "Add the environment to the key in the trust file, if it should sign for it.",
    ProblemCode.SIGNATURE_EXPIRED: "Run again with a key that is valid now.",
    ProblemCode.SIGNATURE_ROTATED: "Give the proof of the log (`.tlog-proof`) that stands beside the bundle; else run again with the key that is active now.",
    ProblemCode.SIGNATURE_RETIRED: "Run again with the key that is active now.",
    ProblemCode.SIGNATURE_REVOKED: "Refuse the evidence, whatever it says: somebody else may hold the key. Run again with the key that is active now.",
    ProblemCode.SIGNATURE_PERSONS: "A run signs with one key: ask for several persons in the roles `policy` and `waiver`. Where `decision` asks for one, say in the trust file whose the key is (`person`).",
    ProblemCode.MANIFEST_MISSING: _NOT_OURS,
    ProblemCode.MANIFEST_MISMATCH: _NOT_OURS,
    ProblemCode.STATEMENT_MALFORMED: _WRITER,
    ProblemCode.STATEMENT_MISSING: _WRITER,
    ProblemCode.STATEMENT_DUPLICATE: _WRITER,
    ProblemCode.STATEMENT_UNKNOWN: _WRITER,
    ProblemCode.STATEMENT_DISAGREES: _WRITER,
    ProblemCode.LOG_UNPROVEN: "Put the proof back, or make it again: `cutover log prove`. If the log does not hold it, refuse it.",
    ProblemCode.LOG_PROOF: "Refuse it, unless a new proof (`cutover log prove`) shows otherwise.",
    ProblemCode.WAIVER_SIGNATURE: "Use the trust file that names the signers, or refuse the evidence.",
    ProblemCode.REPORT_MISSING: "Keep `report.json` beside the bundle, or name it with `--report`.",
    ProblemCode.REPORT_DIGEST: _NOT_OURS,
    ProblemCode.REPORT_MALFORMED: _WRITER,
    ProblemCode.REPORT_DISAGREES: _WRITER,
    ProblemCode.POLICY_MISSING: _WRITER,
    ProblemCode.POLICY_DISAGREES: _WRITER,
    ProblemCode.POLICY_SIGNATURE: "Trust the policy's signer, or let somebody who is trusted sign the policy, and run again.",
    ProblemCode.POLICY_PERSONS: "Let as many persons sign as the trust file asks for (`cutover policy sign --add`), and run again.",
    ProblemCode.POLICY_FLOOR: "Run again under the policy that is in force.",
    ProblemCode.OPENED_MISSING: "Do not trust the evidence: run the plan again, without `--open`.",
    ProblemCode.OPENED_INVALID: "Trust the key that signed the opened run, if it should count; else run the plan without `--open`.",
    ProblemCode.OPENED_UNFIT: "Do not trust the evidence: run the plan again, without `--open`.",
    ProblemCode.OPENED_DISAGREES: "Do not trust the evidence: run the plan again, without `--open`.",
    ProblemCode.DECISION_INPUTS: _WRITER,
    ProblemCode.DECISION_DISAGREES: _WRITER,
    ProblemCode.DECISION_EXPIRED: "Run the gates again.",
    ProblemCode.DECISION_NOT_YET: "Set the clocks, or correct `--at`.",
    ProblemCode.FLEET_SIGNATURE: "Use the trust file that names the shards' signers, or refuse the evidence.",
    ProblemCode.FLEET_SHARD: "Give the shards' evidence as it was merged; if it was changed, merge again.",
    ProblemCode.FLEET_OUTDATED: "Merge again, with the newest run of every shard.",
    ProblemCode.DECISION_NOT_GO: "Do not deploy: read the newest decision's reasons.",
    ProblemCode.EVIDENCE_NONE: "Name the bundle, or the folder with `--runs`; or run the gates first.",
    ProblemCode.EVIDENCE_DOUBTFUL: "Look at the run it names; run the gates again.",
    ProblemCode.EVIDENCE_UNDECIDED: "Wait for the run it names, or run the gates again, to the end.",
    ProblemCode.EVIDENCE_UNSIGNED_NO_GO: "Do not deploy: read that run's report; run the gates again, with a key.",
    ProblemCode.SUBJECT_MISMATCH: "Run the gates for this digest: a GO for another build says nothing about it.",
    ProblemCode.ENVIRONMENT_MISMATCH: "Run the gates for this environment.",
    ProblemCode.SANDBOX_EVIDENCE: "Run the gates for the environment you deploy to.",
    ProblemCode.POLICY_MISMATCH: "Run the gates under the policy that is demanded.",
    ProblemCode.TRUST_DEVELOPMENT: "Give a trust file with the release keys: `--trust` or `CUTOVER_TRUST`.",
    ProblemCode.STORE_FILE_MISSING: _FROM_COPY,
    ProblemCode.STORE_FILE_CHANGED: _FROM_COPY,
    ProblemCode.STORE_FILE_UNKNOWN: "Look at what it is and who put it there; take it out of the store.",
    ProblemCode.STORE_UNREADABLE: "Look at what it is; if it is evidence, put the file itself in its place.",
    ProblemCode.STORE_DOCUMENT_MISSING: "`cutover evidence put` from the run's folder, or restore it from another copy.",
    ProblemCode.STORE_DOCUMENT_MALFORMED: _FROM_COPY,
    ProblemCode.STORE_DOCUMENT_DISAGREES: _FROM_COPY,
    ProblemCode.STORE_SECTION_MISSING: "Run the plan again with the gate that provides the section.",
    ProblemCode.STORE_SECTION_MALFORMED: "Look at the attachment: was a secret in it redacted? Run the gate again.",
    ProblemCode.STORE_LATEST: "`cutover evidence index` moves it; if a run is missing besides, restore that.",
    ProblemCode.STORE_INDEX_MISSING: "Make one: `cutover evidence index`.",
    ProblemCode.STORE_INDEX_INVALID: "Trust the key that signed it; else restore it, or make one anew and say so:"
    " `cutover evidence index --anew`.",
    ProblemCode.STORE_INDEX_STALE: "`cutover evidence index` brings it up to date.",
    ProblemCode.STORE_UNLOCKED: "Lock the run again, and find out who unlocked it: `cutover evidence lock`.",
    ProblemCode.STORE_NOT_LOGGED: "Do not trust the run: its decision was never logged, or in another log.",
    ProblemCode.STORE_DECISION_MISSING: _FROM_COPY,
    ProblemCode.STORE_LOG_INVALID: "`cutover log verify` and `audit` say more.",
}

# -- options ---------------------------------------------------------------------------------

OPTIONS_HEAD = """
An option wins over its environment variable, that over the policy. `cutover run` takes the same
ones without the prefix `cutover-`.

A gate run begins when `-m` names a phase positively (`-m preflight`, not `-m "not preflight"`),
when `--cutover-plan` is given, or when a gate's node id is. A run that names no phase leaves gates
out and says so.
"""

OPTIONS_ENVIRONMENT = "## Environment variables"

VARIABLES: dict[str, str] = {
    "CUTOVER_ENV": "The environment that is judged.",
    "CUTOVER_SUBJECT": "What is released: `NAME@sha256:HEX`, several separated by commas or blanks.",
    "CUTOVER_SHARD": "Which part of a fleet this run gates.",
    "CUTOVER_WAIVERS": "Files of signed waivers, separated by commas or blanks; those in `configs/waivers` count too.",
    "CUTOVER_AUTHORS": "Who wrote the change, separated by commas: they may sign no waiver for it.",
    "CUTOVER_POLICY": "The policy's path; relative to pytest's root folder.",
    "CUTOVER_TRUST": "The trust file's path. One that lies outside of the repository proves most.",
    "CUTOVER_KEY_KMS": "The signing key in AWS KMS: id, ARN or alias of a key of `ECC_NIST_P256`. Comes before all others:"
    " [keys](keys.md).",
    "CUTOVER_KEY_SSM": "Name of the SSM parameter (SecureString) that holds the signing key, PEM text.",
    "CUTOVER_KEY": "Path of the signing key (PEM) or of a key ring, or `none`. Set but empty means none too: that is what a fork's pull"
    " request gets. Not set: a development key below `var/cutover/keys`, made when absent.",
    "CUTOVER_KEY_PEM": "The signing key itself, PEM text. Not together with `CUTOVER_KEY`.",
    "CUTOVER_KEY_LOG": "Path of the key (Ed25519, PEM) that signs the transparency log's checkpoints. Not set: this "
    "machine's own, `var/cutover/keys/log.pem`, which is made for the log `cutover.local` alone.",
    "CUTOVER_VIEWS": "Views to keep in the run's folder: `summary`, `html`, `junit`, separated by commas, or `none`.",
    "CUTOVER_ANNOTATIONS": "`auto` (in GitHub Actions), `github` or `none`: [views](views.md).",
    "CUTOVER_EVIDENCE_URL": "The page that keeps the evidence of this run, for links to it; known by itself in GitHub"
    " Actions, GitLab and Jenkins.",
    "CUTOVER_READYZ_FAIL_CLOSED": "`0` lets `cutover readyz` exit 0 when the endpoint is unreachable or not understood;"
    " gates ignore it.",
    "CUTOVER_SANDBOX_BREAK": "Checks of the embedded sandbox service to break, separated by blanks, to see their gates"
    " turn red: `CUTOVER_SANDBOX_BREAK=disk ./dev preflight` exits 10.",
    "NO_COLOR": "Set to anything: no colours. `FORCE_COLOR` asks for them where the output is no terminal.",
}

# -- hooks -----------------------------------------------------------------------------------

HOOKS_HEAD = """
A conftest or plugin may implement these. They are told; nothing they do moves the verdict towards GO.

`cutover run` decides in the parent process, which loads no conftest: there `pytest_cutover_decided` is not called,
and `pytest_cutover_gate_judged` is called in the child.
"""

HOOKS_EXAMPLE = """
## Example

```python
# conftest.py
def pytest_cutover_decided(config, decision):
    config.get_terminal_writer().line(f"decided: {decision.verdict.value}")
```

`Decision` and `GateDecision` are in `pytest_cutover.model`.
"""
