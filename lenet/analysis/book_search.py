"""The book's own search for this network's learning rate and batch size, as it is printed.

Random search and asynchronous successive halving (η = 2, first rung after 2 epochs) over learning
rates of 0.01 to 1 and batch sizes of 32 to 256, at most ten epochs, one seed for each setting, in
900 seconds: the outputs of July 2026 in smolix/d2l-neu. What is printed is the error on the test
images, by which the search also selects.
"""

from typing import NamedTuple


class Printed(NamedTuple):
    """A setting of a search of the book, and the error that it prints."""

    rule: str  # "none": random search; "asha"
    lr: float
    batch_size: int
    epochs: int
    error: float  # on the test images


PRINTED = (
    Printed("none", 0.1, 128, 10, 0.270),
    Printed("none", 0.0142, 154, 10, 0.900),
    Printed("none", 0.0264, 178, 10, 0.901),
    Printed("none", 0.344, 133, 10, 0.240),
    Printed("none", 0.465, 174, 10, 0.192),
    Printed("none", 0.0128, 82, 10, 0.873),
    Printed("none", 0.241, 245, 10, 0.262),
    Printed("none", 0.058, 72, 10, 0.272),
    Printed("none", 0.051, 159, 10, 0.408),
    Printed("none", 0.074, 221, 10, 0.422),
    Printed("none", 0.0223, 100, 10, 0.900),
    Printed("none", 0.192, 41, 10, 0.155),
    Printed("none", 0.408, 218, 10, 0.249),
    Printed("asha", 0.1, 128, 10, 0.260),
    Printed("asha", 0.056, 78, 8, 0.297),
    Printed("asha", 0.146, 59, 10, 0.183),
    Printed("asha", 0.265, 64, 10, 0.177),
    Printed("asha", 0.121, 131, 2, 0.8997),
    Printed("asha", 0.027, 186, 2, 0.900),
    Printed("asha", 0.112, 192, 4, 0.892),
    Printed("asha", 0.081, 160, 2, 0.8998),
    Printed("asha", 0.016, 49, 4, 0.898),
    Printed("asha", 0.018, 94, 2, 0.8999),
    Printed("asha", 0.131, 131, 4, 0.631),
    Printed("asha", 0.170, 42, 10, 0.193),
    Printed("asha", 0.457, 126, 10, 0.199),
)
SETTINGS = tuple(dict.fromkeys((row.lr, row.batch_size) for row in PRINTED))
"""Learning rate and batch size, each once."""
