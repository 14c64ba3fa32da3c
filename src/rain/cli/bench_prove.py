"""``rain bench prove``: the scripted expert does every LIBERO-EX task, so each can be solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rain.bench.lines import LineFile
from rain.bench.proof import ProofEpisode, ProofTrials, prove
from rain.bench.proof_table import markdown, score_categories, score_tasks, summary
from rain.bench.scoring import write_summary
from rain.cli.bench_verify import chosen
from rain.cli.progress import counting
from rain.drawing import replacing
from rain.types import RainError
from rain.worlds.libero.ex.tasks import ExTask


@dataclass(frozen=True)
class Prove(ProofTrials):
    """Let the scripted expert do tasks from their init states, judged by the benchmark's rules.

    Ctrl-C keeps what was played; the same command goes on where it stopped. Exit code 1 where a
    task is solved less often than --at-least.
    """

    tasks: str = "all"
    """Ids (001,040) or all."""
    out: Path = Path("runs/prove")
    """Folder of episodes.jsonl, prove.json and the tables, prove.md."""
    at_least: float = 0.9
    """Share of its episodes in which every task must be solved."""


def run_prove(command: Prove) -> int:
    """Prove, write and print."""
    if not 0 <= command.at_least <= 1:
        raise RainError(f"at-least: expected a share, 0 to 1, got {command.at_least}")
    tasks, console = chosen(command.tasks), Console(highlight=False)
    total = len(tasks) * len(command.init_states())
    with (
        LineFile(command.out / "episodes.jsonl", ProofEpisode.from_json) as file,
        counting(console) as progress,
    ):
        bar = progress.add_task("episodes", total=total)
        episodes = prove(tasks, command, file, lambda more: progress.update(bar, advance=more))
    _write(command, tasks, episodes)
    for name, found in score_categories(tasks, episodes).items():
        console.print(
            f"{name:<7} {found.successes}/{found.episodes}, "
            f"95 %: {100 * found.low:.1f}–{100 * found.high:.1f} %"
        )
    short = {
        name: found
        for name, found in score_tasks(tasks, episodes).items()
        if found.rate < command.at_least
    }
    for name, found in short.items():
        reasons = "; ".join(f"{count}× {reason}" for reason, count in found.failures.items())
        console.print(f"{name} {found.successes}/{found.episodes}: {reasons}", soft_wrap=True)
    share = f"{100 * command.at_least:.0f} % of episodes"
    if short:
        console.print(f"{len(short)} of {len(tasks)} tasks are solved in less than {share}")
    else:
        console.print(f"every one of {len(tasks)} tasks is solved in {share} or more")
    console.print(f"episodes.jsonl, prove.json and prove.md are in {command.out}", soft_wrap=True)
    return 1 if short else 0


def _write(command: Prove, tasks: Sequence[ExTask], episodes: Sequence[ProofEpisode]) -> None:
    about = {
        "starts": command.starts,
        "episodes_per_task": command.episodes,
        "seed": command.seed,
        "at_least": command.at_least,
    }
    write_summary(command.out / "prove.json", summary(tasks, episodes, **about))
    with replacing(command.out / "prove.md") as temporary:
        temporary.write_text(markdown(tasks, episodes), "utf-8")
