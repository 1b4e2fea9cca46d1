"""Keys, settings, database and node that do not belong together are refused, and nothing is made
in the place of what is missing."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import lmdb
import orjson
import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from api.cli import app
from api.cli.failures import explain
from api.data.belonging import KEY_FILES, Mismatch, require_belonging
from api.data.keyfiles import KeyFileError, load_signing_key, new_signing_key, save_signing_key
from api.data.settings import Settings
from api.operate.fsck import run_fsck
from api.process.node import NodeDidNotStart
from api.sample.city import credit_code
from api.service.assembly import Service, initialise
from api.show.large_city import build
from ledger.chain import ChainError
from ledger.database import tables
from ledger.database.transactions import Database
from ledger.log.batch import Request
from ledger.log.log import ChainBehindLedger, LedgerBehindChain
from ledger.statement.statements import Kind, sign, verify
from tests import engines

pytestmark = pytest.mark.timeout(300)


def live(data: Path, *codes: str) -> None:
    """Start, enrol what a start enrols and an institution for each code, stop."""
    service = Service(Settings(data=data))
    service.start()
    try:
        asyncio.run(enrol(service, codes))
    finally:
        service.stop()


async def enrol(service: Service, codes: tuple[str, ...]) -> None:
    key = load_signing_key(service.settings.keys / "operator.jwk")
    kid = key.thumbprint()
    found = service.ring.find(kid)
    assert found is not None
    for code in codes:
        members = {
            "v": 2,
            "ledger": service.ledger,
            "what": "institution",
            "code": code,
            "name_zh": "机构",
        }
        members |= {"iat": int(time.time()), "jti": uuid.uuid4().hex}
        statement = verify(sign(Kind.ENROLMENT, members, key, kid), key, service.ledger)
        await service.record("enrolment", Request(statement, found[0]))


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One data folder as it was on two days."""
    folder = tmp_path_factory.mktemp("days")
    data = folder / "data"
    live(data)
    engines.copy_folder(data, folder / "first")
    live(data, credit_code(950))
    return folder / "first", data


@pytest.fixture
def data(days: tuple[Path, Path], tmp_path: Path) -> Path:
    """Today's folder, to be spoilt."""
    engines.copy_folder(days[1], tmp_path / "data")
    return tmp_path / "data"


def replace(data: Path, day: Path, *names: str) -> None:
    """Restore these from another day's backup."""
    for name in names:
        if (data / name).is_dir():
            shutil.rmtree(data / name)
            shutil.copytree(day / name, data / name)
        else:
            engines.copy(day / name, data / name)


def files(data: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data / "keys").iterdir()}


def start(data: Path, **settings: object) -> None:
    """Raises what keeps the service from serving; ends it if nothing does."""
    service = Service(Settings(data=data, **settings))  # type: ignore[arg-type]
    service.start()
    service.stop()


def quiet(_done: int, _total: int) -> None:
    return


def test_what_belongs_together_starts_and_is_clean(data: Path) -> None:
    start(data)
    report = run_fsck(Settings(data=data), quiet)
    assert report.findings == ()
    assert report.entries == report.anchored == 3


def lose(path: Path) -> None:
    path.unlink()


def spoil(path: Path) -> None:
    path.write_bytes(b"\x00" + path.read_bytes()[1:])


def exchange(path: Path) -> None:
    path.unlink()
    if path.suffix == ".jwk":
        save_signing_key(path, new_signing_key())
    else:
        path.write_text(os.urandom(32).hex())


@pytest.mark.parametrize("change", [lose, spoil])
@pytest.mark.parametrize("name", KEY_FILES)
def test_lost_or_spoilt_key_is_named_and_none_made(
    data: Path, name: str, change: Callable[[Path], None]
) -> None:
    change(data / "keys" / name)
    before = files(data)
    with pytest.raises(KeyFileError, match=name):
        start(data)
    if name != "chain.key" or change is lose:  # the check signs nothing on the chain
        with pytest.raises(KeyFileError, match=name):
            run_fsck(Settings(data=data), quiet)
    assert files(data) == before


@pytest.mark.parametrize("name", KEY_FILES)
def test_key_of_another_ledger_is_refused(data: Path, name: str) -> None:
    exchange(data / "keys" / name)
    before = files(data)
    if name == "chain.key":
        with pytest.raises(ChainError, match="log is open for another sequencer"):
            start(data)
    elif name == "master.key":
        seal_something(data)
        with pytest.raises(KeyFileError, match=r"master\.key is not the key that sealed"):
            start(data)
    else:
        with pytest.raises(KeyFileError, match=rf"{name} is not "):
            start(data)
        found = run_fsck(Settings(data=data), quiet).findings
        assert any(item.code == "keys.differ" and f"{name} is not " in item.what for item in found)
    assert files(data) == before


def test_altered_rows_that_accuse_a_key_do_not_stop_the_check(data: Path) -> None:
    """Whoever may write the database must not be able to have it left unchecked."""
    with engines.connected(data / "certledger.db") as database:
        database.run("update institutions set name_zh = 'x'")
        columns = database.columns("keys")
        shown = ", ".join("'decoy'" if name == "kid" else f'"{name}"' for name in columns)
        database.run(f"insert into keys select {shown} from keys where role = 'operator'")
        database.run("update keys set role = 'auditor' where kid != 'decoy'")
    found = {item.where: item.code for item in run_fsck(Settings(data=data), quiet).findings}
    assert found["keys and settings"] == "keys.differ"
    assert found["keys decoy"] == "added"
    assert any(where.startswith("institutions ") for where in found)


