"""What a run shows while it works: progress bars and a line for each validation."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rain.demos.cache import Advance


class Display:
    """Progress bars on stderr; silent in all processes but one."""

    def __init__(self, visible: bool) -> None:
        self._console = Console(stderr=True, quiet=not visible)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not visible,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def work(self, name: str) -> Advance:
        """Show a piece of preparation; call the result with (done, total)."""
        task = self._progress.add_task(name, total=None, note="")

        def advance(done: int, total: int) -> None:
            self._progress.update(task, completed=done, total=total)

        return advance

    def begin(self, stage: int, done: int, total: int) -> None:
        """Show a stage that has done some steps."""
        self._task = self._progress.add_task(f"stage {stage}", completed=done, total=total, note="")

    def advance(self, loss: float, lr: float, rate: float, memory_mb: float) -> None:
        """Show one more step; rate: samples a second."""
        if self._task is not None:
            note = f"loss {loss:.4f} · lr {lr:.1e} · {rate:.0f} samples/s · {memory_mb:.0f} MB"
            self._progress.update(self._task, advance=1, note=note)

    def warn(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(f"rain: warning: {text}", highlight=False, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Show what the stage is doing besides stepping."""
        if self._task is not None:
            self._progress.update(self._task, note=text)

    def validated(self, stage: int, step: int, found: Mapping[str, float]) -> None:
        """Print what a validation found, in one line that stays."""
        shown = {
            "final_mm": "final waypoint {:.1f} mm",
            "plan_mm": "plan {:.1f} mm",
            "action_error": "actions {:.3f} σ",
            "progress_accuracy": "progress {:.3f}",
            "completed_found": "completed found {:.3f}",
            "false_alarms": "false alarms {:.3f}",
            "progress_auc": "AUC {:.3f}",
            "transition_steps": "moves on {:+.0f} steps after completion",
            "transition_early": "too early {:.3f}",
            "transition_missed": "never {:.3f}",
        }
        words = [text.format(found[name]) for name, text in shown.items() if name in found]
        self._console.print(f"stage {stage} step {step}: " + ", ".join(words), highlight=False)
