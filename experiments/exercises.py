"""Answer the chapter's exercises by running them.

    python -m experiments.exercises                 all of them (--list says how long each takes)
    python -m experiments.exercises 2.2             the second of section 2, all its parts
    python -m experiments.exercises 5 3.6           section 5 (pooling), and the sixth of section 3
    python -m experiments.exercises --list --lang=zh

Sections: 1 why convolutions, 2 convolution, 3 padding and stride, 4 channels, 5 pooling, 6 LeNet.
Each prints its question, what was measured and checked, and the answer; many save a figure.
"""

from absl import flags
from tabulate import tabulate

from experiments import cli
from experiments.cli import language
from lenet.chapter import walk

flags.DEFINE_boolean("list", False, "say what there is, and run nothing")
language.define()
flags.DEFINE_string("out_dir", "runs/exercises", "directory for the figures")
FLAGS = flags.FLAGS


def main(*numbers: str) -> None:
    """Run what was asked for, or list what there is."""
    from lenet.chapter.exercises import exercises

    known = exercises()
    asked = []
    for number in numbers:  # a section stands for all in it
        within = [name for name in known if name.split(".")[0] == number]
        asked += within or [number]
    chosen = walk.choose(asked, known, "exercise")
    if FLAGS.list:
        rows = [
            (
                name,
                known[name].kind,
                _duration(known[name].seconds),
                language.translate(known[name].question),
            )
            for name in chosen
        ]
        print(tabulate(rows, tablefmt="plain", maxcolwidths=[None, None, None, 80]))
        print()
        print(
            language.translate(
                "R: an experiment, P: a proof checked in numbers; times on two cores"
            )
        )
        return
    walk.walk(
        {name: (language.translate(known[name].question), known[name].answer) for name in chosen},
        language.asked(),
        walk.writable(FLAGS.out_dir),
    )


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds else "< 10 s"


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
