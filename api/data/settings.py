"""Settings: environment ``CERTLEDGER_*``, read here and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, FilePath, IPvAnyNetwork, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ledger.network.addresses import bare, from_here, http_url

if TYPE_CHECKING:
    from sqlalchemy import URL


class Settings(BaseSettings):
    """Every setting of the service, with its default and what it means."""

    model_config = SettingsConfigDict(
        env_prefix="CERTLEDGER_", env_ignore_empty=True, extra="ignore"
    )

    data: Path = Field(
        default=Path("certledger-data"),
        description="folder for keys, database and node; of a sample city certledger-sample",
    )
    database: str = Field(
        default="",
        description="postgresql+psycopg://user@host/database; empty: SQLite in the data folder",
    )
    host: str = Field(default="127.0.0.1", description="address the API listens on")
    port: int = Field(
        default=8000, ge=0, le=65535, description="port the API listens on; 0: any free one"
    )
    url: str = Field(
        default="",
        description="where clients find the API, and the QR code of a report leads; empty: host "
        "and port",
    )
    chain_url: str = Field(
        default="",
        description="Ethereum JSON-RPC; several nodes of one chain, separated by commas: when one "
        "fails, the next is asked; empty: an embedded node is started",
    )
    chain_id: int = Field(default=440300, gt=0, description="chain id of the embedded node")
    chain_timeout: float = Field(
        default=10.0, gt=0, description="seconds until the chain counts as stalled"
    )
    origin: str = Field(
        default="",
        description="the log's name in its checkpoints, which everything that is signed for this "
        "ledger names; choose it before the first start; empty: certledger.local/ and 16 "
        "characters that follow from the log's key",
    )
    release: Literal["anchored", "durable"] = Field(
        default="anchored", description="when answers leave: after the anchor, or after the commit"
    )
    anchor_wait: float = Field(
        default=15.0,
        gt=0,
        description="seconds a request waits for its anchor before it gets a 503",
    )
    max_batch: int = Field(
        default=512, ge=1, le=2000, description="requests committed in one batch"
    )
    max_queue: int = Field(default=4096, ge=1, description="requests that may wait; beyond: 503")
    max_import: int = Field(default=512 << 20, ge=1024, description="bytes of an uploaded export")
    proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        default=(),
        description="addresses or networks of proxies whose X-Forwarded-For says who asks, "
        "separated by commas; bounds per address count by it; empty: nobody's is believed",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="lines of text, or one JSON object a line and one a request"
    )
    stop_delay: float = Field(
        default=0.0,
        ge=0,
        le=300,
        description="seconds to go on serving after SIGTERM, while /readyz says 503",
    )
    watch: bool = Field(
        default=True, description="verify the ledger again and again beside serving it"
    )
    watch_interval: float = Field(
        default=60.0, gt=0, description="seconds between two rounds of the watch"
    )
    watch_period: float = Field(
        default=86_400.0, gt=0, description="seconds within which rounds meet every entry"
    )
    watch_check: float = Field(
        default=86_400.0, ge=0, description="seconds between checks of the whole ledger; 0: none"
    )
    policy: FilePath | None = Field(
        default=None,
        description="file of a C2SP tlog-policy: the witnesses that the trust file asks for, and "
        "that are asked to cosign where they have an address; empty: none",
    )
    report_font: FilePath | None = Field(
        default=None, description="font file for reports, used before the one that comes along"
    )
    sample: bool = Field(
        default=False,
        description="a sample city, whose made-up people anybody may sign in as; only in a data "
        "folder that began as one, never where real certificates are",
    )

    @field_validator("proxies", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sample_apart(self) -> Self:
        """A sample city keeps out of the folder where a real ledger would be looked for."""
        if self.sample and "data" not in self.model_fields_set:
            self.data = Path("certledger-sample")
        return self

    @field_validator("origin")
    @classmethod
    def _one_word(cls, value: str) -> str:
        # As a signed note names its key, and ledger.statement.kinds whom a statement is for.
        if not re.fullmatch(r"[!-*,-~]{0,200}", value):
            raise ValueError("it is at most 200 characters of ASCII without blanks and +")
        return value

    @field_validator("database")
    @classmethod
    def _supported(cls, value: str) -> str:
        if value:
            from ledger.database.engines import (
                engine_url,  # not for keys, types and whoever asks for help
            )

            engine_url(value)
        return value

    @field_validator("chain_url")
    @classmethod
    def _of_nodes(cls, value: str) -> str:
        if value:
            from ledger.ethereum.rpc import checked_urls  # as above

            checked_urls(value)
        return value

    @field_validator("host")
    @classmethod
    def _bare(cls, value: str) -> str:
        return bare(value)

    def environment(self) -> dict[str, str]:
        """Variables by which a process has these very settings, whatever else its environment
        says. One that is empty counts as not set."""
        return {
            f"CERTLEDGER_{name.upper()}": _told(value) for name, value in self.model_dump().items()
        }

    @property
    def database_url(self) -> str | URL:
        if self.database:
            return self.database
        from sqlalchemy import URL

        # No text: a folder's name may hold what means something in a URL.
        return URL.create("sqlite", database=str(self.data / "certledger.db"))

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def uploads(self) -> Path:
        return self.data / "uploads"

    @property
    def client_url(self) -> str:
        return self.url or http_url(from_here(self.host), self.port)


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
