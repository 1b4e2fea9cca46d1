"""The service assembled, and what runs in it besides requests. No HTTP here."""
