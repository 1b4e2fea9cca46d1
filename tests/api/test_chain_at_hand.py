"""fsck's chain: asked as it is, started when there is none, and left to whoever started it."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.chain_at_hand import chain_url, running_url
from api.embedded import EmbeddedNode
from api.settings import Settings


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
