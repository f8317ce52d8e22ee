"""Walk through the chapter: what it defines, prints and claims, run and checked.

    python -m experiments.chapter                   every section, in the order of the texts
    python -m experiments.chapter padding stride    these two
    python -m experiments.chapter claims            what the texts claim, each checked now
    python -m experiments.chapter --list --lang=zh

A section prints what the texts print, says what was checked and saves its figure. No data set is
needed, but for three of the claims, which train on Fashion-MNIST.
"""

from absl import flags

from experiments import cli, walk

walk.define_flags("runs/chapter")
FLAGS = flags.FLAGS


def main(*names: str) -> None:
    """Run what was asked for, or list what there is."""
    from experiments.chapter import SECTIONS, title
    from experiments.chapter.claims import claims

    known = {name: (walk.translate(title(fill)), fill) for name, fill in SECTIONS.items()}
    ledger = {"claims": (walk.translate(title(claims)), claims)}
    chosen = walk.choose(names, [*known, *ledger], "section")
    if FLAGS.list:
        width = max(map(len, chosen))
        for name in chosen:
            print(f"{name:{width}}  {(known | ledger)[name][0]}")
        return
    walk.walk({name: (known | ledger)[name] for name in chosen if names or name in known})


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
