"""What is said of a search: the order of its settings, how sure it is, what mattered."""

import re

import pytest
import scipy
from record_rows import entry, row

from experiments.cli import trials as progress
from lenet.analysis.searched import Searched, findings, to_csv
from lenet.config import Config
from lenet.figures import searched as figures
from lenet.language import translate
from lenet.runs.searches import News
from lenet.search import Mark, Plan, Range, Rule, Run, Trial

RATES = {"lr": Range(0.1, 0.5, False, False)}


def plan(trials, *, seeds=2, rule="halving", space=RATES):
    base = Config(epochs=4, valid=50)
    return Plan(base, space, trials, seeds, Rule(rule, 2, 1, 4), "random", 0, 0.1)


def marked(number, *accuracies, diverged=None, until=4, **setting):
    """A trial whose seeds end with these accuracies after as many epochs."""
    runs = {
        seed: Run(tuple(Mark(n, 1.0, 1.0, value, 50, 1.0) for n in range(1, until + 1)), diverged)
        for seed, value in enumerate(accuracies)
    }
    return Trial(number, setting or {"lr": 0.2 + number / 100}, runs)


def fresh(*accuracies):
    """Final runs that end with these accuracies on the held-out images."""
    return [
        entry(run, [row(4, valid_accuracy=accuracy, valid_loss=1.0)], valid=50, epochs=4, seed=run)
        for run, accuracy in enumerate(accuracies)
    ]


def said(trials, entries=None, **plan_of):
    """The sentences about a search, as one text."""
    entries = fresh(0.8, 0.82) if entries is None else entries
    found = Searched(plan(len(trials), **plan_of), trials, entries, 10)
    return "\n".join(translate("en", each) for each in findings(found))


def test_final_runs_at_chance_level_are_said_and_blamed_on_no_selection():
    trials = [marked(0, 0.80, 0.82), marked(1, 0.7, 0.7)]
    level = row(4, valid_accuracy=0.1, valid_loss=2.3026, train_loss=2.3026, test_accuracy=0.1)
    low = entry(2, [level], valid=50, epochs=4, seed=2)
    text = said(trials, [*fresh(0.8, 0.82), low])
    assert "1 of 3 runs with fresh seeds ended at chance level" in text
    assert "Being selected" not in text
    assert "(mean over 3 fresh seeds)" in text
    assert "ended at chance level" not in said(trials)


def test_settings_are_ranked_by_all_their_seeds_and_the_winner_is_first():
    trials = [
        marked(0, 0.80, 0.86),  # the best of two seeds
        marked(1, 0.90, 0.70, 0.60, 0.60),
        marked(2, 0.70, 0.80, 0.90, 0.90),  # the best of four
        marked(3, 0.99, 0.99, until=1),
        marked(4, 0.5, 0.5, diverged="at step 3", until=3),
    ]
    found = Searched(plan(5), trials, [], 10)
    places = [(place.trial.number, place.epochs, len(place.values)) for place in found.ranked]
    assert places == [(2, 4, 4), (1, 4, 4), (0, 4, 2), (3, 1, 2), (4, 3, 2)]
    assert found.ranked[0].trial is found.winner
    assert found.ranked[0].mean == pytest.approx(0.825)
    low, high = scipy.stats.t.interval(0.95, 3, 0.825, scipy.stats.sem([0.7, 0.8, 0.9, 0.9]))
    assert found.ranked[0].shown == f"0.8250 [{low:.4f}, {high:.4f}]"
    lines = to_csv(found).splitlines()
    assert lines[1].startswith("1,2,0.22,4,4,0.825,")
    assert lines[-1].endswith(",2")
    # 2 seeds of 3 settings to epoch 4, 2 to epoch 1; the diverged one had 3 of 3.
    assert "Early stopping trained 32 of 38 epochs (84%): 1 of 5 settings" in said(trials)
    assert "More seeds of close settings took 16 further epochs." in said(trials)
    assert "2 of 14 runs diverged or could not be trained" in said(trials)


