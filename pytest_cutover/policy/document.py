"""The policy document as written: pydantic models of shape and range, nothing resolved.

What one value can say about itself (type, range, spelling) is checked here and published as JSON Schema;
what values say about each other is in `check`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from pytest_cutover import resolution
from pytest_cutover.model import LOCAL_LOG

FORMAT = 1
"""The version of this file format."""

MIN_SECONDS = Decimal("0.001")
"""Shortest duration that can be set: below a millisecond nothing is measured over a network."""

MAX_SECONDS = Decimal(366 * 24 * 3600)
"""Longest duration that can be set, a year: evidence older than that decides nothing."""

MAX_TOLERANCE_S = Decimal(300)
"""Largest clock tolerance: clocks further apart are broken, not skewed."""

MAX_SAMPLES = 10**12
"""Largest minimum of samples that anybody can collect."""

ID_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
"""Gates, plans and environments."""

GATE_KEY_PATTERN = r"^[a-z0-9][a-z0-9._-]*(\[.+\])?$"
"""A gate, or one instance of a parametrized gate: `id[param]`."""

TRIMMED_PATTERN = r"^\S(.*\S)?$"
"""One line without stray whitespace at either end."""

LOG_ORIGIN_PATTERN = r"^[^\s+]+$"
"""A note's key name (C2SP signed-note)."""

REGION_PATTERN = r"^[a-z0-9-]+$"

ENDPOINT_PATTERN = r"^https?://[^/@?#\s]+/?$"
"""The address of a server, without credentials."""

WITNESS_PATTERN = r"^https?://[^@?#\s]+$"
"""The address of a witness: a server and perhaps a path, without credentials."""

MAX_RETENTION_DAYS = 36_525
"""A century: whoever asks for more has added a digit, and nobody could take it back."""

SHA256_PATTERN = r"^[0-9a-f]{64}$"


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PydanticCustomError("number_type", "expected a number")
    return Decimal(value)


