import numpy as np

from lenet.analysis import book_search
from lenet.analysis.book_search import PRINTED, SETTINGS, Curves
from lenet.language import translate


def curves(final: float) -> dict:
    """Two seeds that end at `final`, and are where the book printed them to be before.

    Of the two, the first has left chance level by its loss when its error is below 0.85.
    """
    found = {setting: Curves(np.full((2, 10), final), np.ones((2, 10))) for setting in SETTINGS}
    for row in PRINTED:
        there = found[row.lr, row.batch_size]
        there.errors[:, row.epochs - 1] = row.error
        there.losses[:, row.epochs - 1] = [2.3 if row.error > 0.85 else 0.5, 2.2]
    return found


def test_printed_errors_are_looked_for_among_the_seeds_after_as_many_epochs():
    # 0.1 and 128 is in both searches, with other errors.
    agree, median, best, stopped = (translate("en", said) for said in book_search.said(curves(0.5)))
    assert "random search prints, 12 lie" in agree
    assert "of the 13 of ASHA, 13. One more of our seeds would with a probability of 33%." in agree
    assert "of 2 seeds is a 50.0% confidence interval of the median" in median
    assert "lowest median error is 0.155, at lr=0.192, batch_size=41" in best
    assert "ASHA lr=0.265, batch_size=64" in best
    assert stopped.startswith("ASHA stopped 8 settings.")
    assert "with 0 of 2 seeds" in stopped
    assert "6 of them" not in stopped
    assert "14 of 16 of our runs of them had a training loss at chance level" in stopped
    assert stopped.endswith("in the tenth, 0 have.")


def test_a_stopped_setting_that_would_have_won_is_found():
    *_, stopped = (translate("en", said) for said in book_search.said(curves(0.1)))
    assert "has a median error of 0.100" in stopped
    assert "with 2 of 2 seeds it ends below" in stopped


def test_a_row_of_the_table_has_what_is_printed_and_ours():
    heads, rows = book_search.table(curves(0.5))
    assert len(rows) == len(PRINTED) == 26
    assert {len(row) for row in rows} == {len(heads)}
    stopped = rows[[row.epochs for row in PRINTED].index(8)]
    assert stopped[4:] == ["0.297", "0.297 [0.297, 0.297]", "0.500 [0.500, 0.500]", "1/2"]
