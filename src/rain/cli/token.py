"""The token that servers and pages ask for, and that clients bring: of the environment alone, so
that it stands in no list of processes."""

from __future__ import annotations

import os

TOKEN_VARIABLE = "RAIN_TOKEN"


def given_token() -> str | None:
    """The token, or None where there is none."""
    return os.environ.get(TOKEN_VARIABLE) or None
