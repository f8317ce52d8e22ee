"""Train runs into directories: begin one, resume one, or train many into a ledger.

::

    run = begin("runs/mine", Config(lr=0.5), data.load("fashion_mnist"))
    for row in run.epochs():
        print(row.test_accuracy)
    run = resume("runs/mine")     # the bits of a run that was never interrupted
"""

from lenet.runs.resuming import check_same, recorded
from lenet.runs.run import Run, adopt, begin, check_every, resume
from lenet.runs.searches import search
from lenet.runs.sweeps import DataSets, News, environment, finished, load, many, repeats

__all__ = [
    "DataSets",
    "News",
    "Run",
    "adopt",
    "begin",
    "check_every",
    "check_same",
    "environment",
    "finished",
    "load",
    "many",
    "recorded",
    "repeats",
    "resume",
    "search",
]
