"""Figures drawn from records; none needs a display.

`run`, `sweep`, `comparison` and `diagnostics` return Charts: Vega-Lite specifications and their
rows, which a page embeds and `vega.png` renders. `style` and `layers` use matplotlib.
"""
