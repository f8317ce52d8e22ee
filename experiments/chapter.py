"""Run the sections of the chapter as code, or check the claims of its texts.

    python -m experiments.chapter                   all sections (not the claims), in order
    python -m experiments.chapter padding stride    two sections
    python -m experiments.chapter claims            claims of the book and the course notes
    python -m experiments.chapter --list --lang=zh  names; 填充 also selects padding

A section prints the results of the book, checks them and saves a figure. The book is Dive into Deep
Learning (d2l.ai); the course notes are two Chinese handouts on the same chapter. Only three of the
claims need a dataset: they train on Fashion-MNIST.
"""

from absl import flags
from tabulate import tabulate

from experiments import cli
from experiments.cli import language

flags.DEFINE_boolean("list", False, "list the names and run nothing")
language.define()
flags.DEFINE_string("out_dir", "runs/chapter", "directory for the figures")
FLAGS = flags.FLAGS


def main(*names: str) -> None:
    """Run the chosen pages, or list them."""
    from lenet.chapter import CHAPTER, NAMES, heading, walk

    spoken = {language.t(name): key for key, name in NAMES.items()}
    chosen = walk.choose([spoken.get(name, name) for name in names], CHAPTER, "section")
    pages = {name: (language.t(heading(CHAPTER[name])), CHAPTER[name]) for name in chosen}
    if FLAGS.list:
        rows = [(name, language.t(NAMES[name]), pages[name][0]) for name in chosen]
        columns = rows if language.asked() != "en" else [(row[0], row[2]) for row in rows]
        print(tabulate(columns, tablefmt="plain"))
        return
    if not names:
        del pages["claims"]
    walk.walk(pages, language.asked(), walk.writable(FLAGS.out_dir))


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
