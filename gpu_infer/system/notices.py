"""Log records that a person at a terminal wants to see, although they are no warnings."""

from __future__ import annotations

NOTICE = {"notice": True}
"""`log.info(text, extra=NOTICE)`: a terminal shows the line without --verbose."""
