"""Times as Kubernetes writes them: RFC 3339, UTC, whole seconds. The clock is an argument."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def text(moment: datetime) -> str:
    """`2026-01-31T12:00:00Z`; fractions of a second are cut."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(value: str) -> datetime:
    """Raises ValueError for anything that is not RFC 3339."""
    return datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(UTC)


def seconds_since(value: str, now: datetime) -> float:
    """Negative when `value` lies ahead."""
    return (now - parse(value)).total_seconds()


def later(now: datetime, seconds: float) -> str:
    """The first whole second that is at least `seconds` after `now`."""
    moment = now + timedelta(seconds=seconds)
    return text(moment + timedelta(microseconds=999_999))
