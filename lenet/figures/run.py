"""Charts of runs: curves by epoch, and final results among the published ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lenet.analysis import published as printed
from lenet.analysis import terms
from lenet.analysis.published import Band
from lenet.config import Config
from lenet.engine.rows import Row
from lenet.figures import vega
from lenet.figures.vega import INK, WHOLE, Chart, Spec, Translate, channel, layer, percent, png
from lenet.language import translate

OURS = "lenet (JAX)"
ENDS = ("test_accuracy", "train_loss")
"""What our runs end with, and are compared by with the published ones."""


def curves(rows: Sequence[Row], config: Config, language: str = "en") -> bytes:
    """Return a PNG of loss and accuracy by epoch, over the published runs if they compare."""
    t = partial(translate, language)
    title = t(
        "{network}, {dataset}\nlearning rate {lr}, batch size {batch}, seed {seed}",
        network=terms.network(config),
        dataset=terms.valued(config.dataset),
        lr=f"{config.lr:g}",
        batch=config.batch_size,
        seed=config.seed,
    )
    band = printed.band() if printed.experiment(config) == printed.BOOK else None
    both = [losses(rows, config.epochs), accuracies(rows, config.epochs, band)]
    return png(both, language, title=title)


def losses(rows: Sequence[Row], epochs: int) -> Chart:
    """Return the loss by epoch: in training its running mean, as the book draws it."""

    def draw(t: Translate) -> Spec:
        y = channel("value", t("loss (nats)"), scale={"zero": True})
        x, names = _epochs(t, epochs), _names(t, rows)
        shown = "format(datum.value, '.4f')"
        return vega.lines("losses", t("Loss by epoch"), x, y, names, shown)

    return Chart(draw, {"losses": _values(rows, "loss", 1)})


def accuracies(rows: Sequence[Row], epochs: int, band: Band | None) -> Chart:
    """Return the accuracies by epoch, over the band of the published runs."""

    def draw(t: Translate) -> Spec:
        y = channel("value", t("accuracy"), axis={"format": "%"}, scale={"zero": True})
        x, names = _epochs(t, epochs), _names(t, rows)
        shown = "format(datum.value, '.2%')"
        spec = vega.lines("accuracies", t("Accuracy by epoch"), x, y, names, shown)
        if band:
            spec["usermeta"]["note"] = t(
                "band: test accuracy, 10th to 90th percentile of {n} published runs", n=band.runs
            )
            spec["layer"].insert(0, _band(t))
        return spec

    behind = zip(*band[1:], strict=True) if band else ()
    names = ("epoch", "low", "median", "high")
    return Chart(
        draw,
        {
            "accuracies": _values(rows, "accuracy", 2),
            "published_band": [dict(zip(names, point, strict=True)) for point in behind],
        },
    )


def both(what: str) -> Chart:
    """Return the curves of two runs, `losses` or `accuracies`; the page has the rows of the other.

    They are those of the charts of each, the series of the other run as `other_train` and so on.
    """

    def draw(t: Translate) -> Spec:
        loss = what == "losses"
        y = channel("value", t("loss (nats)") if loss else t("accuracy"), scale={"zero": True})
        if not loss:
            y["axis"] = {"format": "%"}
        x = channel("epoch", t("epoch"), axis=WHOLE, scale={"zero": True})
        names = _names(t)
        names |= {f"other_{name}": t("{series}, other run", series=names[name]) for name in names}
        title = t("Loss by epoch") if loss else t("Accuracy by epoch")
        shown = f"format(datum.value, '{'.4f' if loss else '.2%'}')"
        return vega.lines(f"both_{what}", title, x, y, names, shown)

    return Chart(draw, {f"both_{what}": []})


def _values(rows: Sequence[Row], what: str, place: int) -> list[dict[str, Any]]:
    """Within each epoch in training, and after it otherwise."""
    within = [
        {"epoch": point[0], "value": point[place], "series": "train"}
        for row in rows
        for point in row.running
    ]
    after = [
        {"epoch": row.epoch, "value": getattr(row, f"{split}_{what}"), "series": split}
        for row in rows
        for split in ("valid", "test", "averaged")
    ]
    return within + [point for point in after if point["value"] is not None]


def _epochs(t: Translate, epochs: int) -> Spec:
    return channel("epoch", t("epoch"), axis=WHOLE, scale={"domain": [0, epochs]})


def _names(t: Translate, rows: Sequence[Row] | None = None) -> dict[str, str]:
    """The names of the series; of some rows, without those of which they have none."""
    names = {"train": t("training"), "test": t("test"), "valid": t("validation")}
    # A legend is as wide as its names.
    if rows is None or any(row.averaged_loss is not None for row in rows):
        names["averaged"] = t("test, averaged weights")
    return names


def _band(t: Translate) -> Spec:
    return layer(
        {"type": "area", "opacity": 0.18, "clip": True},  # of 10 epochs, whatever this run has
        data="published_band",
        y=channel("low", t("accuracy")),
        y2={"field": "high"},
        color={"value": {"expr": "bandColour"}},
        tooltip=[
            channel("epoch", t("epoch")),
            percent("low", t("published, 10th percentile")),
            percent("median", t("published, median")),
            percent("high", t("published, 90th percentile")),
        ],
    )


def among_published(
    ours: Sequence[Mapping[str, float]], experiment: str = printed.BOOK, language: str = "en"
) -> bytes:
    """Return a PNG of what each of our runs ended with, by ENDS, among the published ones."""
    return png([published(field, experiment, ours) for field in ENDS], language)


def published(
    field: str,
    experiment: str,
    ours: Sequence[Mapping[str, float]] = (),
    one: Mapping[str, float] | None = None,
) -> Chart:
    """Return the cumulative distribution of published runs, by framework.

    The largest vertical gap between two lines is the statistic of Kolmogorov and Smirnov.

    Args:
      field: of ENDS, what the runs ended with.
      experiment: of `published.EXPERIMENTS`.
      ours: runs of our own beside them.
      one: a run that is marked by a line.
    """
    others = printed.alike(None, experiment)
    numbers = zip(others.framework, others.test_acc.tolist(), others.loss.tolist(), strict=True)
    rows = [{"series": OURS} | {end: round(run[end], 4) for end in ENDS} for run in ours] + [
        {"series": printed.NAMES[framework], "test_accuracy": accuracy, "train_loss": loss}
        for framework, accuracy, loss in numbers
    ]
    sizes = Counter(row["series"] for row in rows)

    def draw(t: Translate) -> Spec:
        names = {name: t("{name}, {n} runs", name=name, n=n) for name, n in sizes.items()}
        form = "~%" if field == "test_accuracy" else "~r"
        x = channel(
            field, t(terms.named(field)), scale=vega.NEAR, axis={"format": form, "tickCount": 6}
        )
        colour = vega.coloured(names)
        share = channel("share", t("share of runs at or below"), axis={"format": "%"})
        by = {"sort": [{"field": field}], "groupby": ["series"]}
        pick, opacity = vega.picking(f"published_{field}")
        steps = layer(
            {"type": "line", "interpolate": "step-after"},
            transform=[{"window": [{"op": "cume_dist", "as": "share"}], **by}, vega.named(names)],
            x=x,
            y=share,
            color=colour,
            strokeDash={**colour, "legend": None},
            opacity=opacity,
            tooltip=[channel("name", "", "nominal"), x, percent("share", share["title"])],
        ) | {"params": [pick]}
        line = layer(
            {"type": "rule", "strokeWidth": 3, "color": INK},
            data="this_run",
            x={"field": field, "type": "quantitative"},
            tooltip=[channel(field, t("this run"), format=".4f")],
        )
        return vega.chart(
            "published",
            t("Comparison with the book: {what}", what=terms.named(field)),
            usermeta={"names": list(names.values())},
            layer=[steps, line] if one else [steps],
        )

    return Chart(draw, {"published": rows, "this_run": [one] if one else []})
