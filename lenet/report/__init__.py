"""A run, a sweep or a comparison as one HTML file that needs no network.

    records, parameters ──of_run, of_sweep, of_comparison──► Report ──page.render──► HTML

`examples` looks at the test set for a run, `network` takes the trained network along. `charts` has
the pictures as Vega-Lite specifications, `words` the Chinese. The templates, page.css and the
scripts beside them are what a browser gets: network.js computes the layers of the network there,
layers.js shows them, picture.js reads pictures, page.js does all else.
"""
