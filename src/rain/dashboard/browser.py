"""A real browser on the page: Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rain.types import RainError

VARIABLE = "RAIN_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
"""The sandbox needs rights that a container lacks; the page is our own and loads nothing else."""
LIVE = "body[data-link=live][data-frame]"


def find_chromium() -> str | None:
    """The path of a Chromium on this machine, or None; RAIN_CHROMIUM names another."""
    named = os.environ.get(VARIABLE)
    found = (shutil.which(name) for name in ([named] if named else NAMES))
    return next((path for path in found if path), None)


@contextmanager
def browsing(**settings: Any) -> Iterator[Any]:
    """A browser without a window, Playwright's ``Browser``; RainError where there is none."""
    path = find_chromium()
    if path is None:
        raise RainError(
            f"no Chromium was found: install it (Debian: apt-get install chromium), or name it in "
            f"{VARIABLE}"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS, **settings)
        try:
            yield browser
        finally:
            browser.close()


class Operating:
    """Someone at the page who has control: clicks where a person would."""

    def __init__(self, page: Any, address: str, timeout_s: float = 60.0) -> None:
        """Open the page and take control."""
        self.page = page
        page.set_default_timeout(1000 * timeout_s)
        page.goto(address, wait_until="domcontentloaded")
        page.wait_for_selector("body[data-link=live]")
        page.click("#take")
        page.wait_for_selector("#take", state="hidden")

    def wait_for_mode(self, mode: str) -> None:
        """Wait until the page shows a mode."""
        self.page.wait_for_selector(f"body[data-mode={mode}]")

    def wait_for_frame(self, number: int) -> None:
        """Wait until a frame at least so late is on the screen."""
        self.page.wait_for_function(
            "number => Number(document.body.dataset.frame) >= number", arg=number
        )

    def place_of(self, view: str, x: float, y: float, size: int) -> tuple[float, float]:
        """Where on the screen pixel (x, y) of a view's image of ``size`` pixels is."""
        canvas = self.page.locator(f"canvas[data-view={view}]")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        return box["x"] + box["width"] * x / size, box["y"] + box["height"] * y / size

    def point(self, view: str, x: float, y: float, size: int) -> str:
        """Click a pixel of a view; returns what the page asks to confirm."""
        self.page.mouse.click(*self.place_of(view, x, y, size))
        self.page.wait_for_selector("#pending[data-on=true]")
        return str(self.page.inner_text("#pending-text")).rstrip("?")

    def confirm(self) -> None:
        """Act on it."""
        self.page.click("#confirm")
        self.page.wait_for_selector("#pending[data-on=false]")
