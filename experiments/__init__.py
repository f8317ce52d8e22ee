"""Entry points: parse flags, call lenet, save. `python -m experiments.train --help` begins."""

import os
import sys

_PROJECT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
# python -m looks for modules in the working directory first: a folder that is named like a package
# would be imported. It stays where it is the project's own.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and sys.path[0] != _PROJECT:
    del sys.path[0]
