"""Entries and their statements reread, as far as each tells by itself."""
