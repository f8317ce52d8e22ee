"""What a report says, in English and Chinese: English is the key, as gettext has it.

`zh.po` holds what stands for it; names in braces are filled in.
"""

import functools
from pathlib import Path

from babel.messages.pofile import read_po

LANGUAGES = ("en", "zh")


NAMES = {
    "train": "training",
    "valid": "validation",
    "low": "lowest",
    "high": "highest",
    "n": "runs",
    "lr": "learning rate",
    "label": "setting",
    "test_accuracy": "test accuracy",
    "train_loss": "training loss",
    "epoch": "epoch",
    "series": "line",
    "value": "value",
    "test": "test",
    "mean": "mean",
    "rank": "rank",
    "seed": "seed",
    "accuracy": "accuracy",
    "confidence": "confidence",
    "count": "count",
    "amount": "amount",
    "deviation": "standard deviation",
    "across": "deviation over images",
    "saturated": "saturated",
    "dead": "dead",
    "gradient": "gradient",
    "weight": "weight",
    "axis": "axis",
    "place": "place",
    "framework": "framework",
}
"""What the columns and series of a chart's rows are called where they are shown as a table."""


def translate(language: str, text: str, **values: object) -> str:
    """Return a text in a language, its names filled in.

    Raises:
      KeyError: for a text that has no Chinese.

    >>> translate("zh", "epoch {n}", n=3)
    '第 3 轮'
    """
    return (text if language == "en" else chinese()[text]).format(**values)


@functools.cache
def catalogue(path: Path) -> dict[str, str]:
    """Return what stands for each English text in a file of gettext's."""
    with path.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file) if m.id and m.string}


def chinese() -> dict[str, str]:
    """Return what stands for each English text of the reports."""
    return catalogue(Path(__file__).with_name("zh.po"))
