"""The command `lenet`: every entry point under one name.

lenet train --lr=0.9           is python -m experiments.train --lr=0.9
lenet train --help             its flags
lenet completion bash          a script for Tab: eval "$(lenet completion bash)"
"""

import ast
import difflib
import importlib.metadata
import importlib.util
import runpy
import sys
from pathlib import Path

COMMANDS = (
    "train",
    "sweep",
    "search",
    "compare",
    "report",
    "predict",
    "export",
    "import_torch",
    "track",
    "cluster",
    "chapter",
    "exercises",
)
"""Entry points, in the order in which a person meets them."""

COMPLETION = "completion"


def main() -> None:
    """Run the entry point that the first argument names; without one, list them."""
    name, *arguments = sys.argv[1:] or ["--help"]
    name = name.replace("-", "_") if name[:1] != "-" else name
    if name in ("--help", "-h", "help"):
        print(listing())
    elif name == "--version":
        print(f"lenet {importlib.metadata.version('lenet')}")
    elif name in COMMANDS or name == COMPLETION:
        module = f"experiments.{name}" if name in COMMANDS else "experiments.cli.completion"
        sys.argv = [f"lenet {name}", *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        close = difflib.get_close_matches(name, (*COMMANDS, COMPLETION), n=1)
        guess = f", did you mean {close[0]}?" if close else ""
        print(f"error: no command {name!r}{guess} (lenet --help lists all)", file=sys.stderr)
        sys.exit(2)


def listing() -> str:
    """Return the commands with a line each, and how to see the flags of one."""
    lines = [(name, purpose(name)) for name in COMMANDS]
    lines.append((COMPLETION, "Print a script that completes commands and flags in a shell."))
    width = max(len(name) for name, _ in lines)
    table = "\n".join(f"  lenet {name:<{width}}  {line}" for name, line in lines)
    return f"{table}\n\nlenet COMMAND --help lists the flags of a command."


def purpose(name: str) -> str:
    """Return the first sentence of an entry point's help, which is not imported for it."""
    spec = importlib.util.find_spec(f"experiments.{name}")
    assert spec is not None
    assert spec.origin is not None
    doc = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    return (doc or "").split("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    main()
