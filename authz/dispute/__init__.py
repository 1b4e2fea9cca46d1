"""Disputes: opened, asked about, settled."""