def test_one_setting_that_got_to_the_end_is_said_to_be_alone():
    assert "compared after at most 2 epochs" in said(
        [marked(0, 0.9, 0.9), marked(1, 0.8, 0.8, until=2)]
    )


def test_with_one_seed_no_order_is_claimed():
    text = said([marked(0, 0.9), marked(1, 0.1)], seeds=1)
    assert "Each setting had one seed, so the order of the best settings is not known" in text
    assert "bootstrap" not in text


def test_what_differs_clearly_is_not_called_close():
    trials = [marked(0, 0.90, 0.91, 0.89), marked(1, 0.89, 0.92, 0.88), marked(2, 0.5, 0.51, 0.49)]
    text = said(trials, seeds=3)
    assert "Not clearly worse (95% CI, paired by seed): learning rate 0.21." in text
    share = int(re.search(r"In (\d+)% of bootstrap samples", text)[1])
    assert 50 < share < 100
    assert "again the best of the 3 settings" in text
    trials[1] = marked(1, 0.5, 0.51, 0.49)
    text = said(trials, seeds=3)
    assert "In 100% of bootstrap samples" in text
    assert "Not clearly worse" not in text


@pytest.mark.parametrize(
    ("accuracies", "optimism"),
    [((0.80, 0.81, 0.79, 0.80), True), ((0.80, 0.99, 0.85, 0.95), False), ((0.95, 0.96), False)],
)
def test_what_being_selected_added_is_claimed_only_beyond_the_interval(accuracies, optimism):
    """Of fresh seeds: 0.80 ± 0.013 is below the selected 0.90, 0.90 ± 0.14 is not."""
    text = said([marked(0, 0.90, 0.90), marked(1, 0.5, 0.5)], fresh(*accuracies))
    assert ("Being selected made it look 0.1000 better." in text) is optimism
    assert ("do not show that being selected made it look better." in text) is not optimism


def test_a_value_at_the_end_of_its_range_is_named():
    inside, end = marked(0, 0.9, 0.9), marked(0, 0.9, 0.9, lr=0.499)
    assert "learning rate 0.499 is at the edge of its range" in said([end])
    assert "edge" not in said([inside])


def test_what_mattered_is_said_and_drawn_in_the_same_order():
    axes = {**RATES, "momentum": (0.0, 0.5)}
    trials = [
        marked(n, *[0.2 + n / 50] * 2, lr=0.1 + n / 50, momentum=(n % 2) / 2) for n in range(16)
    ]
    found = Searched(plan(16, space=axes), trials, fresh(0.8, 0.82), 10)
    text = "\n".join(translate("en", each) for each in findings(found))
    first, second = re.search(
        r"being among the best settings: learning rate (\d+)%, momentum (\d+)% \(PED", text
    ).groups()
    assert int(first) + int(second) == 100
    assert int(first) > 50
    chart = figures.charts(found)["importances"]
    assert [each["axis"] for each in chart.rows["importances"]] == ["lr", "momentum"]
    assert figures.pictures(found).keys() == {"history.png", "rungs.png", "importances.png"}


def test_nothing_is_said_to_be_found_where_nothing_learned():
    trials = [marked(n, 0.1, 0.1, diverged="at step 3") for n in range(2)]
    text = said(trials, [])
    assert text.startswith("No setting learned")
    assert "Best of" not in text


def test_progress_of_a_resumed_search_begins_with_what_the_ledger_has(capsys):
    trials = [marked(0, 0.9, 0.8), marked(1, 0.5, 0.4, until=1)]
    shown = progress.Progress(plan(4), trials)
    shown.advance(News(trials, [], 16, 50, 1, 0))  # an epoch, before any leg has ended
    assert "2/4 settings, 1 to the end; best 0.8500" in capsys.readouterr().out
