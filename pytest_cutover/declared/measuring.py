"""What a gate of a TOML file does when it runs: read one thing, and measure everything the file names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_cutover.declared import logs, taking
from pytest_cutover.errors import SourceError
from pytest_cutover.sources import distortion, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_cutover.declared.criteria import Command, Criterion, Readyz, Scan, Take, Url
    from pytest_cutover.gate import Gate
    from pytest_cutover.sources.command import CommandReading, CommandSource
    from pytest_cutover.sources.http import HttpReading, HttpSource
    from pytest_cutover.sources.readyz import ReadyzReading, ReadyzSource

NO_LIMIT_S = 86400.0
"""Without a limit in the file the policy's is the gate's, and the engine's alarm ends the command."""

BEHIND_S = 2.0
"""A command's own limit lies this far behind the gate's: it counts where there is no alarm."""

SHELL_NO_COMMAND = (126, 127)
SIGNALS = range(129, 129 + 64)
"""Exit codes of a shell whose command was not found, or ended by a signal."""

SHOWN_CHARS = 200


@dataclass(frozen=True)
class _Read:
    """One reading, with how to take a value from it."""

    take: Callable[[Take], object]
    observed_at: datetime
    source: str
    samples: int | None = None


def command_gate(criterion: Criterion, probe: Command, root: Path, gate: Gate, command: CommandSource, targets: Mapping[str, str]) -> None:  # fmt: skip
    """Run a command, keep its output, and measure.

    Raises:
        SourceError: it could not be run, failed, or did not say what is measured.
    """
    reading = _run(criterion, probe, root, gate, command, targets)
    if not criterion.takes("exit_code") and reading.exit_code not in probe.exit_codes:
        codes = " or ".join(map(str, probe.exit_codes))
        raise SourceError(
            f"expected exit code {codes} of {_source(probe)}, got {reading.exit_code}{_last_line(reading)}",
            hint="measure exit_code, or name the codes that are an answer: exit_codes = [0, 1]",
        )
    _measure_all(
        criterion,
        gate,
        _Read(lambda take: _from_command(take, reading, _source(probe)), reading.observed_at, _source(probe)),
    )


def url_gate(criterion: Criterion, probe: Url, gate: Gate, http: HttpSource) -> None:
    """Ask a URL, and measure.

    Raises:
        SourceError: no answer, a bad one, or one without what is measured.
    """
    reading = http.get(
        probe.path,
        target=probe.target,
        method=probe.method,
        headers={**probe.headers, **{name: _variable(v) for name, v in probe.headers_from.items()}},
        retries=probe.retries,
        timeout_s=criterion.timeout_s,
        redirects=probe.follow,
    )
    if not criterion.takes("status") and not 200 <= reading.status_code < 300:
        moved = 300 <= reading.status_code < 400
        raise SourceError(
            f"expected an answer from {reading.url}, got HTTP {reading.status_code}",
            hint="ask for the address it leads to, or follow = true"
            if moved
            else "measure status to judge it",
        )
    _measure_all(
        criterion, gate, _Read(lambda take: _from_answer(take, reading), reading.observed_at, reading.url)
    )


def readyz_gate(criterion: Criterion, probe: Readyz, gate: Gate, readyz: ReadyzSource) -> None:
    """Ask a readiness endpoint, and measure.

    Raises:
        SourceError: no answer, or no such sub-check.
    """
    reading = readyz(probe.path, target=probe.target, retries=probe.retries, timeout_s=criterion.timeout_s)
    for check in reading.checks:
        if check.status != "ready":
            gate.note(f"{check.name}: {check.status}{': ' + check.detail if check.detail else ''}")
    _measure_all(
        criterion, gate, _Read(lambda take: _from_readiness(take, reading), reading.observed_at, reading.url)
    )


def scan_gate(criterion: Criterion, probe: Scan, root: Path, gate: Gate) -> None:
    """Count patterns in files, and measure.

    Raises:
        SourceError: no file at all, or one that cannot be read.
    """
    patterns = {m.take.argument: m.take.argument for m in criterion.measures if m.take.what == "count"}
    roots = [root / name for name in probe.roots]
    reading = tree.scan_files(roots, patterns, base=root, files=probe.files, exclude=probe.exclude)
    for place in reading.places:
        gate.note(f"found: {place}")
    read = _Read(
        lambda take: reading.files if take.what == "files" else reading.counts[take.argument],
        reading.observed_at,
        ", ".join(probe.roots),
        reading.files,
    )
    _measure_all(criterion, gate, read)


# -- measuring


def _measure_all(criterion: Criterion, gate: Gate, read: _Read) -> None:
    """Record all that can be taken, then say what could not.

    Raises:
        SourceError: something could not.
    """
    problems: list[SourceError] = []
    for measure in criterion.measures:
        try:
            samples = read.samples if measure.samples is None else _samples(read.take(measure.samples))
            gate.measure(
                measure.name,
                distortion.taken(read.take(measure.take)),
                unit=measure.unit,
                samples=samples,
                observed_at=read.observed_at,
                source=read.source,
                information=measure.information,
                **measure.limit,
            )
        except SourceError as exc:
            problems.append(SourceError(f"{measure.name}: {exc}", hint=exc.hint))
    if problems:
        hints = dict.fromkeys(p.hint for p in problems if p.hint)
        raise SourceError("; ".join(map(str, problems)), hint="; ".join(hints) or None)


def _samples(value: object) -> int:
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and value == int(value) >= 0:
        return int(value)
    raise SourceError(f"expected samples as a whole number of 0 or more, got {value!s:.40}")


