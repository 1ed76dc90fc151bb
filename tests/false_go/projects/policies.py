"""What is judged, and by which policy: unsigned, tampered, expired, unknown, empty, edited while the run goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.false_go.harness import (
    SUPERVISED,
    VARIANT,
    LyingRun,
    Mode,
    gate_module,
    policy,
    red,
    refused,
    truly_go,
    unproven,
)
from tests.false_go.projects.bases import COUNTED, GREEN, ONE, ONE_FILE, REGIONS, TWO, TWO_FILE

if TYPE_CHECKING:
    from tests.false_go.harness import Workshop

ONCE = (
    "the policy is read once, before anything runs; subject-missing and policy-tampered run in all four modes"
)
REFUSED = dict.fromkeys(SUPERVISED, refused(2))
SIGNATURE = "configs/policy.json.dsse"
POLICY = "configs/policy.json"


def sign(workshop: Workshop) -> None:
    """Sign the project's policy with the trusted policy key."""
    done = workshop.cutover("policy", "sign", POLICY, "--key", str(workshop.keys.policy))
    assert done.returncode == 0, done.stderr


def sign_with_decision_key(workshop: Workshop) -> None:
    """Sign it with a key that is trusted for decisions, not for policies."""
    done = workshop.cutover("policy", "sign", POLICY, "--key", str(workshop.keys.decision))
    assert done.returncode == 0, done.stderr


def sign_then_change(workshop: Workshop) -> None:
    """Sign it, then loosen a limit."""
    sign(workshop)
    path = workshop.root / POLICY
    path.write_text(path.read_text().replace('"at_most": 1', '"at_most": 9'))


def trust(workshop: Workshop, *keys: tuple[str, str], **more: Any) -> None:
    """Let the run trust these keys (file, person) for policies too, and what else stands in such a file."""
    document = json.loads(workshop.keys.trust.read_text())
    known = {entry["name"]: entry for entry in document["keys"]}
    del known["policy"]
    for name, person in keys:
        arguments = ("keys", "new", name, "--name", name, "--role", "policy", "--person", person)
        known[name] = json.loads(workshop.cutover(*arguments).stdout)
    path = workshop.root.parent / "trust.json"
    path.write_text(json.dumps({**document, "keys": list(known.values()), **more}))
    workshop.env["CUTOVER_TRUST"] = str(path)


def sign_with(workshop: Workshop, *names: str) -> None:
    """Sign the policy with one key after the other."""
    for at, name in enumerate(names):
        done = workshop.cutover("policy", "sign", POLICY, "--key", name, *(["--add"] if at else []))
        assert done.returncode == 0, done.stderr


def one_of_two(workshop: Workshop) -> None:
    trust(workshop, ("ada.pem", "Ada"), ("grace.pem", "Grace"), thresholds={"policy": {"persons": 2}})
    sign_with(workshop, "ada.pem")


def one_person_with_two_keys(workshop: Workshop) -> None:
    trust(workshop, ("ada.pem", "Ada"), ("second.pem", "Ada"), thresholds={"policy": {"persons": 2}})
    sign_with(workshop, "ada.pem", "second.pem")


def below_the_floor(workshop: Workshop) -> None:
    """Signed, by somebody who may; and a newer version is in force."""
    trust(workshop, ("ada.pem", "Ada"), policies={"lies": {"min_version": 2}})
    sign_with(workshop, "ada.pem")


def below_the_floor_unsigned(workshop: Workshop) -> None:
    """The same in the sandbox, and the signature taken away, where an unsigned policy would do."""
    trust(workshop, ("ada.pem", "Ada"), policies={"lies": {"min_version": 2}})


def rotated_after_signing(workshop: Workshop) -> None:
    """The key was rotated, and nothing shows that the policy was signed before."""
    trust(workshop, ("ada.pem", "Ada"))
    sign_with(workshop, "ada.pem")
    path = workshop.root.parent / "trust.json"
    document = json.loads(path.read_text())
    document["keys"][-1] |= {
        "state": "grace",
        "rotated": {"origin": "log.example.org", "size": 5, "at": "2020-01-01T00:00:00Z"},
        "grace_until": "2999-01-01T00:00:00Z",
    }
    path.write_text(json.dumps(document))


def use_development_key(workshop: Workshop) -> None:
    """Sign the policy properly; the run finds no key and makes a development one."""
    sign(workshop)
    del workshop.env["CUTOVER_KEY"]


def without_subject(document: dict[str, Any]) -> dict[str, Any]:
    places = {n: {k: v for k, v in p.items() if k != "subjects"} for n, p in document["environments"].items()}
    return {**document, "environments": places}


STAGING = policy("one", environment="staging")


def _refused(name: str, why: str, document: Any) -> LyingRun:
    text = document if isinstance(document, str) else json.dumps(document)
    return LyingRun(
        name, why, ONE, refused(4), files={POLICY: text}, by_mode=REFUSED, modes=VARIANT, reduced=ONCE
    )


