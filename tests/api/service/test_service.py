"""What a service does before it serves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.bulk.uploads import Upload
from api.data.settings import Settings
from api.service.assembly import Service, initialise
from ledger.database.transactions import Occupied

LEAVE_ONE = (
    "import os, sys; from pathlib import Path; from api.bulk.uploads import Upload; "
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


def test_a_folder_that_is_read_only_is_said_before_anything_is_made(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if os.geteuid() == 0:  # whom no mode of a folder keeps out
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", data], check=False)
        if mounted.returncode:
            if os.environ.get("CI"):
                pytest.fail("this machine lets nobody mount")
            pytest.skip("this machine lets nobody mount")
    else:
        data.chmod(0o500)
    try:
        with pytest.raises(OSError, match="cannot be written to: mount it writable"):
            initialise(Settings(data=data))
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", data], check=True)
        else:
            data.chmod(0o700)


@pytest.mark.sqlite_only("PostgreSQL is there for any number of processes")
def test_one_file_is_served_by_one_process(tmp_path: Path) -> None:
    service = Service(Settings(data=tmp_path))
    with service.database.exclusively("serve"), pytest.raises(Occupied, match="PostgreSQL"):
        service.start()
    service.bulk_checker.close()
    service.database.close()
