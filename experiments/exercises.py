"""Answer the exercises of the chapter with runnable code.

    python -m experiments.exercises                 all exercises (--list shows how long each takes)
    python -m experiments.exercises 2.2             exercise 2 of section 2, all parts
    python -m experiments.exercises 5 3.6           section 5 (pooling), and exercise 6 of section 3
    python -m experiments.exercises --list --lang=zh

Sections: 1 why convolutions, 2 convolution, 3 padding and stride, 4 channels, 5 pooling, 6 LeNet,
7 topics beyond the book (dilation, groups, backward passes, LeNet's parameters, overfitting, ...).
Each prints the question, the measurements, the checks and the answer; many save a figure.
"""

from absl import flags
from tabulate import tabulate

from experiments import cli
from experiments.cli import language

flags.DEFINE_boolean("list", False, "list the exercises and run nothing")
language.define()
flags.DEFINE_string("out_dir", "runs/exercises", "directory for the figures")
FLAGS = flags.FLAGS


def main(*numbers: str) -> None:
    """Run the chosen exercises, or list them."""
    from lenet.chapter import EXERCISES, walk

    asked = []
    for number in numbers:  # a section selects all its exercises
        within = [name for name in EXERCISES if name.split(".")[0] == number]
        asked += within or [number]
    chosen = [EXERCISES[name] for name in walk.choose(asked, EXERCISES, "exercise")]
    if FLAGS.list:
        rows = [(e.number, e.kind, _duration(e.seconds), language.t(e.question)) for e in chosen]
        print(tabulate(rows, tablefmt="plain", maxcolwidths=[None, None, None, 80]))
        print()
        print(language.t("R: experiment; P: proof with a numerical check; times on two cores"))
        return
    walk.walk(
        {e.number: (language.t(e.question), e.answer) for e in chosen},
        language.asked(),
        walk.writable(FLAGS.out_dir),
    )


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds else "< 10 s"


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
