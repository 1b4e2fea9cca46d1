"""Programs for developers: what follows from declarations and sources is written by these."""