def _from_command(take: Take, reading: CommandReading, source: str) -> object:
    where = f"the {take.stream} of {source}"
    text = reading.stdout if take.stream == "stdout" else reading.stderr
    match take.what:
        case "exit_code":
            return reading.exit_code
        case "duration":
            return round(reading.duration_s, 6)
        case "stdout" | "stderr":
            whole = reading.stdout if take.what == "stdout" else reading.stderr
            return taking.whole_text(whole, f"the {take.what} of {source}")
        case "lines":
            return sum(1 for line in reading.stdout.splitlines() if line.strip())
        case "json":
            return taking.json_value(reading.json(), take.query, where)
        case "items":
            return taking.json_items(reading.json(), take.query, where)
    return _by_pattern(take, text, where)


def _from_answer(take: Take, reading: HttpReading) -> object:
    where = f"the answer of {reading.url}"
    match take.what:
        case "status":
            return reading.status_code
        case "latency":
            return round(reading.latency_s, 6)
        case "size":
            return len(reading.body)
        case "body":
            return taking.whole_text(reading.text(), where)
        case "header":
            if take.argument not in reading.headers:
                raise SourceError(f"no header field {take.argument!r} in {where}")
            return taking.whole_text(reading.headers[take.argument], f"{take.argument} in {where}")
        case "metric":
            return reading.metric(take.argument, **take.labels)
        case "json":
            return taking.json_value(reading.json(), take.query, where)
        case "items":
            return taking.json_items(reading.json(), take.query, where)
    text = reading.text()
    if not text.strip():
        raise SourceError(f"expected something in {where}, got nothing")
    return _by_pattern(take, text, where)


def _by_pattern(take: Take, text: str, where: str) -> object:
    if take.what == "figure":
        return taking.figure(take.argument, text, where)
    if take.what == "text":
        return taking.one_text(take.argument, text, where)
    return taking.count(take.argument, text)


def _from_readiness(take: Take, reading: ReadyzReading) -> object:
    match take.what:
        case "status":
            return reading.status
        case "failing_checks":
            return len(reading.failing)
        case "latency":
            return round(reading.latency_s, 6)
        case "http_status":
            return reading.http_status
    found = [check.status for check in reading.checks if check.name == take.argument]
    if len(found) != 1:
        known = ", ".join(dict.fromkeys(check.name for check in reading.checks)) or "none"
        raise SourceError(f"expected one check {take.argument!r} at {reading.url}, found {len(found)}; it has {known}")  # fmt: skip
    return found[0]


# -- commands


def _run(criterion: Criterion, probe: Command, root: Path, gate: Gate, command: CommandSource, targets: Mapping[str, str]) -> CommandReading:  # fmt: skip
    env = _environment(probe, targets)
    limit_s = NO_LIMIT_S if criterion.timeout_s is None else criterion.timeout_s + BEHIND_S
    bounds = {} if probe.max_output_bytes is None else {"max_output_bytes": probe.max_output_bytes}
    output: list[bytes] = []  # of both streams, once it has started
    began = datetime.now(UTC)
    ended = ""

    def said(stdout: bytes, stderr: bytes) -> None:
        output[:] = stdout, stderr

    try:
        reading = command.run(
            probe.argv,
            timeout_s=limit_s,
            env=env,
            cwd=root / probe.folder,
            alone=not probe.leaves_processes,
            said=said,
            **bounds,
        )
        ended = f"exit code {reading.exit_code} after {reading.duration_s:.3f} s"
    except BaseException as exc:  # the engine's alarm is one; what was printed until then says the most
        ended = str(exc) or type(exc).__name__
        raise
    finally:
        if output:
            when = f"{began:%Y-%m-%dT%H:%M:%SZ}"
            head = {"gate": gate.info.id, "command": _source(probe), "began": when, "ended": ended}
            gate.note(f"output: {logs.keep(gate, logs.text_of(head, *output), root, began)}")
    _check_ended(probe, reading)
    return reading


def _environment(probe: Command, targets: Mapping[str, str]) -> dict[str, str]:
    env = {**{name: _variable(name) for name in probe.env_from}, **probe.env}
    for name, target in probe.env_targets.items():
        if target not in targets:
            known = ", ".join(sorted(targets)) or "no targets"
            raise SourceError(
                f"no target {target!r} for the variable {name}",
                hint=f"the environment names {known} (policy: environments → targets)",
            )
        env[name] = targets[target]
    return env


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SourceError(f"expected the environment variable {name}, got {'none' if value is None else 'an empty one'}")  # fmt: skip
    return value


def _check_ended(probe: Command, reading: CommandReading) -> None:
    """An exit code that no program of the user's chose is no measurement.

    Raises:
        SourceError: ended by a signal, or not found by the shell.
    """
    code = reading.exit_code
    if code < 0:
        raise SourceError(f"{_source(probe)} was ended by signal {-code}{_last_line(reading)}")
    if probe.is_shell and code in SHELL_NO_COMMAND:
        raise SourceError(f"the shell could not run a command (exit code {code}){_last_line(reading)}")
    if probe.is_shell and code in SIGNALS:
        hint = "the reader of the pipe ended before its writer" if code == 141 else None
        raise SourceError(
            f"a command of the shell was ended by signal {code - 128} (exit code {code}){_last_line(reading)}",
            hint=hint,
        )


def _last_line(reading: CommandReading) -> str:
    lines = [line.strip() for line in (reading.stderr or reading.stdout).splitlines() if line.strip()]
    return f": {lines[-1][:SHOWN_CHARS]}" if lines else ""


def _source(probe: Command) -> str:
    text = probe.argv[-1].strip() if probe.is_shell else " ".join(probe.argv)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
