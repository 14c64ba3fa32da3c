"""``rain doctor``: what works on this machine, and how to mend what does not."""

from __future__ import annotations

import dataclasses
import json
import platform

import tyro

import rain
from rain import doctor


@dataclasses.dataclass(frozen=True)
class DoctorArgs:
    """Say what works on this machine and how to mend what does not.

    Exit code 0 if everything works that `rain demo` needs, else 1.
    """

    json: bool = False
    """Print JSON instead of text."""


def main(args: list[str]) -> int:
    """Run ``rain doctor``."""
    options = tyro.cli(DoctorArgs, prog="rain doctor", args=args)
    checks = doctor.examine()
    healthy = doctor.healthy(checks)
    if options.json:
        answer = {
            "ok": healthy,
            "rain": rain.__version__,
            "python": platform.python_version(),
            "checks": [dataclasses.asdict(check) for check in checks],
        }
        print(json.dumps(answer, indent=2))
        return 0 if healthy else 1
    print(f"rain {rain.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(doctor.report(checks))
    print("all that `rain demo` needs works" if healthy else "`rain demo` cannot run yet")
    return 0 if healthy else 1
