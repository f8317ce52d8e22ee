"""The files that a forge reads: they parse, and run the scripts that a contributor runs."""

import re
import subprocess
import tomllib

import pytest
import yaml
from commands import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
HOOKS = ROOT / ".pre-commit-config.yaml"
ALL = [*WORKFLOWS, *FORMS, HOOKS, ROOT / "CITATION.cff"]


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs():
    return [
        (path.stem, name, job) for path in WORKFLOWS for name, job in read(path)["jobs"].items()
    ]


def scripts(text: str) -> list[str]:
    """The scripts of the repository that a text calls."""
    return re.findall(r"(?<![\w/.-])(?:scripts|\.ci)/\w+", text)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_file_parses_and_names_no_machine(path):
    assert isinstance(read(path), dict)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|Users|work|mnt|opt)/|127\.0\.0\.1|localhost", text)


def test_workflows_call_only_scripts_that_exist_and_contributing_names():
    called = {
        script
        for _, _, job in jobs()
        for step in job["steps"]
        for script in scripts(step.get("run", ""))
    }
    ours = ("pins", "test", "docs", "dist", "setup")
    assert called == {".ci/run", *(f"scripts/{name}" for name in ours)}
    named = scripts((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert called - {".ci/run"} <= set(named)
    for script in called:
        assert (ROOT / script).stat().st_mode & 0o111, script


FLAGGED = ("bench", "train")  # their --help lists flags
OURS = [
    path
    for path in sorted((ROOT / "scripts").iterdir())
    if path.is_file() and not path.suffix and path.name not in FLAGGED
]


@pytest.mark.parametrize("script", OURS, ids=lambda path: path.name)
def test_a_script_says_what_it_does_and_does_nothing(script, tmp_path):
    done = subprocess.run([script, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    first = script.read_text(encoding="utf-8").splitlines()[1]
    assert first == f"# {done.stdout.splitlines()[0]}"
    assert "set -euo" not in done.stdout


def test_every_job_has_a_limit_and_only_publishing_may_write():
    writers = set()
    for path in WORKFLOWS:
        assert read(path)["permissions"] == {"contents": "read"}
    for workflow, name, job in jobs():
        assert 0 < job["timeout-minutes"] <= (180 if workflow == "weekly" else 60)
        if "permissions" in job:
            writers.add((workflow, name, *job["permissions"].items()))
    assert writers == {
        ("docs", "publish", ("contents", "write")),
        ("release", "publish", ("id-token", "write")),
    }


def test_the_matrix_has_every_python_and_both_ends_of_the_dependencies():
    check = read(ROOT / ".github/workflows/check.yml")["jobs"]
    locked = check["locked"]["strategy"]["matrix"]["python"]
    others = check["others"]["strategy"]["matrix"]["include"]
    assert locked == ["3.11", "3.12", "3.13", "3.14"]
    assert {each["versions"] for each in others} == {"lowest", "newest", "nightly"}
    assert check["others"]["continue-on-error"] == "${{ matrix.versions == 'nightly' }}"
    kinds = (ROOT / "scripts/pins").read_text(encoding="utf-8")
    assert all(f"\n  {each['versions']})" in kinds for each in others)
    # Else pip would refuse a JAX beyond the limit of pyproject.toml.
    of_nightly = [step for step in check["others"]["steps"] if "nightly" in step.get("if", "")]
    assert ["UV_OVERRIDE=$LENET_PINS" in step["run"] for step in of_nightly] == [True]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={locked[0]}"


def test_the_hooks_are_what_the_check_runs():
    lines = (ROOT / "scripts/check").read_text(encoding="utf-8").splitlines()
    commands = [line.removesuffix(' "$@"').partition(" > ")[0] for line in lines]
    run = [line for line in commands if line.startswith((".venv/", "scripts/"))]
    assert run.pop(0) == "scripts/setup dev"
    hooks = [hook for repo in read(HOOKS)["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == run
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


def test_a_form_asks_for_the_version_and_for_files_that_exist():
    bug = read(ROOT / ".github/ISSUE_TEMPLATE/bug.yml")
    asked = str(bug["body"])
    written = (ROOT / "docs/en/run_directory.md").read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+\.json)`", asked):
        assert f"`{name}`" in written
    assert "lenet --version" in asked
    for form in (bug, read(ROOT / ".github/ISSUE_TEMPLATE/question.yml")):
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(set(ids)) == len(ids)


def test_the_citation_has_the_version_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = read(ROOT / "CITATION.cff")
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
