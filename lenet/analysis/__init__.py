"""Conclusions from records: statistics, summaries, findings in words."""
