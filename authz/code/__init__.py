"""Codes that people show each other, as text and as pictures."""
