"""When a certificate's content may be erased: the retention of its type, or a ground in law.

Pure. The law of archives bids the issuer keep what it issued for so many years after it ended, the
law on personal information to erase it then (docs/adr/0013). So an erasure names its ground, and
``retention_over`` is refused while the content has to be kept.

Not this module's job: the periods (the catalogue), destroying the content (`ledger.issue.handler`).
"""

from __future__ import annotations

from datetime import MAXYEAR, date, timedelta

from ledger.catalogue.model import Retention
from ledger.certificate.credential import city_date, first_instant
from ledger.statement.kinds import Ground
from ledger.statement.statements import StatementError

_DAY = timedelta(days=1)


def ended_ms(valid_until_ms: int | None, final_ms: int | None) -> int | None:
    """When the certificate ended: by its dates, or by being revoked or superseded before. None
    for one without an end that is still good."""
    return min((at for at in (valid_until_ms, final_ms) if at is not None), default=None)


def due_ms(retention: Retention, ended: int | None) -> int | None:
    """From when the content may be erased without another ground, Unix ms: so many years are
    counted from the last day, and what falls on their last day is kept that day, too. None for
    never, or not to be told yet."""
    if retention.years is None or ended is None:
        return None
    last = city_date(ended - 1)
    if last.year + retention.years >= MAXYEAR:
        return None
    return 1000 * first_instant(_years_on(last, retention.years) + _DAY)


def latest_end_ms(retention: Retention, now_ms: int) -> int | None:
    """What ended by then, Unix ms, is due now; None where nothing ever is."""
    if retention.years is None:
        return None
    last = _years_on(city_date(now_ms) - _DAY, -retention.years)
    return 1000 * first_instant(last + _DAY)


def _years_on(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # a leap day
        return day.replace(year=day.year + years, day=28)


def require_erasable(
    retention: Retention, ground: Ground, *, ended: int | None, now_ms: int
) -> None:
    """Raises StatementError when the content has to be kept."""
    if ground is not Ground.RETENTION_OVER:
        return
    due = due_ms(retention, ended)
    if due is not None and now_ms >= due:
        return
    if due is not None:
        until = f"until {city_date(due)}"
    elif retention.years is None:
        until = "for good"
    else:
        until = f"for {retention.years} years after the certificate has ended, which it has not"
    raise StatementError(
        "certificate.retained",
        f"the content has to be kept {until}; before, erasing needs another ground",
    )
