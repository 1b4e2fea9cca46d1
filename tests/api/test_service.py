"""What a service does before it serves."""

from __future__ import annotations

import os
from pathlib import Path

from api.service import Service
from api.settings import Settings


def test_uploads_of_a_killed_process_are_cleared_away(tmp_path: Path) -> None:
    service = Service(Settings(data=tmp_path))
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    # No process has such a number; this one has left nothing yet; the parent is another's.
    for pid in ("4194305", str(os.getpid()), "nobody"):
        (uploads / f"{pid}-0123.upload").write_bytes(b"name,identity_number")
    kept = uploads / f"{os.getppid()}-0123.upload"
    kept.write_bytes(b"being read")
    service._clear_away()
    assert list(uploads.iterdir()) == [kept]
    service.bulk_checker.close()
    service.database.close()
