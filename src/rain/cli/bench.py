"""``rain bench``: the benchmark LIBERO-EX and LIBERO's suites: tasks, runs, reports."""

from __future__ import annotations

from rain.cli.bench_freeze import Freeze, run_freeze
from rain.cli.bench_list import List, run_list
from rain.cli.bench_prove import Prove, run_prove
from rain.cli.bench_report import Report, run_report
from rain.cli.bench_run import Run, run_run
from rain.cli.bench_show import Show, run_show
from rain.cli.bench_tables import Tables, run_tables_command
from rain.cli.bench_verify import Verify, run_verify
from rain.cli.subcommands import run_subcommand


def main(args: list[str]) -> int:
    """Run ``rain bench SUBCOMMAND``."""
    return run_subcommand(
        args,
        "rain bench",
        {
            "list": (List, run_list),
            "show": (Show, run_show),
            "run": (Run, run_run),
            "report": (Report, run_report),
            "tables": (Tables, run_tables_command),
            "verify": (Verify, run_verify),
            "prove": (Prove, run_prove),
            "freeze": (Freeze, run_freeze),
        },
    )
