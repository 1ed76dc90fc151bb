"""`cutover init` in real repositories: what it writes works, and what was there is kept."""

from __future__ import annotations

import http.server
import json
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from tests.plugin.projects import Project, Ran

if TYPE_CHECKING:
    from collections.abc import Iterator

ALWAYS = {
    "gates/test_ready.py",
    "configs/policy.json",
    "configs/README.md",
    "configs/schemas/policy-1.schema.json",
    ".gitignore",
}
JOBS = {
    "github": {".github/workflows/cutover.yml"},
    "gitlab": {".gitlab-ci.yml", ".gitlab/cutover.yml"},
    "jenkins": {"Jenkinsfile.cutover"},
    "none": set[str](),
}
NEXT = "pytest -m preflight gates"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Project:
    """A git repository without anything in it."""
    (tmp_path / "shop").mkdir()
    git(tmp_path / "shop", "init", "-q")
    return Project(tmp_path / "shop")


def files(project: Project) -> dict[str, bytes]:
    """Every file of the project, git's own and those of runs left out."""
    return {
        name: path.read_bytes()
        for path in sorted(project.folder.rglob("*"))
        if path.is_file()
        and not (name := str(path.relative_to(project.folder))).startswith((".git/", "var/"))
    }


@pytest.fixture
def service() -> Iterator[str]:
    """The URL of a readiness endpoint of somebody else's."""

    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"status": "UP"}' if self.path == "/health/ready" else b"{}"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/health/ready"
    server.shutdown()
    server.server_close()


class TestFreshRepository:
    def test_the_next_step_it_prints_ends_in_a_go_of_the_sandbox(self, repository: Project) -> None:
        made = repository.cutover("init")
        ran = repository.pytest(*NEXT.split()[1:])

        assert made.code == 0
        assert NEXT in made.out
        assert ran.code == 0, ran.text
        assert "GO  preflight → sandbox  1 of 1 gates green  exit 0" in ran.out

    def test_it_says_no_when_the_service_is_not_ready(self, repository: Project) -> None:
        repository.cutover("init")

        assert repository.pytest(*NEXT.split()[1:], CUTOVER_SANDBOX_BREAK="disk").code == 10

    def test_every_file_is_named_and_nothing_else_is_written(self, repository: Project) -> None:
        made = repository.cutover("init")

        assert set(files(repository)) == ALWAYS | JOBS["github"]
        assert set(re.findall(r"^wrote +(\S+)$", made.out, re.MULTILINE)) == set(files(repository))

    def test_a_run_leaves_nothing_to_commit(self, repository: Project) -> None:
        repository.cutover("init")
        git(repository.folder, "add", ".")
        git(repository.folder, "commit", "-q", "-m", "gates")
        repository.pytest(*NEXT.split()[1:])

        left = subprocess.run(
            ["git", "status", "--short"], cwd=repository.folder, capture_output=True, text=True, check=True
        )
        assert "var" not in left.stdout

    def test_the_gate_can_be_read_at_a_glance(self, repository: Project) -> None:
        repository.cutover("init")
        gate = files(repository)["gates/test_ready.py"].decode()
        body = gate.partition("import pytest\n")[2]

        assert len([line for line in body.splitlines() if line.strip()]) <= 10

    @pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=" ".join)
    def test_the_gate_passes_ruff(self, repository: Project, arguments: list[str]) -> None:
        ruff = [sys.executable, "-m", "ruff"]
        if subprocess.run([*ruff, "--version"], capture_output=True, check=False).returncode:
            pytest.skip("ruff is not installed here")
        repository.cutover("init")

        done = repository.run([*ruff, *arguments, "--isolated", "--no-cache", "gates"])

        assert done.code == 0, done.text

    def test_the_policy_passes_its_check_and_its_schema(self, repository: Project) -> None:
        repository.cutover("init")
        policy = repository.folder / "configs/policy.json"
        schema = policy.parent / json.loads(policy.read_text())["$schema"]

        checked = repository.cutover("policy", "check", "configs/policy.json")
        against = validated(repository, "--schemafile", str(schema), str(policy))

        assert checked.code == 0
        assert checked.out.startswith("configs/policy.json: good; shop version 1")
        assert repository.cutover("check", "preflight", "--", "gates").code == 0
        assert against.code == 0, against.text

    def test_it_fits_a_terminal(self, repository: Project) -> None:
        said = repository.cutover("init").out

        assert [line for line in said.splitlines() if len(line) > 80] == []

    def test_without_the_sandbox_service_it_says_what_to_install(self, repository: Project) -> None:
        without = "import sys; sys.modules['uvicorn'] = None\nfrom pytest_cutover.cli import main\n"
        told = repository.run([sys.executable, "-c", f"{without}main(['init'])"])
        ours = repository.run(
            [sys.executable, "-c", f"{without}main(['init', '--url', 'https://shop.example'])"]
        )

        assert "note     the sandbox service needs: pip install 'pytest-cutover[service]'" in told.out
        assert "note" not in ours.out


