"""The data folder: settings, key files, the tables' revisions, whether they belong together."""
