"""Recording from a fake arm into a real dataset: rows, boundaries, faults, kills."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from robot_fakes import PERIOD, ROBOT, FakeClock
from robot_motion import joints_path

from rain.demos.dataset import Dataset, DatasetWriter
from rain.robot.ports import Reading
from rain.robot.recorder import Recorder
from rain.robot.recorder_options import RecorderOptions
from rain.robot.timing import Beat
from rain.types import Subtask, TaskScript
from rain.worlds.labels import LabelTable
from rain.worlds.omy.kinematics import forward

SIZE = 16
VIEWS = ("third", "top", "wrist")
CONVENTIONS = ROBOT.conventions(VIEWS, SIZE)
SCRIPT = TaskScript("fetch", (Subtask("grasp", "potato"), Subtask("release", "plate")))
PATH = joints_path()
TABLE = LabelTable(("potato", "plate"), ((), ("potato",), ("plate",)))


class Arm:
    """Does the fetching; its command is where it will be in the next step."""

    def __init__(self):
        self.clock = FakeClock()
        self.step, self.moving, self.labelled = 0, True, True
        self.heard = float("-inf")
        self.still: set[str] = set()
        self.stamps = dict.fromkeys(VIEWS, 0.0)

    def read(self):
        now = self.clock.now()
        for view in VIEWS:
            if view not in self.still:
                self.stamps[view] = now
        images = {
            view: np.full((SIZE, SIZE, 3), 10 * v + self.step, np.uint8)
            for v, view in enumerate(VIEWS)
        }
        return Reading(PATH[self.step].astype(np.float32), now, images, dict(self.stamps))

    def command(self):
        if self.moving:
            self.heard = self.clock.now()
        return PATH[min(self.step + 1, 89)], self.heard

    def labels(self):
        labels = np.zeros((SIZE, SIZE), np.uint8)
        labels[:4, :4], labels[8:, 8:] = 1, 2
        return dict.fromkeys(VIEWS, (labels, TABLE)) if self.labelled else {}


class Rig:
    def __init__(self, folder: Path, **options):
        self.folder, self.arm, self.said = folder, Arm(), []
        self.writer = DatasetWriter(folder, CONVENTIONS, "protocol")
        self.recorder = Recorder(
            ROBOT, self.arm, self.writer, SCRIPT,
            options=RecorderOptions(**options), clock=self.arm.clock, told=self.said.append,
        )  # fmt: skip
        self.tick = 0

    def ticks(self, count, skipped=0):
        for number in range(count):
            missed = skipped if number == 0 else 0
            self.tick += missed
            self.recorder.step(Beat(self.tick, self.arm.clock.now(), 0.001, missed))
            self.tick += 1
            self.arm.step = min(self.arm.step + 1 + missed, 89)
            self.arm.clock.time += PERIOD * (1 + missed)

    def fetch(self):
        self.arm.step = 0
        self.recorder.say("start")
        self.ticks(90)
        self.recorder.say("stop")

    def dataset(self):
        self.recorder.close()
        return Dataset.open(self.folder)


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path / "data")


def test_a_row_a_tick_with_state_action_pose_images_regions_and_subtask(rig):
    rig.fetch()
    data = rig.dataset()
    assert len(data) == 1
    episode = data.episode(0)
    np.testing.assert_array_equal(episode.frames, np.arange(90))
    np.testing.assert_allclose(episode.states, PATH, atol=1e-6)
    np.testing.assert_allclose(episode.actions[:-1], PATH[1:], atol=1e-6)
    np.testing.assert_allclose(episode.positions, forward(PATH[:, :6])[0], atol=1e-6)
    assert [str(span.subtask) for span in episode.spans] == ["grasp potato", "release plate"]
    assert episode.images[7, 1, 0, 0].tolist() == [17, 17, 17]
    assert episode.region(0, "potato").sum() == 3 * 16
    assert episode.details["instruction"] == "fetch"
    assert episode.details["recorder"]["repeated"] == dict.fromkeys(VIEWS, 0)
    assert not list((rig.folder / "rain" / "takes").iterdir())


def test_several_episodes_and_a_session_that_goes_on(rig, tmp_path):
    rig.fetch()
    rig.fetch()
    assert len(rig.dataset()) == 2
    more = Rig(tmp_path / "data")
    more.fetch()
    data = more.dataset()
    assert len(data) == 3
    assert len({entry.details["source"] for entry in data.entries}) == 3


def test_missed_ticks_are_steps_without_a_frame_and_pictures_that_repeat_are_counted(rig):
    rig.recorder.say("start")
    rig.ticks(30)
    rig.arm.still = {"top"}
    rig.ticks(10, skipped=2)
    rig.arm.still = set()
    rig.ticks(48)
    rig.recorder.say("stop")
    episode = rig.dataset().episode(0)
    assert len(episode.states) == 90
    np.testing.assert_array_equal(episode.frames, [*range(30), *range(32, 90)])
    np.testing.assert_allclose(episode.states[30:32], PATH[[29, 29]], atol=1e-6)
    figures = episode.details["recorder"]
    assert figures["skipped"] == 2
    assert figures["repeated"] == {"third": 0, "top": 10, "wrist": 0}
    assert figures["late"]["p50_ms"] == 1.0


def test_discarded_and_unfinished_episodes_leave_nothing(rig):
    rig.recorder.say("start")
    rig.ticks(20)
    rig.recorder.say("discard")
    rig.fetch()
    rig.recorder.say("start")
    rig.ticks(20)
    assert len(rig.dataset()) == 1
    assert sum("discarded" in line for line in rig.said) == 2
    assert not list((rig.folder / "rain" / "takes").iterdir())


def test_without_regions_label_maps_are_empty(rig):
    rig.arm.labelled = False
    rig.fetch()
    episode = rig.dataset().episode(0)
    assert not episode.region(0, "potato").any()


def test_what_makes_no_demonstration_is_kept_aside(rig):
    rig.recorder.say("start")
    rig.ticks(30)
    rig.recorder.say("stop")
    rig.fetch()
    assert len(rig.dataset()) == 1
    (line,) = [line for line in rig.said if "not in the dataset" in line]
    assert "the hand never closed and rose" in line
    (folder,) = (rig.folder / "rain" / "rejected").iterdir()
    rows = np.load(folder / "rows.npz")
    np.testing.assert_allclose(rows["states"], PATH[:30], atol=1e-6)
    assert (folder / "images").stat().st_size == 30 * 3 * SIZE * SIZE * 3


def test_by_itself_an_episode_is_what_lies_between_two_silences(tmp_path):
    rig = Rig(tmp_path / "data", automatic=True)
    rig.arm.moving = False
    rig.ticks(40)
    assert not rig.recorder.recording
    for _ in range(2):
        rig.arm.moving, rig.arm.step = True, 0
        rig.ticks(90)
        assert rig.recorder.recording
        rig.arm.moving = False
        rig.ticks(45)
        assert not rig.recorder.recording
    data = rig.dataset()
    assert len(data) == 2
    # The silence is not part of it, but for a moment.
    assert all(90 <= entry.steps <= 100 for entry in data.entries)


def test_an_episode_that_was_forgotten_ends_by_itself(tmp_path):
    rig = Rig(tmp_path / "data", longest_s=3.0)
    rig.recorder.say("start")
    rig.ticks(200)
    assert not rig.recorder.recording
    assert rig.dataset().entries[0].steps == 90


def test_a_full_disk_costs_the_episode_and_no_other(rig):
    rig.fetch()
    rig.recorder.say("start")
    rig.ticks(5)

    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    rig.recorder._take._images.close()
    rig.recorder._take._images = Full()
    rig.ticks(5)
    assert not rig.recorder.recording
    assert any("No space left on device" in line for line in rig.said)
    rig.fetch()
    assert len(rig.dataset()) == 2


def test_words_that_do_not_fit_are_answered(rig):
    for word in ("stop", "jump"):
        rig.recorder.say(word)
    assert rig.said == [f"{word!r}: nothing is recorded; known: start, stop, discard, next, quit"
                        for word in ("stop", "jump")]  # fmt: skip


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_recorder import Rig
rig = Rig(Path(sys.argv[1]))
rig.fetch()
rig.recorder.say("start")
rig.ticks(40)
while not list((rig.folder / "rain" / "staged").glob("[0-9]*")):
    pass
os.kill(os.getpid(), 9)
"""


def test_a_kill_costs_the_episode_that_is_recorded_and_no_other(tmp_path):
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "data"), here])
    assert done.returncode == -9
    assert list((tmp_path / "data" / "rain" / "takes").iterdir())
    again = Rig(tmp_path / "data")
    assert any("that a killed recorder left" in line for line in again.said)
    again.fetch()
    assert len(again.dataset()) == 2
    assert not list((tmp_path / "data" / "rain" / "takes").iterdir())
