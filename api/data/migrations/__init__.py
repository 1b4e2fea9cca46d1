"""The schema's revisions (Alembic), oldest first in `versions`; docs/adr/0016 has their rules."""
