"""The page in a real browser, over a table without physics: every control by mouse and by key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dashboard_fakes import SIZE, Playing, middle, quick, wait_for

pytest.importorskip("uvicorn", reason="the extra 'dashboard' is not installed")

from rain.dashboard.rollout_session import RolloutOptions, RolloutSession


@pytest.fixture
def session() -> RolloutSession:
    return RolloutSession("a table", RolloutOptions(SIZE, 1, 2.0, paused=True))


@pytest.fixture
def playing(session) -> Iterator[Playing]:
    with Playing(session, completions=(0.3,)) as playing:
        yield playing


@pytest.fixture
def address(session, playing, serve) -> str:
    return serve(session)


@pytest.fixture
def page(address, open_page) -> Any:
    """A page whose viewer is the operator."""
    page = open_page(address)
    page.wait_for_selector("body[data-link=live][data-frame]")
    page.click("#take")
    page.wait_for_selector("#take", state="hidden")
    return page


def at(page: Any, target: str, view: str = "agentview", by: float = 0.0) -> tuple[float, float]:
    """Where on the screen a thing is, or ``by`` pixels of the image beside its middle."""
    canvas = page.locator(f"canvas[data-view={view}]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = middle(target)
    return box["x"] + box["width"] * (x + by) / SIZE, box["y"] + box["height"] * (y + by) / SIZE


def state(session: RolloutSession) -> dict[str, Any]:
    return session.board.state()[1]


def test_it_shows_what_there_is(page, session, picture):
    assert page.inner_text("#title") == "a table"
    assert page.inner_text("#mode") == "paused"
    assert "milk_1" in page.inner_text("#instruction")
    items = page.locator("#subtasks li")
    assert [items.nth(i).get_attribute("data-state") for i in range(2)] == ["now", "later"]
    assert page.locator("#views canvas").count() == 2
    page.click("#resume")
    page.wait_for_selector("body[data-mode=running]")
    page.wait_for_selector("[data-part=completion] output:text('0.30')")
    for figure in ("step", "policy", "camera", "page"):
        assert page.locator(f"[data-figure={figure}]").count() == 1
    colours = page.evaluate(
        """() => { const canvas = document.querySelector("canvas[data-view=agentview]");
        const n = canvas.width / 64, context = canvas.getContext("2d");
        const at = (x, y) => [...context.getImageData(n * x, n * y, 1, 1).data];
        return [at(12, 20), at(48, 16)]; }"""
    )
    # The milk is tinted, the soup beside it is as it was rendered, up to JPEG.
    assert abs(colours[1][0] - 200) < 25
    assert abs(colours[1][1] - 60) < 25
    assert abs(colours[0][0] - 240) > 40
    picture(page, "live-light")
    page.emulate_media(color_scheme="dark")
    picture(page, "live-dark")
    page.set_viewport_size({"width": 820, "height": 1180})
    picture(page, "tablet")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_click_confirm_and_back_to_the_script(page, session, picture):
    page.mouse.click(*at(page, "soup_1"))
    page.wait_for_selector("#pending[data-on=true]")
    assert page.inner_text("#pending-text") == "grasp soup_1?"
    assert not state(session)["pointed"]
    picture(page, "pending")
    page.click("#cancel")
    page.wait_for_selector("#pending[data-on=false]")
    page.mouse.click(*at(page, "soup_1", "wrist"))
    page.click("#confirm")
    page.wait_for_selector("text=in place of milk_1")
    assert state(session)["target"] == "soup_1"
    assert page.inner_text("#pending-text") == "Acting on soup_1, as pointed at."
    page.click("#clear")
    page.wait_for_selector("text=in place of milk_1", state="detached")
    assert state(session)["target"] == "milk_1"
    page.mouse.click(*at(page, "basket_1"))
    page.wait_for_selector("#toast:not([hidden])")
    assert "nothing that can be grasped" in page.inner_text("#toast")


def test_a_box_is_dragged(page, session):
    page.mouse.move(*at(page, "butter_1", by=-10))
    page.mouse.down()
    page.mouse.move(*at(page, "butter_1"), steps=3)
    page.mouse.move(*at(page, "butter_1", by=10), steps=3)
    page.mouse.up()
    page.wait_for_selector("text=grasp butter_1?")
    page.click("#confirm")
    wait_for(lambda: state(session)["target"] == "butter_1")


def test_a_click_goes_to_the_frame_that_was_on_the_screen(session, playing, page, address):
    page.click("#resume")
    page.wait_for_selector("body[data-mode=running]")
    page.evaluate(
        """() => { window.shown = []; addEventListener("pointerdown",
        () => window.shown.push(Number(document.body.dataset.frame)), { capture: true }); }"""
    )
    asked: list[dict] = []
    page.on("request", lambda r: "/do/point" in r.url and asked.append(r.post_data_json))
    page.mouse.click(*at(page, "soup_1"))
    page.wait_for_selector("#pending[data-on=true]")
    assert [a["frame"] for a in asked] == page.evaluate("window.shown")
    assert state(session)["pending"]["frame"] == asked[0]["frame"]
    assert asked[0]["x"] == pytest.approx(middle("soup_1")[0], abs=1)


def test_controls(page, session, playing):
    for button, mode in (("resume", "running"), ("hold", "holding"), ("pause", "paused")):
        page.click(f"#{button}")
        page.wait_for_selector(f"body[data-mode={mode}]")
        assert state(session)["mode"] == mode
    page.click("#next")
    wait_for(lambda: state(session)["active"] == 1)
    page.click("#previous")  # which waits until it is enabled
    wait_for(lambda: state(session)["active"] == 0)
    page.click("#subtasks li:nth-child(2) button")
    wait_for(lambda: state(session)["active"] == 1)
    page.focus("#text")
    page.wait_for_selector("#known option:nth-child(2)", state="attached")
    page.fill("#text", "pick up soup_1 and place it in the basket")
    page.press("#text", "Enter")
    wait_for(lambda: state(session)["subtasks"][0] == ["grasp", "soup_1"])
    page.wait_for_function("() => document.querySelector('#text').value === ''")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.click("#end")
    page.wait_for_selector("body[data-mode=finished]")
    assert "no success" in page.inner_text("#mode")
    assert playing.result is not None
    page.fill("#episode", "7")
    page.click("#again")
    wait_for(lambda: playing.next == 7)
    log = page.inner_text("#log")
    assert "viewer 1: hold" in log
    assert "told" not in page.inner_text("#pending-text")


def test_everything_by_keys(page, session):
    page.keyboard.press("r")
    page.wait_for_selector("body[data-mode=running]")
    page.keyboard.press("h")
    page.wait_for_selector("body[data-mode=holding]")
    page.keyboard.press("p")
    page.wait_for_selector("body[data-mode=paused]")
    page.keyboard.press("2")
    page.wait_for_selector("#subtasks li:nth-child(2)[data-state=now]")
    assert state(session)["active"] == 1
    page.keyboard.press("b")
    wait_for(lambda: state(session)["active"] == 0)
    page.focus("canvas[data-view=agentview]")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=grasp soup_1?")
    page.keyboard.press("x")
    page.wait_for_selector("#pending[data-on=false]")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    for _ in range(12):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#toast:not([hidden])")  # the corner holds nothing
    page.mouse.click(*at(page, "butter_1"))
    page.wait_for_selector("text=grasp butter_1?")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Acting on butter_1")
    page.keyboard.press("c")
    wait_for(lambda: state(session)["target"] == "milk_1")
    page.uncheck("#keys")
    page.keyboard.press("r")
    page.keyboard.press("Escape")  # but this one always
    page.wait_for_selector("body[data-mode=stopped]")


def test_the_stop_button_and_its_release(page, session, playing):
    page.click("#resume")
    page.wait_for_selector("body[data-mode=running]")
    page.hover("#stop")
    page.mouse.down()  # the finger need not leave it
    page.wait_for_selector("body[data-mode=stopped]")
    page.mouse.up()
    time.sleep(0.1)
    count = len(playing.world.actions)
    assert page.is_disabled("#resume")
    time.sleep(0.2)
    assert len(playing.world.actions) == count
    page.click("#release")
    page.wait_for_selector("body[data-mode=paused]")
    page.click("#resume")
    wait_for(lambda: len(playing.world.actions) > count)


def test_two_viewers_and_control_that_is_handed_over(page, address, session, open_page, picture):
    other = open_page(address)
    other.wait_for_selector("body[data-link=live]")
    other.wait_for_selector("text=viewer 1 operates")
    assert other.is_disabled("#resume")
    other.mouse.click(*at(other, "soup_1"))
    other.wait_for_selector("text=take control first")
    other.keyboard.press("t")
    page.wait_for_selector("text=viewer 2 asks for control.")
    picture(page, "asked")
    page.select_option("#give-to", "viewer 2")
    page.click("#give")
    other.wait_for_selector("text=you operate")
    other.click("#resume")
    page.wait_for_selector("body[data-mode=running]")
    assert page.is_disabled("#pause")
    page.keyboard.press("Escape")  # who only looks may stop as well
    other.wait_for_selector("body[data-mode=stopped]")


Violations = Callable[[Any], list[str]]


@pytest.fixture(scope="module")
def serious() -> Violations:
    """What axe finds on a page that is serious or worse."""
    sync = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core")

    def run(page: Any) -> list[str]:
        found = sync.Axe().run(page).response["violations"]
        return [
            f"{one['id']}: {[node['html'][:120] + node['failureSummary'] for node in one['nodes']]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    return run


def test_accessible_in_light_and_dark_pointing_and_stopped(page, session, serious):
    page.mouse.click(*at(page, "soup_1"))
    page.wait_for_selector("#pending[data-on=true]")
    assert serious(page) == []
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)
    assert serious(page) == []
    page.click("#resume")
    session.stop("a test's")
    page.wait_for_selector("body[data-mode=stopped]")
    page.wait_for_timeout(200)
    assert serious(page) == []


def test_the_form_for_the_token(serve, open_page, serious, picture):
    session = quick(paused=True)
    with Playing(session):
        # A wrong token is a 401, which browsers log.
        page = open_page(serve(session, token="sesame"), quiet=False)
        picture(page, "token")
        assert serious(page) == []
        page.fill("#token", "wrong")
        page.click("button")
        page.wait_for_selector("text=that is not the token")
        page.fill("#token", "sesame")
        page.click("button")
        page.wait_for_selector("body[data-link=live][data-frame]")
