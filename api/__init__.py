"""HTTP, settings, command line and client: the only package that knows the web."""
