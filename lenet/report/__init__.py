"""A run, a sweep or a comparison as one HTML file that needs no network.

    records, parameters ──of_run, of_sweep, of_comparison──► Report ──page.render──► HTML

`examples` evaluates a run on the test set, `network` packs the trained network; the charts come
from `lenet.figures`. The templates, page.css and the scripts beside them are what a browser gets:
network.js computes the layers of the network, layers.js shows them, picture.js reads images,
page.js does all else.
"""