def _bound(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise PydanticCustomError("bound_type", "expected a number or a text")
    if value == "":
        raise PydanticCustomError("string_too_short", "expected a text")
    return value if isinstance(value, str) else Decimal(value)


def _kind(value: Any) -> str | None:
    """The tag of a union's member; angle brackets keep tags apart from keys in error locations."""
    if isinstance(value, bool):
        return None
    return {str: "<text>", dict: "<object>", list: "<list>", int: "<count>"}.get(type(value))


Number = Annotated[Decimal, BeforeValidator(_number), WithJsonSchema({"type": "number"})]
Seconds = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=MIN_SECONDS, le=MAX_SECONDS),
    WithJsonSchema({"type": "number", "minimum": float(MIN_SECONDS), "maximum": int(MAX_SECONDS)}),
]
Tolerance = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=0, le=MAX_TOLERANCE_S),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": int(MAX_TOLERANCE_S)}),
]
Bound = Annotated[
    Decimal | str,
    BeforeValidator(_bound),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "minLength": 1}]}),
]
Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=200)]
GateKey = Annotated[str, Field(pattern=GATE_KEY_PATTERN, max_length=400)]
Trimmed = Annotated[str, Field(pattern=TRIMMED_PATTERN, max_length=400)]
LogOrigin = Annotated[str, Field(pattern=LOG_ORIGIN_PATTERN, max_length=200)]
Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN)]
Samples = Annotated[int, Field(ge=1, le=MAX_SAMPLES)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class Model(BaseModel):
    """Base of every part of the document: unknown keys and loose types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GateCode(Model):
    """The code of the gates; replaced whole when set again nearer to the run."""

    paths: Annotated[tuple[Trimmed, ...], Field(strict=False, min_length=1)] = Field(
        default=resolution.GateFiles().paths,
        description="Files and folders, relative to the project, that make up the gate code.",
        json_schema_extra={"uniqueItems": True},
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="Pinned digest of that code, as the evidence names it, without `sha256:`; left out, nothing is pinned.",
    )


class Settings(Model):
    """How a plan is run and judged; every key is optional, the nearest one wins."""

    max_age_s: Seconds | None = Field(
        default=None, description="How old a measured value may be when it is judged, in seconds."
    )
    decision_ttl_s: Seconds | None = Field(
        default=None, description="How long a GO may be used after it was decided, in seconds."
    )
    gate_timeout_s: Seconds | None = Field(
        default=None, description="Time limit of one gate, in seconds, unless the gate names its own."
    )
    run_deadline_s: Seconds | None = Field(
        default=None, description="Time limit of the whole run, in seconds."
    )
    runner: Literal["in-process", "supervised"] | None = Field(
        default=None,
        description="`supervised` demands `cutover run`; `in-process` accepts any way of running.",
    )
    development_key: bool | None = Field(
        default=None,
        description="Whether a key made on the spot may sign the evidence, and a policy, of this environment.",
    )
    min_samples: Samples | None = Field(
        default=None,
        description="Fewest samples behind every number whose limit names no minimum itself.",
    )
    gate_code: GateCode | None = Field(
        default=None, description="The gate code, and the digest it must have."
    )
    clock_tolerance_s: Tolerance | None = Field(
        default=None,
        description="How far clocks may be apart before a measurement counts as from the future, in seconds.",
    )
    waiver_persons: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="How many persons have to sign a waiver, none of them an author of the change; "
        "left out, no waiver counts.",
    )


class LimitEntry(Model):
    """What a measurement must satisfy: exactly one of at_least, at_most, between, equals, one_of."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [o]} for o in ("at_least", "at_most", "between", "equals", "one_of")]
        }
    )

    at_least: Number | None = Field(default=None, description="The value is this number or more.")
    at_most: Number | None = Field(default=None, description="The value is this number or less.")
    between: Annotated[tuple[Number, ...], Field(strict=False, min_length=2, max_length=2)] | None = Field(
        default=None, description="[low, high]: the value lies between both, which are included."
    )
    equals: Bound | None = Field(default=None, description="The value is exactly this number or text.")
    one_of: Annotated[tuple[Bound, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None,
        description="The value is one of these, all numbers or all texts.",
        json_schema_extra={"uniqueItems": True},
    )
    unit: Trimmed = Field(
        default="1", description="The unit of the value, compared letter for letter and never converted."
    )
    min_samples: Samples | None = Field(
        default=None, description="Fewest samples behind the value; otherwise the setting of that name."
    )
    max_age_s: Seconds | None = Field(
        default=None, description="How old the value may be, in seconds; otherwise the setting of that name."
    )


class RequireEntry(Model):
    """A parametrized gate with its instances, by name or by count."""

    gate: Id = Field(description="The gate's id.")
    instances: (
        Annotated[
            Annotated[Annotated[tuple[Trimmed, ...], Field(strict=False, min_length=1)], Tag("<list>")]
            | Annotated[Count, Tag("<count>")],
            Discriminator(
                _kind,
                custom_error_type="instances_type",
                custom_error_message="expected a list of instance names, or their number",
            ),
        ]
        | None
    ) = Field(
        default=None, description="Names of the instances (the part in brackets), or how many there are."
    )


Requires = Annotated[
    tuple[
        Annotated[
            Annotated[Id, Tag("<text>")] | Annotated[RequireEntry, Tag("<object>")],
            Discriminator(
                _kind,
                custom_error_type="requires_type",
                custom_error_message="expected a gate id, or an object with gate and instances",
            ),
        ],
        ...,
    ],
    Field(strict=False, min_length=1),
]
Limits = dict[GateKey, dict[Trimmed, LimitEntry]]

Shards = Annotated[
    Annotated[Annotated[tuple[Trimmed, ...], Field(strict=False, min_length=1)], Tag("<list>")]
    | Annotated[Count, Tag("<count>")],
    Discriminator(
        _kind,
        custom_error_type="shards_type",
        custom_error_message="expected a list of shard names, or their number",
    ),
]


class Plan(Model):
    """Which gates must be proven green, and how they are run."""

    phase: Literal["preflight", "rehearsal", "canary", "postcutover", "rollback", "orr", "bigbang"] | None = (
        Field(
            default=None,
            description="The phase marker whose gates are run; may be left out when the plan's name is one.",
        )
    )
    requires: Requires = Field(description="The gates that must be proven green; absence is NO-GO.")
    sections: Annotated[
        tuple[Literal["judges", "perf", "perf_judge", "canary"], ...], Field(strict=False)
    ] = Field(
        default=(),
        description="Sections of the evidence document that the plan's gates have to provide.",
        json_schema_extra={"uniqueItems": True},
    )
    shards: Shards | None = Field(
        default=None,
        description="The shards of a fleet, by name or by number: each is a run of its own, and only "
        "`cutover merge` of all of them can be a GO.",
    )
    settings: Settings = Field(default=Settings(), description="Settings of this plan.")


class PlanOverride(Model):
    """What an environment changes in a plan: its gates, its shards, or both."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    requires: Requires | None = Field(default=None, description="Replaces the plan's list as a whole.")
    shards: Shards | None = Field(default=None, description="Replaces the plan's shards as a whole.")


class Subject(Model):
    """What is released: exactly one way to learn its SHA-256."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [o]} for o in ("sha256", "files", "command", "git")]}
    )

    name: Trimmed = Field(description="The subject's name in the evidence.")
    sha256: Sha256 | None = Field(default=None, description="The digest itself.")
    files: Trimmed | None = Field(
        default=None,
        description="A glob inside the project; every file that matches is a subject of its own.",
    )
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="A command, as a list, that prints the digest as hex or sha256:hex."
    )
    git: Trimmed | None = Field(
        default=None, description="A revision, such as HEAD; the subject is its commit."
    )


class Change(Model):
    """The change that is released: whoever wrote it may sign no waiver for it."""

    git: Trimmed = Field(
        description="A range of commits, such as v1.4..HEAD; their authors, committers and co-authors count."
    )


