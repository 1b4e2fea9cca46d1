"""Watching a log again and again: one's own by rounds, another's as a witness."""
