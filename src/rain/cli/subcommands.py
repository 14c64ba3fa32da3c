"""Commands that consist of subcommands, such as ``rain demos info``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tyro


def run_subcommand(
    args: list[str], prog: str, runs: Mapping[str, tuple[Any, Callable[[Any], int]]]
) -> int:
    """Parse ``args`` as one of ``runs``, name -> (dataclass, what does it), and do it."""
    command = tyro.extras.subcommand_cli_from_dict(
        {name: kind for name, (kind, _) in runs.items()}, args=args, prog=prog
    )
    return next(run for kind, run in runs.values() if isinstance(command, kind))(command)
