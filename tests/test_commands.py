"""The command `lenet`, and what it gives a shell to complete."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from commands import ROOT, command, lenet

from experiments.commands import COMMANDS


def test_the_commands_are_the_entry_points():
    entry_points = {
        path.stem
        for path in (ROOT / "experiments").glob("*.py")
        if "cli.run(main" in path.read_text(encoding="utf-8")
    }
    assert set(COMMANDS) == entry_points
    listed = lenet().stdout
    assert all(re.search(rf"^  lenet {name} +[A-Z].+\.$", listed, re.M) for name in COMMANDS)
    assert lenet("--help").stdout == listed


@pytest.mark.parametrize("name", ["train", "import_torch", "import-torch"])
def test_a_command_has_the_help_of_its_entry_point(name):
    module = name.replace("-", "_")
    assert lenet(name, "--help").stdout == command(module, "--help").stdout


def test_errors_keep_their_line_and_status():
    done = lenet("train", "--lr=-1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--lr=-1" in done.stderr
    done = lenet("trian")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean train?" in done.stderr
    assert lenet("completion", "cmd").returncode == 2


def test_the_command_is_installed():
    script = Path(sys.executable).with_name("lenet")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"lenet {metadata.version('lenet')}\n"


_ASK = """
eval "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(( $# - 2 ))
$(complete -p lenet | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (("lenet", "tr"), {"train", "track"}),
        (("lenet", "train", "--l"), {"--lr", "--lang", "--live"}),
        (("lenet", "sweep", "--stu"), {"--study"}),
        (("lenet", "train", "--activation", "r"), {"relu"}),
    ],
)
def test_bash_completes_commands_flags_and_values(words, some, completion):
    done = subprocess.run(
        ["bash", "-c", _ASK, "bash", completion("bash"), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {word.strip() for word in done.stdout.split("\n")} - {""} == some, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_every_flag(shell, completion):
    script = completion(shell)
    assert all(name in script for name in (*COMMANDS, "batch_size", "run_dir"))


@pytest.fixture(scope="module")
def completion():
    """Return a function that returns the script of a shell."""
    scripts: dict[str, str] = {}

    def script(shell: str) -> str:
        if shell not in scripts:
            scripts[shell] = lenet("completion", shell).stdout
        return scripts[shell]

    return script
