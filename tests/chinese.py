"""English that was left in a Chinese text."""

import re

from lenet import language

CODE = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|^    .*?$|<[^>]*>|https?://\S+|--?\w[\w=,.:]*",
    re.DOTALL | re.MULTILINE,
)
"""Code, commands, links, tags and flags: they are English in every language."""


def islands(text: str) -> set[str]:
    """Return the English words and phrases that the catalogue has a Chinese for.

    >>> sorted(islands("各取值的 validation accuracy，`lr` 为 0.1"))
    ['accuracy', 'validation', 'validation accuracy']
    """
    plain = CODE.sub(" ", text)
    known = {
        english
        for english, chinese in language._catalogue().items()
        if re.fullmatch(r"[A-Za-z][a-z]{2,}([ -][a-z]+)*", english)
        and re.search("[一-鿿]", chinese)
    }
    return {each for each in known if re.search(rf"(?<![\w./=-]){each}(?![\w./=-])", plain)}
