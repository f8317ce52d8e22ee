"""Entry points: parse flags, call lenet, save. `python -m experiments.train --help` begins."""
