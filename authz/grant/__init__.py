"""Grants: made, revoked, and for which of them a device speaks."""
