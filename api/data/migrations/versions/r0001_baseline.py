"""The schema as it was when revisions began; databases older than them have just this one.

Frozen: it does not follow the models, which go on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Int64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
schema = sa.MetaData()


def upgrade() -> None:
    schema.create_all(op.get_bind(), checkfirst=False)


def _index(name: str, table: str, columns: list[str], *, unique: bool = False) -> None:
    sa.Index(name, *(schema.tables[table].c[column] for column in columns), unique=unique)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    columns_of = schema.tables[table].c
    condition = sa.text(where)
    sa.Index(
        name,
        *(columns_of[column] for column in columns),
        sqlite_where=condition,
        postgresql_where=condition,
    )


sa.Table(
    "access_requests",
    schema,
    sa.Column("request_id", sa.String(), nullable=False),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("terminal", sa.String(), nullable=False),
    sa.Column("department", sa.String(), nullable=False),
    sa.Column("site", sa.String(), nullable=False),
    sa.Column("opened_ms", Int64, nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("grant_id", sa.String(), nullable=True),
    sa.Column("refused_by", sa.String(), nullable=False),
    sa.Column("handle", sa.LargeBinary(), nullable=False),
    sa.Column("matching_number", sa.String(), nullable=False),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("request_id"),
    sa.UniqueConstraint("handle"),
)
sa.Table(
    "certificates",
    schema,
    sa.Column("certificate_id", sa.String(), nullable=False),
    sa.Column("type", sa.String(), nullable=False),
    sa.Column("issuer", sa.String(), nullable=False),
    sa.Column("holder", sa.String(), nullable=False),
    sa.Column("commitment", sa.LargeBinary(), nullable=False),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("state_seq", Int64, nullable=False),
    sa.Column("validity", sa.String(), nullable=True),
    sa.Column("valid_from_ms", Int64, nullable=True),
    sa.Column("valid_until_ms", Int64, nullable=True),
    sa.Column("successor", sa.String(), nullable=True),
    sa.Column("uniqueness", sa.LargeBinary(), nullable=True),
    sa.Column("source", sa.LargeBinary(), nullable=True),
    sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
    sa.Column("content", sa.LargeBinary(), nullable=True),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("certificate_id"),
    sa.UniqueConstraint("uniqueness"),
    sa.UniqueConstraint("source"),
)
_index("certificates_holder", "certificates", ["holder"])
_index("certificates_until", "certificates", ["issuer", "type", "valid_until_ms"])
sa.Table(
    "chain_outbox",
    schema,
    sa.Column("seq", Int64, autoincrement=False, nullable=False),
    sa.Column("action", sa.String(), nullable=False),
    sa.Column("payload", sa.Text(), nullable=False),
    sa.Column("done", sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint("seq"),
)
sa.Table(
    "checkpoints",
    schema,
    sa.Column("size", Int64, autoincrement=False, nullable=False),
    sa.Column("root", sa.LargeBinary(), nullable=False),
    sa.Column("note", sa.Text(), nullable=False),
    sa.Column("chain_id", Int64, nullable=False),
    sa.Column("contract", sa.String(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(), nullable=False),
    sa.Column("block_number", Int64, nullable=False),
    sa.Column("block_hash", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("size"),
)
sa.Table(
    "code_uses",
    schema,
    sa.Column("handle", sa.LargeBinary(), nullable=False),
    sa.Column("step", Int64, autoincrement=False, nullable=False),
    sa.PrimaryKeyConstraint("handle", "step"),
)
sa.Table(
    "cosignatures",
    schema,
    sa.Column("size", Int64, autoincrement=False, nullable=False),
    sa.Column("witness", sa.String(), nullable=False),
    sa.Column("line", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("size", "witness"),
)
sa.Table(
    "deferrals",
    schema,
    sa.Column("deferral_id", sa.String(), nullable=False),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("certificate_id", sa.String(), nullable=False),
    sa.Column("holder", sa.String(), nullable=False),
    sa.Column("reader", sa.String(), nullable=False),
    sa.Column("since_seq", Int64, nullable=False),
    sa.Column("since_ms", Int64, nullable=False),
    sa.Column("until", Int64, nullable=False),
    sa.Column("ended_seq", Int64, nullable=True),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("deferral_id"),
)
_index("deferrals_holder", "deferrals", ["holder"])
sa.Table(
    "dispute_questions",
    schema,
    sa.Column("seq", Int64, autoincrement=False, nullable=False),
    sa.Column("dispute_id", sa.String(), nullable=False),
    sa.Column("asked", sa.String(), nullable=False),
    sa.Column("answer_seq", Int64, nullable=True),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("seq"),
)
_index("dispute_questions_dispute", "dispute_questions", ["dispute_id", "seq"])
sa.Table(
    "disputes",
    schema,
    sa.Column("dispute_id", sa.String(), nullable=False),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("disputed_seq", Int64, nullable=False),
    sa.Column("grant_id", sa.String(), nullable=False),
    sa.Column("holder", sa.String(), nullable=False),
    sa.Column("department", sa.String(), nullable=True),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("resolved_seq", Int64, nullable=True),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("dispute_id"),
)
_index("disputes_department", "disputes", ["department", "seq"])
_index("disputes_department_state", "disputes", ["department", "state", "seq"])
_index("disputes_grant", "disputes", ["grant_id"])
_index("disputes_holder", "disputes", ["holder", "seq"])
_index("disputes_holder_state", "disputes", ["holder", "state", "seq"])
_index("disputes_line", "disputes", ["disputed_seq"])
_index("disputes_seq", "disputes", ["seq"])
_index("disputes_state", "disputes", ["state", "seq"])
sa.Table(
    "entries",
    schema,
    sa.Column("seq", Int64, autoincrement=False, nullable=False),
    sa.Column("time_ms", Int64, nullable=False),
    sa.Column("kind", sa.String(), nullable=False),
    sa.Column("actor", sa.String(), nullable=False),
    sa.Column("statement_digest", sa.LargeBinary(), nullable=False),
    sa.Column("salt", sa.LargeBinary(), nullable=False),
    sa.Column("certificate", sa.String(), nullable=True),
    sa.Column("grant", sa.String(), nullable=True),
    sa.Column("terminal", sa.String(), nullable=True),
    sa.Column("site", sa.String(), nullable=True),
    sa.Column("department", sa.String(), nullable=True),
    sa.Column("service_item", sa.String(), nullable=True),
    sa.Column("staff", sa.String(), nullable=True),
    sa.Column("subject", sa.String(), nullable=True),
    sa.Column("state", sa.String(), nullable=True),
    sa.Column("decision", sa.String(), nullable=True),
    sa.Column("reason", sa.String(), nullable=True),
    sa.Column("holder", sa.String(), nullable=True),
    sa.Column("request_key", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("seq"),
    sa.UniqueConstraint("request_key"),
)
_partial("entries_certificate", "entries", ["certificate", "seq"], "certificate IS NOT NULL")
_partial("entries_department", "entries", ["department", "seq"], "department IS NOT NULL")
_partial("entries_grant", "entries", ["grant", "seq"], '"grant" IS NOT NULL')
_partial("entries_holder", "entries", ["holder", "seq"], "holder IS NOT NULL")
_partial(
    "entries_rare_kind",
    "entries",
    ["kind", "seq"],
    "NOT (kind != 'dispute' AND kind != 'resolution' AND kind != 'question' AND kind != 'answer'"
    " AND kind != 'invitation' AND kind != 'enrolment' AND kind != 'import'"
    " AND kind != 'reading' AND kind != 'release' AND kind != 'deferral')",
)
_partial("entries_service_item", "entries", ["service_item", "seq"], "service_item IS NOT NULL")
_partial("entries_site", "entries", ["site", "seq"], "site IS NOT NULL")
_partial("entries_staff", "entries", ["staff", "seq"], "staff IS NOT NULL")
_partial("entries_terminal", "entries", ["terminal", "seq"], "terminal IS NOT NULL")
sa.Table(
    "grant_certificates",
    schema,
    sa.Column("certificate_id", sa.String(), nullable=False),
    sa.Column("grant_id", sa.String(), nullable=False),
    sa.PrimaryKeyConstraint("certificate_id", "grant_id"),
)
sa.Table(
    "grants",
    schema,
    sa.Column("grant_id", sa.String(), nullable=False),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("holder", sa.String(), nullable=False),
    sa.Column("kid", sa.String(), nullable=False),
    sa.Column("digest", sa.LargeBinary(), nullable=False),
    sa.Column("handle", sa.LargeBinary(), nullable=False),
    sa.Column("uses_left", Int64, nullable=False),
    sa.Column("revoked_seq", Int64, nullable=True),
    sa.Column("frozen", sa.Boolean(), nullable=False),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("grant_id"),
    sa.UniqueConstraint("handle"),
)
_index("grants_holder", "grants", ["holder"])
sa.Table(
    "import_files",
    schema,
    sa.Column("seq", Int64, autoincrement=False, nullable=False),
    sa.Column("sealed", sa.LargeBinary(), nullable=True),
    sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
    sa.PrimaryKeyConstraint("seq"),
)
sa.Table(
    "institutions",
    schema,
    sa.Column("code", sa.String(), nullable=False),
    sa.Column("name_zh", sa.String(), nullable=False),
    sa.Column("name_en", sa.String(), nullable=False),
    sa.Column("types", sa.Text(), nullable=False),
    sa.Column("kinds", sa.Text(), nullable=False),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("code"),
)
sa.Table(
    "invitations",
    schema,
    sa.Column("invitation", sa.String(), nullable=False),
    sa.Column("inviter", sa.String(), nullable=False),
    sa.Column("role", sa.String(), nullable=False),
    sa.Column("institution", sa.String(), nullable=True),
    sa.Column("terminal", sa.String(), nullable=True),
    sa.Column("site", sa.String(), nullable=True),
    sa.Column("holder", sa.String(), nullable=True),
    sa.Column("not_after", Int64, nullable=False),
    sa.Column("sealed", sa.LargeBinary(), nullable=True),
    sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
    sa.Column("kid", sa.String(), nullable=True),
    sa.Column("claimed_seq", Int64, nullable=True),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("invitation"),
)
_index("invitations_kid", "invitations", ["kid"])
_index("invitations_claimed", "invitations", ["claimed_seq"])
sa.Table(
    "keys",
    schema,
    sa.Column("kid", sa.String(), nullable=False),
    sa.Column("jwk", sa.Text(), nullable=False),
    sa.Column("role", sa.String(), nullable=False),
    sa.Column("institution", sa.String(), nullable=True),
    sa.Column("terminal", sa.String(), nullable=True),
    sa.Column("site", sa.String(), nullable=True),
    sa.Column("holder", sa.String(), nullable=True),
    sa.Column("not_before", Int64, nullable=False),
    sa.Column("not_after", Int64, nullable=False),
    sa.Column("revoked_ms", Int64, nullable=True),
    sa.Column("suspended_seq", Int64, nullable=True),
    sa.Column("scope", sa.String(), nullable=True),
    sa.Column("completed_seq", Int64, nullable=True),
    sa.Column("sealed", sa.LargeBinary(), nullable=True),
    sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("kid"),
)
_index("keys_holder", "keys", ["holder"])
sa.Table(
    "log_head",
    schema,
    sa.Column("log_id", sa.LargeBinary(), nullable=False),
    sa.Column("size", Int64, nullable=False),
    sa.PrimaryKeyConstraint("log_id"),
)
sa.Table(
    "sites",
    schema,
    sa.Column("site", sa.String(), nullable=False),
    sa.Column("department", sa.String(), nullable=False),
    sa.Column("name_zh", sa.String(), nullable=False),
    sa.Column("name_en", sa.String(), nullable=False),
    sa.Column("seq", Int64, nullable=False),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("site"),
)
sa.Table(
    "spoken_codes",
    schema,
    sa.Column("site", sa.String(), nullable=False),
    sa.Column("digits", sa.String(), nullable=False),
    sa.Column("grant_id", sa.String(), nullable=False),
    sa.Column("expires_ms", Int64, nullable=False),
    sa.Column("tries", Int64, nullable=False),
    sa.Column("used", sa.Boolean(), nullable=False),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("site", "digits"),
)
sa.Table(
    "spoken_tries",
    schema,
    sa.Column("department", sa.String(), nullable=False),
    sa.Column("terminal", sa.String(), nullable=False),
    sa.Column("since_ms", Int64, nullable=False),
    sa.Column("wrong", Int64, nullable=False),
    sa.Column("mac", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("department", "terminal"),
)
sa.Table(
    "tiles",
    schema,
    sa.Column("level", Int64, autoincrement=False, nullable=False),
    sa.Column("tile_index", Int64, autoincrement=False, nullable=False),
    sa.Column("hashes", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("level", "tile_index"),
)
sa.Table(
    "statements",
    schema,
    sa.Column("seq", Int64, autoincrement=False, nullable=False),
    sa.Column("token", sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(
        ["seq"],
        ["entries.seq"],
    ),
    sa.PrimaryKeyConstraint("seq"),
)
sa.Table(
    "witnesses",
    schema,
    sa.Column("witness", sa.String(), nullable=False),
    sa.Column("size", Int64, nullable=False),
    sa.Column("cosigned_ms", Int64, nullable=False),
    sa.Column("asked_ms", Int64, nullable=False),
    sa.Column("failures", Int64, nullable=False),
    sa.Column("code", sa.String(), nullable=True),
    sa.Column("words", sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint("witness"),
)
