"""One episode in closed loop: predict a chunk, execute part of it, move on when progress says so.

**Chunks.** A prediction holds 16 actions; the first ``execute`` of them are executed, then the
policy looks again.

**Transitions.** The paper moves to the next subtask when the completion score exceeds 0.7 for two
consecutive timesteps. It does not say what a timestep is when the policy looks only every few
control steps. Here a timestep is a look: normally there is one every ``execute`` steps, but a look
above the threshold is followed by the next one ``confirm_after`` steps later, so that the two that
agree are near each other and a finished subtask is left at once. One look below the threshold
starts the count again. ``check_every_step`` looks at every control step instead (one network call
per step) while chunks are still replaced every ``execute`` steps: the literal reading, about eight
times the network cost.

**The end.** After the last subtask the arm holds still, with the gripper as it was, for ``settle``
steps: a released object needs them to come to rest. The goal is judged after every step.

**The whole task fails.** Where only a part of a longer task is asked for (LIBERO-EX's
decomposition), the paper counts doing the whole as failure, which means nothing if an episode ends
when the part is done. So such an episode runs to its horizon or until the policy says that it is
done; it succeeds if the goal holds then and the whole never held. It ends early only when the
whole has held, for then it has failed.
"""

from __future__ import annotations

from collections.abc import Callable

from rain.bench.drivers import Driver, SubtaskCursor, hold, make_driver
from rain.bench.episode import (
    PARTS,
    EpisodeResult,
    Grasp,
    Intervention,
    Moment,
    PartClock,
    RolloutConfig,
    Touch,
    Transition,
)
from rain.bench.journal import Journal
from rain.bench.operator import Between, Operator
from rain.bench.protocols import AnyPolicy, PerceivedWorld, RolloutWorld
from rain.types import TaskScript

__all__ = [
    "PARTS",
    "EpisodeResult",
    "Grasp",
    "Moment",
    "PartClock",
    "RolloutConfig",
    "SubtaskCursor",
    "Touch",
    "Transition",
    "hold",
    "rollout",
]


def rollout(
    world: RolloutWorld,
    policy: AnyPolicy,
    script: TaskScript,
    config: RolloutConfig | None = None,
    *,
    told: TaskScript | None = None,
    goal: Callable[[], bool] | None = None,
    whole: Callable[[], bool] | None = None,
    watch: Callable[[Moment], None] | None = None,
    operator: Operator | None = None,
) -> EpisodeResult:
    """Run one episode from the world's present state.

    told: what the policy is told to do; ``script`` if not given, which is what is judged.
    goal: judged after every step; the world's own ``success`` if not given.
    whole: the goal of the longer task that must not get done; None where there is none.
    watch: called after every step, e.g. to film.
    operator: asked before every step; may change what the policy is told, hold the arm still, and
        end the episode.
    Raises ConventionError where world and policy do not mean the same.
    """
    config = config or RolloutConfig()
    goal = goal or world.success
    policy.conventions.check(world.conventions, "the policy", "the world")
    clock = PartClock()
    driver = make_driver(world, policy, told or script, config, clock)
    journal = Journal(world, script, whole_fails=whole is not None)
    last = stopped = held = False
    while not last:
        order = "act"
        if operator is not None:
            order = operator.between(Between(world, driver, clock, journal.steps, journal.success))
        stopped = order == "stop"
        if stopped or (order == "hold" and not held):
            what = "stopped" if stopped else "held"
            driver.interventions.append(Intervention(journal.steps, what))
        held = order == "hold"
        if stopped:
            break
        action = (driver.still if order == "hold" else driver.action)(journal.steps)
        with clock("physics"):
            world.step(action)
        if isinstance(world, PerceivedWorld):
            with clock("rendering"):
                world.follow()
        with clock("judging"):
            reached = bool(goal())
            journal.note(action, reached, whole is not None and bool(whole()))
        last = (
            journal.steps >= config.horizon
            or driver.settled(journal.steps)
            or journal.spoiled_step is not None
            or (reached and config.stop_on_success and whole is None)
        )
        if watch is not None:
            with clock("video"):
                watch(_moment(driver, journal, last))
    reasoned = told is not None and told.subtasks != script.subtasks
    subtasks = tuple(map(str, told.subtasks)) if told is not None and reasoned else None
    if operator is not None:
        operator.ended(Between(world, driver, clock, journal.steps, journal.success))
    return journal.result(driver, clock, subtasks, stopped)


def _moment(driver: Driver, journal: Journal, last: bool) -> Moment:
    return Moment(
        journal.steps, driver.index, driver.finished, driver.latest, journal.success, last
    )
