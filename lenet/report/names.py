"""What the scripts of a page say, and what they call columns, series, classes and settings."""

from collections.abc import Sequence

from lenet.data.checksums import KNOWN
from lenet.language import LANGUAGES, mark, translation

COLUMNS = {
    "train": mark("training"),
    "valid": mark("validation"),
    "low": mark("lowest"),
    "high": mark("highest"),
    "n": mark("runs"),
    "lr": mark("learning rate"),
    "label": mark("setting"),
    "test_accuracy": mark("test accuracy"),
    "train_loss": mark("training loss"),
    "epoch": mark("epoch"),
    "series": mark("series"),
    "value": mark("value"),
    "test": mark("test"),
    "other_train": mark("training, other run"),
    "other_valid": mark("validation, other run"),
    "other_test": mark("test, other run"),
    "mean": mark("mean"),
    "median": mark("median"),
    "rank": mark("rank"),
    "seed": mark("seed"),
    "accuracy": mark("accuracy"),
    "confidence": mark("confidence"),
    "count": mark("count"),
    "amount": mark("amount"),
    "deviation": mark("standard deviation"),
    "across": mark("standard deviation across images"),
    "saturated": mark("saturated"),
    "dead": mark("dead"),
    "gradient": mark("gradient"),
    "weight": mark("weight"),
    "axis": mark("axis"),
    "place": mark("position"),
}
"""Columns and series of a chart, where its rows are shown as a table."""

RECORDED = {
    "name": mark("name"),
    "source": mark("source"),
    "synthetic": mark("synthetic"),
    "image_shape": mark("image shape"),
    "class_names": mark("class names"),
    "train": mark("training examples"),
    "valid": mark("validation examples"),
    "test": mark("test examples"),
    "system": mark("system"),
    "processor": mark("processor"),
    "vectors": mark("vector instructions"),
    "cores": mark("cores"),
    "backend": mark("backend"),
    "device": mark("device"),
    "matmul_precision": mark("precision of matrix products"),
}
"""What config.json records of data and environment; other names are those of packages."""

