"""The log replayed, a module a subject: each entry made again by the rules of its kind."""