class TestBeyondTheSandbox:
    def test_the_notes_lead_to_an_admitted_release(self, repository: Project, service: str) -> None:
        """The environment, the keys, the signature and the question of configs/README.md, as they stand there."""
        repository.cutover("init", "--url", service)
        notes = (repository.folder / "configs/README.md").read_text()
        (production,) = re.findall(r"^```json\n(.*?)^```$", notes, re.DOTALL | re.MULTILINE)
        policy = repository.folder / "configs/policy.json"
        document = json.loads(policy.read_text())
        base = document["environments"]["sandbox"]["targets"]["app"]
        document["environments"] |= json.loads("{" + production.replace("https://shop.example", base) + "}")
        policy.write_text(json.dumps(document))
        git(repository.folder, "add", ".")
        git(repository.folder, "commit", "-q", "-m", "gates")

        script = "\n".join(re.findall(r"^```sh\n(.*?)^```$", notes, re.DOTALL | re.MULTILINE))
        function = f'cutover() {{ "{sys.executable}" -m pytest_cutover "$@"; }}\n'
        done = repository.run(["bash", "-c", f"set -eu\nunset CUTOVER_KEY\n{function}{script}"])

        assert done.code == 0, done.text
        assert "GO  preflight → production" in done.out
        assert "ADMITTED" in done.out

    def test_its_links_and_paths_are_there(self, repository: Project) -> None:
        repository.cutover("init")
        notes = (repository.folder / "configs/README.md").read_text()

        assert {"policy.json", "schemas/"} <= set(re.findall(r"`([a-z/.]+)`", notes))


class TestUrl:
    def test_the_gate_reads_that_endpoint(self, repository: Project, service: str) -> None:
        repository.cutover("init", "--url", service)

        ran = repository.pytest("-m", "preflight", "gates")

        assert ran.code == 0, ran.text
        (measured,) = [e["measurements"] for e in ran.events("gate.finished")]
        assert {m["name"]: m["value"] for m in measured}["status"] == "ready"
        assert ran.events("run.started")[0]["target"] == {"app": service.removesuffix("/health/ready")}

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("ftp://shop.example/", "is not an http or https URL"),
            ("shop.example", "is not an http or https URL"),
            ("https://ada:s3cret@shop.example/readyz", "host and path alone"),
            ("https://shop.example/readyz?token=s3cret", "host and path alone"),
            ("https://shöp.example/readyz", "expected ASCII alone"),
        ],
    )
    def test_what_may_not_be_committed_is_refused_before_anything_is_written(
        self, repository: Project, url: str, said: str
    ) -> None:
        made = repository.cutover("init", "--url", url)

        assert made.code == 2
        assert said in made.err
        assert "s3cret" not in made.text
        assert files(repository) == {}

    def test_a_path_cannot_end_the_text_it_stands_in(self, repository: Project) -> None:
        url = 'https://shop.example/"),__import__("os").system("touch$IFS/pwned")#'.replace("#", "%23")
        repository.cutover("init", "--url", url)

        compiled = compile(files(repository)["gates/test_ready.py"], "gate", "exec")
        names = {name for c in compiled.co_consts if hasattr(c, "co_names") for name in c.co_names}
        assert "__import__" not in names