def seal_something(data: Path) -> None:
    """This small ledger has sealed nothing yet."""
    change = "update keys set sealed = randomblob(64), wrapped_key = randomblob(60)"
    engines.run(data / "certledger.db", change)


def test_lost_deployment_starts_no_second_chain(data: Path) -> None:
    (data / "deployment.json").unlink()
    with pytest.raises(KeyFileError, match=r"deployment\.json is missing"):
        start(data)
    assert not (data / "deployment.json").exists()


def test_spoilt_deployment_is_named(data: Path) -> None:
    path = data / "deployment.json"
    content = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({**content, "directory": "0x12"}))
    with pytest.raises(KeyFileError, match=r"deployment\.json does not name the contracts"):
        start(data)
    swapped = {**content, "checkpoint_log": "0x" + "11" * 20}
    path.write_bytes(orjson.dumps(swapped))
    with pytest.raises(ChainError, match="no checkpoint_log contract"):
        start(data)


def test_changed_settings_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="another origin"):
        start(data, origin="other.example/log")
    with pytest.raises(NodeDidNotStart, match="holds chain 440300, the settings say 5"):
        start(data, chain_id=5)
    with pytest.raises(LedgerBehindChain, match="the database 0"):
        start(data, database=engines.url(tmp_path / "elsewhere.db"))


def test_lost_or_exchanged_authority_key_is_refused_and_found(data: Path) -> None:
    path = data / "node" / "authority.key"
    path.write_text("11" * 32)
    with pytest.raises(NodeDidNotStart, match="not sealed by this folder's authority"):
        start(data)
    wheres = {finding.where for finding in run_fsck(Settings(data=data), quiet).findings}
    assert "node authority.key" in wheres
    path.unlink()
    with pytest.raises(NodeDidNotStart, match=r"authority\.key is missing"):
        start(data)
    assert not path.exists()


def test_old_database_is_refused_by_the_real_process(data: Path, days: tuple[Path, Path]) -> None:
    replace(data, days[0], "certledger.db")
    ended = subprocess.run(
        [sys.executable, "-m", "api.cli", "serve", "--port", "0", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 1
    assert "the chain holds 3 entries of this log, the database 2" in ended.stderr
    assert "ready" not in ended.stdout
    told = [ended.stderr.index(words) for words in ("fsck", "newer copy", "start again")]
    assert told == sorted(told)
    report = run_fsck(Settings(data=data), quiet)
    assert "behind_chain" in {f.code for f in report.findings}
    assert report.lost is not None
    assert (report.lost.first, report.lost.last) == (2, 2)
    assert [(item.first, item.last) for item in report.lost.checkpoints] == [(2, 2)]


def test_old_node_is_refused(data: Path, days: tuple[Path, Path]) -> None:
    replace(data, days[0], "node")
    with pytest.raises(ChainBehindLedger, match="the chain was restored from an old backup") as no:
        start(data)
    assert "CERTLEDGER_CHAIN_URL" in explain(no.value)[1]
    assert not run_fsck(Settings(data=data), quiet).clean


def test_everything_of_one_day_is_an_honest_start(data: Path, days: tuple[Path, Path]) -> None:
    replace(data, days[0], "node", "certledger.db")
    start(data)
    assert run_fsck(Settings(data=data), quiet).clean


def test_damaged_node_is_reported_with_its_record(data: Path) -> None:
    seven = (7).to_bytes(8, "big")
    with lmdb.open(str(data / "node" / "chain"), max_dbs=20) as env:
        table = env.open_db(b"receipts")
        with env.begin(write=True, db=table) as txn:
            value = bytearray(txn.get(seven))
            value[-1] ^= 1
            txn.put(seven, bytes(value))
    with pytest.raises(NodeDidNotStart, match="block 7 "):
        start(data)
    answer = CliRunner().invoke(app, ["fsck", "--json", "--data", str(data)])
    assert answer.exit_code == 1
    found = {item["where"]: item for item in orjson.loads(answer.stdout)["findings"]}
    assert found["node receipts 7"]["code"] == "node.receipts"
    assert found["node"]["code"] == "node.store"


def test_folder_without_a_ledger_is_made_ready(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "new")
    initialise(settings)
    (settings.keys / "log.key").unlink()
    initialise(settings)  # nothing was recorded yet, so any key will do
    assert (settings.keys / "log.key").exists()


def test_certificates_alone_tell_another_master_key(tmp_path: Path) -> None:
    """No device was enrolled by number, and the last thing in the log is no issue."""
    settings = Settings(data=tmp_path / "data")
    build(settings, 200)
    with closing(Database(settings.database_url)) as database, database.write() as connection:
        connection.execute(update(tables.keys).values(sealed=None, wrapped_key=None))
    require_belonging(settings)
    (settings.keys / "master.key").write_text("ab" * 32)
    with pytest.raises(Mismatch, match=r"master\.key is not the key that sealed"):
        require_belonging(settings)