SCRIPTS = {
    "after_epoch": mark("After epoch {n}"),
    "all_on": mark("switch all on ({n} off)"),
    "anticlockwise": mark("turn anticlockwise"),
    "apart": mark("{name}, channel {channel}, row {row}, column {column}"),
    "apart_flat": mark("{name}, unit {channel}"),
    "all": mark("right and wrong"),
    "any_taken": mark("any prediction"),
    "any_truth": mark("any true class"),
    "agree": mark("Verified: logits match JAX on {n} images (max difference {most})."),
    "before_training": mark("Before training"),
    "behind": mark("{truth} predicted as {taken}: {shown} of {count}"),
    "blur": mark("blur"),
    "brush": mark("brush size"),
    "canvas": mark("drawing area: arrow keys move, Space paints, Delete erases"),
    "channel_off": mark("switch channel off"),
    "channel_on": mark("switch channel on"),
    "choose": mark("choose an image"),
    "class": mark("class"),
    "clear": mark("Clear"),
    "erase": mark("Erase"),
    "close": mark("close"),
    "clockwise": mark("turn clockwise"),
    "contents": mark("contents"),
    "copied": mark("Copied"),
    "copy": mark("Copy"),
    "correct": mark("right answers"),
    "cursor": mark("row {row}, column {column}"),
    "differ": mark(
        "Check failed: logits differ from JAX by up to {most} on {n} images. Do not rely on the "
        "layer views in this browser."
    ),
    "difference": mark("difference"),
    "one_of_each": mark("One run of each: a difference may be due to the seed alone."),
    "different_settings": mark("Settings that differ"),
    "down": mark("shift down"),
    "epoch_slider": mark("epoch to show"),
    "ended": mark("Finished. This page is {path}"),
    "empty": mark(
        "The network always picks a class, even for a blank canvas. Draw something, or choose an "
        "image."
    ),
    "faint": mark(
        "{name} is almost a single grey level after scaling (contrast {contrast} of 255), so its "
        "class means nothing. Crop it to its subject, or press Invert if its background is "
        "transparent."
    ),
    "file": mark("open an image file"),
    "found": mark("{shown} of {n} pictures"),
    "final_values": mark("After the last epoch"),
    "flat": mark(
        "{name}, unit {channel}: {value}. Receptive field: rows {top} to {bottom}, columns {left} "
        "to {right}."
    ),
    "from": mark("input channel"),
    "from_sum": mark("input channel {channel}: {sum}"),
    "gradient": mark("input gradient"),
    "gradient_said": mark(
        "Orange: a brighter pixel raises the logit of {name}; purple: it lowers it. Colour scale: "
        "this image's largest gradient."
    ),
    "hover": mark("Point at a unit, or tap it; click it to see what it computes."),
    "image": mark("input image"),
    "invert": mark("Invert"),
    "inverted": mark("{name}: dark on light, inverted as experiments.predict --invert does."),
    "kernel": mark("kernel"),
    "kind": mark("right or wrong"),
    "kernels": mark("{name}: {h} × {w} kernels, {n} input × {c} output channels"),
    "large": mark(
        "{name}: larger than {megapixels} megapixels or {megabytes} MB. Scale the image down."
    ),
    "largest": mark("largest: {value}"),
    "look_inside": mark("Look inside the network"),
    "left": mark("shift left"),
    "light": mark("{name}: dark on light; the training images are light on dark."),
    "live": mark("Live: follows the training"),
    "logit": mark("logit"),
    "lost": mark("Disconnected: the command has ended. It says how to continue."),
    "mean": mark("mean: {value}"),
    "more": mark("Show more"),
    "most_doubtful": mark("least confident first"),
    "noise": mark("add noise"),
    "not_both": mark(
        "The network of {name} takes other images, has other classes or is not in its report."
    ),
    "notpicture": mark("{name}: not a still PNG or JPEG image. Choose another file."),
    "notreport": mark(
        "{name}: not the report of a run. Choose a report.html that this version has written."
    ),
    "occlusion": mark("occlusion"),
    "occlusion_said": mark(
        "Orange: the logit of {name} falls when 5 × 5 pixels around one are black; purple: it "
        "rises. Colour scale: this image's largest change."
    ),
    "next": mark("next image"),
    "one_image": mark("One image in both networks"),
    "order": mark("order"),
    "others": mark("{n} others: {sum}"),
    "paint": mark(
        "kernel: click or + raises a weight, right-click or - lowers it; arrow keys move"
    ),
    "plane": mark("map of the images: arrow keys move, Enter opens"),
    "plane_hint": mark("Point at an image, or tap it."),
    "previous": mark("previous image"),
    "probability": mark("probability"),
    "products": mark("products"),
    "right": mark("shift right"),
    "right_behind": mark("{truth} predicted correctly: {shown} of {count}"),
    "same_settings": mark("The same settings"),
    "sample": mark("{name}, test image {index}"),
    "second": mark("open the report of another run"),
    "switched_off": mark("switched off: 0, whatever it computes"),
    "sum": mark("sum of all products {sum} + bias {bias} = {before}"),
    "sum_activated": mark(
        "sum of all products {sum} + bias {bias} = {before}; {activation}: {value}"
    ),
    "surest": mark("most confident first"),
    "taken": mark("predicted class"),
    "this_run": mark("this run"),
    "tile": mark("true class {truth}, predicted {taken}, probability {share}, test image {index}"),
    "tools": mark("change the image"),
    "truth": mark("true class"),
    "undo": mark("Undo"),
    "unit_off": mark("switch unit off"),
    "unit_on": mark("switch unit on"),
    "view": mark("network and image {n}"),
    "unpaint": mark("restore the trained weights"),
    "unit": mark(
        "{name}, channel {channel}, row {row}, column {column}: {value}. Receptive field: rows "
        "{top} to {bottom}, columns {left} to {right}."
    ),
    "up": mark("shift up"),
    "wrong": mark("mistakes"),
    "why": mark("why this answer?"),
    "width": mark("brush size {size}"),
    "window": mark("window"),
}
"""What network.js, layers.js and page.js say, by the name that they use."""


def classes(dataset: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the class names by language: the Chinese of a known dataset, others as they are.

    >>> classes("fashion_mnist", KNOWN["fashion_mnist"].class_names)["zh"][:2]
    ['T恤', '裤子']
    >>> classes("mine", ["Bag"])
    {'en': ['Bag'], 'zh': ['Bag']}
    """
    known = dataset in KNOWN and KNOWN[dataset].class_names == tuple(names)
    return {
        each: [translation(each)(name) if known else name for name in names] for each in LANGUAGES
    }
