"""What a service does before it serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from api.service import Service
from api.settings import Settings
from api.uploads import Upload
from ledger.database import Occupied

LEAVE_ONE = (
    "import os, sys; from pathlib import Path; from api.uploads import Upload; "
    "Upload(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
)


def test_uploads_of_a_killed_process_are_cleared_away(tmp_path: Path) -> None:
    service = Service(Settings(data=tmp_path))
    uploads = service.settings.uploads
    kept = Upload(uploads)
    subprocess.run([sys.executable, "-c", LEAVE_ONE, str(uploads)], check=False)
    assert len(list(uploads.iterdir())) == 2
    service._clear_away()
    assert list(uploads.iterdir()) == [kept.path]
    kept.remove()
    service.bulk_checker.close()
    service.database.close()


@pytest.mark.sqlite_only("PostgreSQL is there for any number of processes")
def test_one_file_is_served_by_one_process(tmp_path: Path) -> None:
    service = Service(Settings(data=tmp_path))
    with service.database.exclusively("serve"), pytest.raises(Occupied, match="PostgreSQL"):
        service.start()
    service.bulk_checker.close()
    service.database.close()
