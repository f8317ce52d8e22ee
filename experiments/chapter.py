"""Walk through the chapter: what it defines, prints and claims, run and checked.

    python -m experiments.chapter                   every section but the claims, in order
    python -m experiments.chapter padding stride    these two
    python -m experiments.chapter claims            what the texts claim, each checked now
    python -m experiments.chapter --list --lang=zh  their names; 填充 asks for padding, too

A section prints what the texts print, says what was checked and saves its figure. No data set is
needed, but for three of the claims, which train on Fashion-MNIST.
"""

from absl import flags
from tabulate import tabulate

from experiments import cli
from experiments.cli import language
from lenet.chapter import walk

flags.DEFINE_boolean("list", False, "say what there is, and run nothing")
language.define()
flags.DEFINE_string("out_dir", "runs/chapter", "directory for the figures")
FLAGS = flags.FLAGS


def main(*names: str) -> None:
    """Run what was asked for, or list what there is."""
    from lenet.chapter.claims.ledger import claims
    from lenet.chapter.sections import NAMES, sections, title

    known = {
        name: (language.translate(title(fill)), fill)
        for name, fill in (sections() | {"claims": claims}).items()
    }
    spoken = {language.translate(name): key for key, name in NAMES.items()}
    chosen = walk.choose([spoken.get(name, name) for name in names], known, "section")
    if FLAGS.list:
        rows = [(name, language.translate(NAMES[name]), known[name][0]) for name in chosen]
        columns = rows if language.asked() != "en" else [(row[0], row[2]) for row in rows]
        print(tabulate(columns, tablefmt="plain"))
        return
    walk.walk(
        {name: known[name] for name in chosen if names or name != "claims"},
        language.asked(),
        walk.writable(FLAGS.out_dir),
    )


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
