"""The page in trouble: a server that restarts, a slow line, commands that wait; and recordings."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from dashboard_fakes import SIZE, Desktop, Playing, wait_for
from dashboard_lines import SlowLine
from demos_helpers import dataset

pytest.importorskip("uvicorn", reason="the extra 'dashboard' is not installed")

import threading

from rain.dashboard.frames import ShownView
from rain.dashboard.replay import ReplaySession
from rain.dashboard.rollout_session import RolloutOptions, RolloutSession
from rain.dashboard.running import serving
from rain.demos.dataset import Dataset

LIVE = "body[data-link=live][data-frame]"


def test_it_comes_back_when_the_server_restarts(tmp_path, open_page):
    first = Desktop(title="the first")
    first.show(1)
    with serving(first, tmp_path / "a.jsonl") as address:
        # A browser logs every attempt to connect that fails.
        page = open_page(address, quiet=False)
        page.wait_for_selector(LIVE)
        page.click("#take")
        page.wait_for_selector("#take", state="hidden")
    page.wait_for_selector("body:not([data-link=live])")
    assert page.is_disabled("#pause")
    second = Desktop(title="the second")
    with serving(second, tmp_path / "a.jsonl", port=urlsplit(address).port):
        page.wait_for_selector("text=the second")
        number = second.show(9)
        page.wait_for_selector(f"body[data-frame='{number}']")
        assert page.inner_text("#operator") == "nobody operates"
        page.click("#take")
        page.click("#pause")
        wait_for(lambda: second.asked == [("pause", {})])
        page.keyboard.press("Escape")  # its line is there again as well
        wait_for(lambda: second.stops)


def test_a_reloaded_page_keeps_control(serve, open_page):
    session = Desktop()
    session.show(1)
    page = open_page(serve(session))
    page.wait_for_selector(LIVE)
    page.click("#take")
    page.wait_for_selector("#take", state="hidden")
    page.reload()
    page.wait_for_selector("text=you operate")


def noise(seed: int, size: int = 336) -> ShownView:
    """A view that JPEG cannot make small."""
    image = np.random.default_rng(seed).integers(0, 255, (size, size, 3), np.uint8)
    return ShownView(image, image[..., 0] > 250)


def test_on_a_slow_line_the_latest_frame_wins_and_the_stop_gets_through(serve, open_page):
    session = Desktop()
    pictures = [{"top": noise(i)} for i in range(3)]
    session.board.show(pictures[0], {"step": 0})
    with SlowLine(urlsplit(serve(session)).port or 0, 600_000) as slow:
        # When the line is cut at the end, the page complains.
        page = open_page(f"http://127.0.0.1:{slow.port}", quiet=False)
        page.wait_for_selector(LIVE)
        page.evaluate(
            """() => { window.seen = new Set(); new MutationObserver(
            () => window.seen.add(Number(document.body.dataset.frame))
            ).observe(document.body, { attributes: true, attributeFilter: ["data-frame"] }); }"""
        )
        for i in range(45):  # some 30 frames of 70 kB a second: more than the line carries
            frame = session.board.show(pictures[i % 3], {"step": i})
            time.sleep(0.03)
        began = time.monotonic()
        page.keyboard.press("Escape")
        wait_for(lambda: session.stops, 3)
        assert time.monotonic() - began < 1.5
        page.wait_for_selector(f"body[data-frame='{frame.number}']")
        seen = page.evaluate("() => [...window.seen]")
        assert seen == sorted(seen)
        assert 2 < len(seen) < 35  # the others were never sent


def test_the_stop_passes_a_page_whose_queue_is_full(serve, open_page):
    session = Desktop()
    session.show(1)
    page = open_page(serve(session))
    page.wait_for_selector(LIVE)
    page.click("#take")
    page.wait_for_selector("#take", state="hidden")
    for _ in range(12):
        page.evaluate("() => document.getElementById('hold').click()")
    page.wait_for_selector("text=too many commands are waiting")
    assert [command for command, _ in session.asked] == ["hold"]
    began = time.monotonic()
    page.keyboard.press("Escape")
    wait_for(lambda: session.stops, 2)
    assert time.monotonic() - began < 1.0
    page.wait_for_selector("body[data-mode=stopped]")
    session.go_on.set()


def test_the_stop_under_load_of_frames_and_viewers(serve, open_page):
    session = RolloutSession("busy", RolloutOptions(SIZE, 1, 3.0))
    with Playing(session):
        address = serve(session)
        pages = [open_page(address) for _ in range(3)]
        for page in pages:
            page.wait_for_selector(LIVE)
        began = time.monotonic()
        pages[2].keyboard.press("Escape")
        wait_for(lambda: session.stopped, 3)
        assert time.monotonic() - began < 1.5
        for page in pages:
            page.wait_for_selector("body[data-mode=stopped]")


def test_a_recording_has_a_slider(tmp_path, serve, open_page, picture):
    recordings = Dataset.open(dataset(tmp_path / "data", episodes=1))
    session = ReplaySession(recordings, 0)
    thread = threading.Thread(target=session.run)
    thread.start()
    try:
        page = open_page(serve(session))
        page.wait_for_selector(LIVE)
        assert not page.is_visible("#stop")
        assert not page.is_visible("#controls")
        page.focus("#slider")
        page.keyboard.press("End")
        page.wait_for_selector("#time:text('4.9 s')")
        page.wait_for_selector("#subtasks li:nth-child(2)[data-state=done]")
        page.keyboard.press("Home")
        page.wait_for_selector("#time:text('0.0 s')")
        page.click("#play")
        page.wait_for_selector("body[data-mode=playing]")
        page.wait_for_function("() => Number(document.getElementById('slider').value) > 2")
        page.click("#play")
        page.wait_for_selector("body[data-mode=paused]")
        picture(page, "replay")
    finally:
        session.close()
        thread.join(5)
