"""fsck's chain: asked as it is, started when there is none, and left to whoever started it."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.data.settings import Settings
from api.process.chain import chain_beside, chain_url, running_url
from api.process.node import EmbeddedNode, NodeDidNotStart


def test_no_chain_is_started_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no chain"), chain_url(Settings(data=tmp_path)):
        pass
    assert not (tmp_path / "node").exists()


def test_node_started_for_the_check_is_stopped_after_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    (tmp_path / "node").mkdir()
    with chain_url(settings) as url:
        assert running_url(settings) == url
    assert running_url(settings) is None


def test_node_of_somebody_else_is_left_running(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    node = EmbeddedNode(tmp_path / "node", chain_id=settings.chain_id, senders=[])
    node.start()
    try:
        assert not node.adopted
        with chain_url(settings) as url:
            assert url == node.url
        assert running_url(settings) == node.url
    finally:
        node.stop()


def test_nobody_waits_for_a_node_that_starts_but_who_asks_for_its_url(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    (tmp_path / "node").mkdir()
    with chain_beside(settings) as url:
        assert running_url(settings) is None  # not yet
        assert url() == running_url(settings)
    assert running_url(settings) is None


def test_what_kept_a_node_from_starting_is_told_to_who_asks(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "chain").write_bytes(b"no store")
    with chain_beside(Settings(data=tmp_path)) as url, pytest.raises(NodeDidNotStart):
        url()
    with chain_beside(Settings(data=tmp_path)):
        pass  # and to nobody who does not
