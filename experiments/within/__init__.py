"""Experiments within runs: what one step, one bit, the learning rate and a shift of the image do.

Each module has a `Design`, written before its runs, and `measure(data, design)`, which returns a
record; scripts/within.py runs them and writes the page.
"""
