"""What no engine here can work with."""


class UnsupportedDatabase(ValueError):
    """The message says what is, or what to do; it quotes nothing of a URL's secrets."""