_WEAKEN = f"""
import pathlib
path = pathlib.Path("{POLICY}")
path.write_text(path.read_text().replace('"at_most": 1', '"at_most": 99'))
gate.measure("v", 5)
"""

LIES = (
    LyingRun(
        "subject-missing",
        "outside of the sandbox, and nothing says what is released",
        ONE,
        unproven("subject.missing"),
        policy=without_subject(STAGING),
        prepare=sign,
        keyed=True,
    ),
    LyingRun(
        "policy-unsigned",
        "an unsigned policy outside of the sandbox",
        ONE,
        unproven("policy.unsigned"),
        policy=STAGING,
        keyed=True,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "policy-tampered",
        "a limit was loosened after the policy was signed",
        ONE,
        unproven("policy.untrusted"),
        policy=STAGING,
        prepare=sign_then_change,
        keyed=True,
    ),
    LyingRun(
        "policy-tampered-sandbox",
        "the same in the sandbox, where an unsigned policy would do",
        ONE,
        unproven("policy.untrusted"),
        prepare=sign_then_change,
        keyed=True,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "policy-wrong-role",
        "signed by a key that may sign decisions and no policies",
        ONE,
        unproven("policy.untrusted"),
        policy=STAGING,
        prepare=sign_with_decision_key,
        keyed=True,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "policy-one-of-two",
        "one of the two persons that it takes has signed the policy",
        ONE,
        unproven("policy.threshold"),
        policy=STAGING,
        prepare=one_of_two,
        keyed=True,
    ),
    LyingRun(
        "policy-one-person-twice",
        "one person has signed it with two keys",
        ONE,
        unproven("policy.threshold"),
        policy=STAGING,
        prepare=one_person_with_two_keys,
        keyed=True,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "policy-outdated",
        "an older version of the policy, signed as it should be",
        ONE,
        unproven("policy.outdated"),
        policy=STAGING,
        prepare=below_the_floor,
        keyed=True,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "policy-outdated-unsigned",
        "the same in the sandbox, its signature taken away",
        ONE,
        unproven("policy.outdated"),
        prepare=below_the_floor_unsigned,
        keyed=True,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "policy-rotated-key",
        "signed with a key that was rotated, and no log shows that this was before",
        ONE,
        unproven("policy.untrusted"),
        policy=STAGING,
        prepare=rotated_after_signing,
        keyed=True,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "policy-no-envelope",
        "what stands beside the policy is no signature",
        ONE,
        unproven("policy.untrusted"),
        files={SIGNATURE: "{}"},
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "policy-expired",
        "the policy's end date has passed",
        ONE,
        unproven("policy.expired"),
        policy={**ONE.policy, "expires": "2020-01-01T00:00:00Z"},
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "key-development",
        "a development key where the policy refuses those",
        ONE,
        unproven("key.development"),
        policy=STAGING,
        prepare=use_development_key,
        keyed=True,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "runner-in-process",
        "the policy demands a supervised run",
        ONE,
        unproven("run.runner"),
        policy=policy("one", settings={"runner": "supervised"}),
        by_mode=dict.fromkeys(SUPERVISED, truly_go("it is supervised")),
    ),
    LyingRun(
        "policy-edited",
        "a gate loosens the policy's limit while the run goes on",
        ONE,
        red(),
        files={ONE_FILE: gate_module(_WEAKEN)},
    ),
    LyingRun(
        "policy-deleted",
        "a gate deletes the policy and measures red",
        ONE,
        red(),
        files={ONE_FILE: gate_module(f"import os\nos.unlink('{POLICY}')\ngate.measure('v', 5)")},
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun("policy-missing", "no policy at all", ONE, refused(4), files={POLICY: None}, by_mode=REFUSED),
    _refused(
        "policy-empty-plan",
        "a plan that requires nothing",
        {**ONE.policy, "plans": {"preflight": {"requires": []}}},
    ),
    _refused(
        "policy-other-plan",
        "a policy without the plan",
        {**ONE.policy, "plans": {"canary": {"requires": ["one"]}}},
    ),
    _refused("policy-no-json", "a policy that is no JSON", "{"),
    _refused(
        "policy-duplicate-key",
        "the same key twice: which one counts?",
        json.dumps(ONE.policy).replace('"at_most": 1', '"at_most": 1, "at_most": 9'),
    ),
    _refused(
        "policy-nan", "a limit of NaN", json.dumps(ONE.policy).replace('"at_most": 1', '"at_most": NaN')
    ),
    _refused(
        "policy-limit-bool",
        "a limit of true",
        json.dumps(ONE.policy).replace('"at_most": 1', '"at_most": true'),
    ),
    _refused("policy-typo", "at_mots", json.dumps(ONE.policy).replace("at_most", "at_mots")),
    _refused(
        "policy-two-operators",
        "two operators in one limit",
        json.dumps(ONE.policy).replace('"at_most": 1', '"at_most": 1, "at_least": 0'),
    ),
    _refused("policy-no-limit", "a required gate that no limit judges", {**ONE.policy, "limits": {}}),
    _refused("policy-format", "a policy of format 2", {**ONE.policy, "format": 2}),
    _refused(
        "policy-production-sandbox",
        "production that calls itself a sandbox",
        json.loads(json.dumps(STAGING).replace('"subjects"', '"sandbox": true, "subjects"')),
    ),
    _refused("policy-negative-age", "a negative maximum age", {**ONE.policy, "defaults": {"max_age_s": -1}}),
    LyingRun(
        "plan-unknown",
        "--cutover-plan of a plan that is not there",
        ONE,
        refused(4),
        args=("--cutover-plan", "nightly"),
        modes=(Mode.ALONE,),
        reduced=ONCE,
    ),
    LyingRun(
        "environment-unknown",
        "--cutover-env of an environment that is not there",
        ONE,
        refused(4),
        args=("--cutover-env", "nowhere"),
        modes=(Mode.ALONE,),
        reduced=ONCE,
    ),
    LyingRun(
        "required-never-written",
        "the policy requires a gate that nobody has written",
        ONE,
        unproven("gate.not-collected"),
        policy=TWO.policy,
    ),
    LyingRun(
        "red-not-required",
        "a gate that nothing requires is red",
        ONE,
        red(),
        files={TWO_FILE: gate_module('gate.measure("v", 5, at_most=1)', gate="two")},
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "failed-not-required",
        "a gate that nothing requires fails",
        ONE,
        red("gate.failed"),
        files={TWO_FILE: gate_module('gate.measure("v", 1, at_most=1)\nassert False', gate="two")},
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "instance-missing",
        "an instance that the policy names was dropped from the list",
        REGIONS,
        unproven("gate.instances"),
        files={ONE_FILE: REGIONS.files[ONE_FILE].replace('["eu", "us"]', '["eu"]')},
    ),
    LyingRun(
        "instance-extra",
        "an instance that the policy does not name",
        REGIONS,
        unproven("gate.instances"),
        files={ONE_FILE: REGIONS.files[ONE_FILE].replace('["eu", "us"]', '["eu", "us", "ap"]')},
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "instances-renamed",
        "explicit ids that hide which instance is which",
        REGIONS,
        unproven("gate.instances"),
        files={ONE_FILE: REGIONS.files[ONE_FILE].replace('["eu", "us"]', '["us", "us"]')},
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "instances-too-few",
        "fewer instances than the policy counts",
        COUNTED,
        unproven("gate.instances"),
        files={ONE_FILE: REGIONS.files[ONE_FILE].replace('["eu", "us"]', '["eu"]')},
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "instances-unexpected",
        "a gate was parametrized and the policy knows nothing of it",
        ONE,
        unproven("gate.instances"),
        files=REGIONS.files,
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "instance-red",
        "one of two instances is red",
        REGIONS,
        red(),
        files={
            ONE_FILE: REGIONS.files[ONE_FILE].replace(
                'gate.measure("v", 1)', 'gate.measure("v", 1 if region == "eu" else 5)'
            )
        },
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "gate-code-pinned",
        "the gate code is not the one that the policy pins",
        ONE,
        unproven("gate.code-changed"),
        policy=policy(
            "one", settings={"gate_code": {"paths": ["gates", "conftest.py"], "sha256": "00" * 32}}
        ),
    ),
    LyingRun(
        "gate-code-outside",
        "a gate comes from a file outside of what the policy pins",
        TWO,
        unproven("gate.code-outside"),
        files={TWO_FILE: None, "more/test_two.py": gate_module(GREEN, gate="two")},
        policy=policy("one", "two", settings={"gate_code": {"paths": ["gates"], "sha256": "00" * 32}}),
        modes=VARIANT,
        reduced=ONCE,
    ),
    LyingRun(
        "gate-code-edited",
        "a gate's file is changed while the run goes on",
        ONE,
        unproven("gate.code-changed"),
        files={
            ONE_FILE: gate_module(
                f"from pathlib import Path\npath = Path(__file__)\npath.write_text(path.read_text() + '# changed')\n{GREEN}"
            )
        },
    ),
    LyingRun(
        "gate-code-conftest-deleted",
        "a gate deletes the conftest",
        ONE,
        unproven("gate.code-changed"),
        files={
            "conftest.py": "",
            ONE_FILE: gate_module(f"from pathlib import Path\nPath('conftest.py').unlink()\n{GREEN}"),
        },
        modes=VARIANT,
        reduced="gate-code-edited runs in all four modes",
    ),
)
