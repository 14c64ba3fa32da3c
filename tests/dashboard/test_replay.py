"""A recorded episode on the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from dashboard_fakes import wait_for
from demos_helpers import dataset

from rain.dashboard.replay import ReplaySession
from rain.demos.dataset import Dataset
from rain.types import RainError


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Dataset:
    return Dataset.open(dataset(tmp_path_factory.mktemp("recordings") / "data", episodes=2))


@pytest.fixture
def session(recordings) -> Iterator[ReplaySession]:
    def project(points, view, position, rotation):
        return np.asarray(points)[:, :2] + 0.5

    session = ReplaySession(recordings, 1, project)
    thread = threading.Thread(target=session.run)
    thread.start()
    wait_for(lambda: session.board.frame)
    yield session
    session.close()
    thread.join(5)


def test_every_frame_is_shown_as_it_was_recorded(session, recordings):
    episode = recordings.episode(1)
    for at in (0, 7, 25, 49):
        session.do("seek", {"frame": at})
        shown, step = session.board.frame, int(episode.frames[at])
        assert (shown.facts["index"], shown.facts["step"]) == (at, step)
        assert shown.facts["seconds"] == pytest.approx(step / 20)
        np.testing.assert_array_equal(shown.views["wrist"].image, episode.images[at, 1])
        span = next((s for s in episode.spans if step < s.end), episode.spans[-1])
        region = episode.region(at, span.subtask.target)[0]
        np.testing.assert_array_equal(shown.views["agentview"].region, region)
        assert (shown.views["agentview"].plan is None) == (step >= span.interaction)
        told = session.board.state()[1]
        assert told["target"] == span.subtask.target
        assert told["done"] == (step >= episode.spans[-1].end)
    assert session.about["frames"] == 50


def test_the_plan_ends_where_the_interaction_is(session, recordings):
    episode = recordings.episode(1)
    session.do("seek", {"frame": 3})
    plan = session.board.frame.views["agentview"].plan
    expected = (episode.spans[0].position[:2] + 0.5) * 32 - 0.5
    np.testing.assert_allclose(plan[-1], expected, atol=1e-4)


def test_it_plays_in_its_own_time_and_stops_at_the_end(session):
    session.do("seek", {"frame": 44})
    session.do("resume", {})
    assert session.board.state()[1]["mode"] == "playing"
    wait_for(lambda: session.board.state()[1]["mode"] == "paused")
    assert session.board.frame.facts["index"] == 49
    session.do("resume", {})  # from the beginning
    wait_for(lambda: 0 < session.board.frame.facts["index"] < 20)
    session.do("pause", {})
    at = session.board.frame.facts["index"]
    assert session.board.frame.facts["index"] == at


def test_what_is_not_there_is_refused(session, recordings):
    for frame in (-1, 50):
        with pytest.raises(RainError, match="frames 0 to 49"):
            session.do("seek", {"frame": frame})
    with pytest.raises(RainError, match="unknown"):
        session.do("point", {})
    with pytest.raises(RainError, match="episodes 0 to 1, not 2"):
        ReplaySession(recordings, 2)