class Guards(Model):
    """How the guards of a GO-WITH-GUARDS are put in place."""

    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = Field(
        description="A command, as a list; it is given the path of guards.json, and confirms by printing "
        "`confirmed sha256:…` with the digest of that file as its last line."
    )
    timeout_s: Seconds = Field(default=Decimal(60), description="Time limit of the command, in seconds.")


class Place(Model):
    """Where something is kept: a folder, or a bucket and the server that it is on."""

    place: Trimmed
    endpoint: Annotated[str, Field(pattern=ENDPOINT_PATTERN, max_length=400)] | None = Field(
        default=None,
        description="URL of the S3 server; left out, AWS_ENDPOINT_URL or the AWS profile names it, else it is Amazon's.",
    )
    region: Annotated[str, Field(pattern=REGION_PATTERN, max_length=60)] | None = Field(
        default=None, description="Region of the bucket; left out, AWS_REGION or the AWS profile names it."
    )


class Log(Place):
    """The transparency log of an environment: signed decisions go into it, and count only with their proof."""

    origin: LogOrigin = Field(
        default=LOCAL_LOG,
        description="The log's name in its checkpoints, as the trust file spells it; "
        "left out, the one that each machine keeps for itself.",
    )
    place: Trimmed = Field(
        default="var/cutover/log",
        description="Where the log is kept: a folder, relative to the project, or s3://bucket/prefix.",
    )
    witnesses: Annotated[
        tuple[Annotated[str, Field(pattern=WITNESS_PATTERN, max_length=400)], ...], Field(strict=False)
    ] = Field(
        default=(), description="Addresses of witnesses; each is asked to cosign what a decision is in."
    )
    cosignatures: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0,
        description="So many witnesses of the trust file have to have cosigned; without them a decision counts for nothing.",
    )


class Retention(Model):
    """How long evidence is kept as it is from when it is put into the store."""

    mode: Literal["COMPLIANCE"] = Field(
        default="COMPLIANCE",
        description="The mode of Object Lock; GOVERNANCE would let some remove evidence, and is none.",
    )
    days: Annotated[int, Field(ge=1, le=MAX_RETENTION_DAYS)] = Field(
        description="So many days at least; nobody can take them back."
    )


class Store(Place):
    """The evidence store of an environment: every decided run is put into it."""

    place: Trimmed = Field(
        default="var/evidence",
        description="Where evidence is kept: a folder, relative to the project, or s3://bucket/prefix.",
    )
    retention: Retention | None = Field(
        default=None,
        description="How long evidence is kept as it is; left out, until somebody locks it.",
    )


class Environment(Model):
    """What differs in one environment."""

    sandbox: bool = Field(
        default=False,
        description="True in the environment named sandbox, and only there: nobody accepts its evidence.",
    )
    settings: Settings = Field(default=Settings(), description="Settings of this environment; they win.")
    plans: dict[Id, PlanOverride] = Field(default={}, description="Plans whose requirements differ here.")
    limits: Limits = Field(
        default={},
        description="Limits that differ here; each replaces the limit of that gate and measurement whole.",
    )
    targets: dict[Id, Trimmed] = Field(
        default={}, description="Addresses of what is measured; `embedded` starts the sandbox service."
    )
    subjects: Annotated[tuple[Subject, ...], Field(strict=False)] = Field(
        default=(), description="What is released, when the run is not told."
    )
    change: Change | None = Field(
        default=None, description="The change that is released, when the run is not told its authors."
    )
    guards: Guards | None = Field(
        default=None, description="What puts guards in place; without it a waiver leads to HOLD."
    )
    log: Log | None = Field(
        default=None,
        description="The transparency log that signed decisions go into; left out, there is none.",
    )
    store: Store | None = Field(
        default=None,
        description="The store that evidence is put into; left out, it stays in the run's folder.",
    )


class Document(Model):
    """A go/no-go policy of pytest-cutover: which gates a plan requires, and within which limits."""

    model_config = ConfigDict(title="pytest-cutover policy, format 1")

    schema_uri: str | None = Field(default=None, alias="$schema", description="For editors; ignored.")
    format: Literal[1] = Field(description="Version of this file format.")
    name: Trimmed = Field(description="The policy's name in evidence and reports.")
    version: Annotated[int, Field(ge=1, le=2**53 - 1)] = Field(
        description="The policy's own serial number; raise it with every change."
    )
    expires: str | None = Field(
        default=None,
        description="The policy judges nothing after this time (RFC 3339, UTC with Z).",
        json_schema_extra={"format": "date-time", "pattern": "Z$"},
    )
    default_environment: Id | None = Field(
        default=None, description="The environment when the run names none."
    )
    defaults: Settings = Field(default=Settings(), description="Settings of every plan and environment.")
    plans: Annotated[dict[Id, Plan], Field(min_length=1)] = Field(description="Plans by name.")
    limits: Limits = Field(description="Limits by gate (or one instance, `id[param]`) and measurement.")
    environments: Annotated[dict[Id, Environment], Field(min_length=1)] = Field(
        description="Environments by name."
    )
