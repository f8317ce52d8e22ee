"""Figures drawn from records; none needs a display."""