class TestWhatIsThere:
    def test_a_second_run_changes_nothing_and_says_so(self, repository: Project) -> None:
        repository.cutover("init")
        before = files(repository)
        again = repository.cutover("init")

        assert again.code == 0
        assert files(repository) == before
        assert set(re.findall(r"^kept +(\S+):", again.out, re.MULTILINE)) == set(before)
        assert "wrote" not in again.out

    def test_every_file_that_was_there_is_kept_to_the_byte(self, repository: Project) -> None:
        theirs = ALWAYS - {".gitignore"} | JOBS["github"]
        for name in theirs:
            repository.write(name, f"theirs {name}\r\n")
        before = {name: data for name, data in files(repository).items() if name in theirs}

        repository.cutover("init")

        assert {n: d for n, d in files(repository).items() if n in theirs} == before

    def test_a_policy_that_is_there_gets_no_gate_it_does_not_know(self, repository: Project) -> None:
        """Its measurements would be unjudged, and a project that works would be NO-GO."""
        repository.policy().gates()
        assert repository.pytest("-m", "preflight", "gates").code == 0

        made = repository.cutover("init")

        assert "gates/test_ready.py: not written" in made.out
        assert repository.pytest("-m", "preflight", "gates").code == 0

    def test_gates_of_somebody_else_are_kept_beside_it(self, repository: Project) -> None:
        repository.gates(name="gates/test_theirs.py")
        before = files(repository)

        repository.cutover("init")

        assert files(repository).items() >= before.items()
        assert "gates/test_ready.py" in files(repository)

    def test_gitignore_keeps_its_lines_and_its_mode(self, repository: Project) -> None:
        ignore = repository.write(".gitignore", "*.pyc\n/dist")
        ignore.chmod(0o600)

        repository.cutover("init")

        assert ignore.read_text() == "*.pyc\n/dist\n/var/cutover/\n"
        assert stat.S_IMODE(ignore.stat().st_mode) == 0o600

    @pytest.mark.parametrize("line", ["var/", "/var/cutover/", "var/cutover", "/var"])
    def test_gitignore_is_left_alone_where_it_knows(self, repository: Project, line: str) -> None:
        ignore = repository.write(".gitignore", f"{line}\n")

        repository.cutover("init")

        assert ignore.read_text() == f"{line}\n"

    def test_a_link_is_never_written_through(self, repository: Project, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.write_text("theirs\n")
        (repository.folder / "gates").mkdir()
        for name in (".gitignore", "gates/test_ready.py"):
            (repository.folder / name).symlink_to(outside)

        made = repository.cutover("init")

        assert made.code == 0
        assert "kept     .gitignore: it is a link" in made.out
        assert outside.read_text() == "theirs\n"

    def test_a_dry_run_writes_nothing_and_names_the_same(self, repository: Project) -> None:
        dry = repository.cutover("init", "--dry-run")
        assert files(repository) == {}
        made = repository.cutover("init")

        named = [re.findall(r"^(?:would write|wrote) +(\S+)$", r.out, re.MULTILINE) for r in (dry, made)]
        assert named[0] == named[1] != []


class TestErrors:
    @pytest.mark.skipif(not os.path.ismount("/sys"), reason="needs a folder in which nobody may write")
    def test_a_folder_in_which_nobody_may_write(self) -> None:
        """Also root, who is stopped by no mode."""
        self.refused(Project(Path("/sys")).cutover("init"))

    @pytest.mark.parametrize("name", ["gates", "configs", ".github"])
    def test_a_file_where_a_folder_belongs(self, repository: Project, name: str) -> None:
        repository.write(name, "a file")

        self.refused(repository.cutover("init", "--ci", "github"))
        assert (repository.folder / name).read_text() == "a file"

    def test_what_was_interrupted_is_completed_by_the_next(self, repository: Project) -> None:
        """The gate is written before the policy: a policy without its gate is somebody else's."""
        repository.cutover("init")
        (repository.folder / "configs/policy.json").unlink()

        made = repository.cutover("init")

        assert "wrote    configs/policy.json" in made.out
        assert repository.pytest("-m", "preflight", "gates").code == 0

    def refused(self, made: Ran) -> None:
        assert made.code == 2
        assert re.search(r"^error: cannot write (gates|configs|\.github)/\S+: ", made.err, re.MULTILINE)
        assert "hint: " in made.err
        assert "Traceback" not in made.err


class TestCi:
    @pytest.mark.parametrize("ci", JOBS)
    def test_one_is_asked_for(self, repository: Project, ci: str) -> None:
        made = repository.cutover("init", "--ci", ci)

        assert set(files(repository)) == ALWAYS | JOBS[ci]
        assert f"CI       {ci}: asked for" in made.out

    @pytest.mark.parametrize(
        ("sign", "ci"),
        [(".github/CODEOWNERS", "github"), (".gitlab-ci.yml", "gitlab"), ("Jenkinsfile", "jenkins")],
    )
    def test_the_one_that_is_there_is_found(self, repository: Project, sign: str, ci: str) -> None:
        repository.write(sign, "# theirs\n")

        made = repository.cutover("init")

        assert f"CI       {ci}: {sign.partition('/')[0]} is here" in made.out
        assert JOBS[ci] <= set(files(repository))

    @pytest.mark.parametrize(
        ("remote", "ci"),
        [
            ("git@gitlab.example.org:a/github.git", "gitlab"),
            ("https://user:secret@gitlab.com/a/b.git", "gitlab"),
            ("ssh://git@github.com/a/b.git", "github"),
        ],
    )
    def test_or_the_one_of_the_remote(self, repository: Project, remote: str, ci: str) -> None:
        git(repository.folder, "remote", "add", "origin", remote)

        made = repository.cutover("init")

        assert f"CI       {ci}: the remote" in made.out
        assert "secret" not in made.text

    def test_below_the_top_of_a_repository_no_job_is_written(self, repository: Project) -> None:
        below = Project(repository.folder / "services/shop")
        below.folder.mkdir(parents=True)

        made = below.cutover("init")

        assert "CI       none: the repository begins at ../.." in made.out
        assert set(files(below)) == ALWAYS

    def test_below_another_pytest_root_it_says_what_to_give(self, repository: Project) -> None:
        repository.write("pyproject.toml", "[tool.pytest.ini_options]\n")
        below = Project(repository.folder / "shop")
        below.folder.mkdir()

        made = below.cutover("init")

        assert "note     pytest takes .. for its root: give it --rootdir=." in made.out
        assert below.pytest("-m", "preflight", "gates").code == 4
        assert below.pytest("--rootdir=.", "-m", "preflight", "gates").code == 0

    def test_gitlab_is_told_to_include_the_job_where_it_has_jobs(self, repository: Project) -> None:
        theirs = repository.write(".gitlab-ci.yml", "test:\n  script: [make]\n")

        made = repository.cutover("init")

        assert "include: [{local: .gitlab/cutover.yml}]" in made.out
        assert theirs.read_text() == "test:\n  script: [make]\n"


def validated(project: Project, *arguments: str) -> Ran:
    """The verdict of check-jsonschema, with schemas that it brings or that are named."""
    return project.run([sys.executable, "-m", "check_jsonschema", *arguments])


class TestJobs:
    def test_the_workflow_is_one_by_github_s_schema(self, repository: Project) -> None:
        repository.cutover("init", "--ci", "github")

        schema = ("--builtin-schema", "vendor.github-workflows")
        done = validated(repository, *schema, ".github/workflows/cutover.yml")

        assert done.code == 0, done.text

    def test_the_gitlab_files_are_some_by_gitlab_s_schema(self, repository: Project) -> None:
        repository.cutover("init", "--ci", "gitlab")

        schema = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
        done = validated(repository, *schema, ".gitlab-ci.yml", ".gitlab/cutover.yml")

        assert done.code == 0, done.text

    def test_the_schemas_refuse_what_is_wrong(self, repository: Project) -> None:
        """Guards the two tests above."""
        repository.write("w.yml", "on: push\njobs: {a: {runs-on: x, steps: [{uses: a/b@c, wiht: {}}]}}\n")
        repository.write("g.yml", "a: {scirpt: [x], artifacts: {when: sometimes}}\n")

        assert validated(repository, "--builtin-schema", "vendor.github-workflows", "w.yml").code == 1
        assert validated(repository, "--builtin-schema", "vendor.gitlab-ci", "g.yml").code == 1

    def test_the_workflow_may_do_no_more_than_it_needs(self, repository: Project) -> None:
        repository.cutover("init", "--ci", "github")
        workflow = YAML(typ="safe").load(files(repository)[".github/workflows/cutover.yml"])
        steps = workflow["jobs"]["preflight"]["steps"]

        assert workflow["permissions"] == {"contents": "read"}
        assert "pull_request_target" not in workflow["on"]
        (key,) = [s["env"]["CUTOVER_KEY_PEM"] for s in steps if "env" in s]
        assert key.startswith("${{ github.event_name != 'pull_request' && ")
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", s["uses"]) for s in steps if "uses" in s)
        assert [s["run"] for s in steps if "${{" in s.get("run", "")] == []

    @pytest.mark.parametrize("ci", ["github", "gitlab", "jenkins"])
    def test_its_command_really_gates(self, repository: Project, ci: str) -> None:
        """The line that runs the gates, as it stands in the job: a GO, then a NO-GO that is not swallowed."""
        repository.cutover("init", "--ci", ci)
        (job,) = JOBS[ci] - {".gitlab-ci.yml"}
        (line,) = re.findall(
            r"^(?! *(?:#|//)).*?\b(cutover run .*)$", files(repository)[job].decode(), re.MULTILINE
        )
        function = f'cutover() {{ "{sys.executable}" -m pytest_cutover "$@"; }}\n'
        command = ["bash", "-e", "-c", function + line]

        assert repository.run(command).code == 0
        assert repository.run(command, CUTOVER_SANDBOX_BREAK="disk").code == 10
