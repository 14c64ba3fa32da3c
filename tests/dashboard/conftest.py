"""One browser for all tests of the page; each test has a page of its own that must not complain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PICTURES = Path(__file__).parent / "screenshots"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Playwright's browser; skipped where there is no Chromium."""
    for package in ("playwright", "fastapi", "uvicorn"):
        pytest.importorskip(package, reason="the extra 'dashboard' is not installed")
    from rain.dashboard.browser import browsing, find_chromium

    if find_chromium() is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with browsing() as found:
        yield found


@pytest.fixture
def serve(browser, tmp_path) -> Iterator[Callable[..., str]]:
    """Serves a session until the test's pages are closed; gives its address."""
    from rain.dashboard.running import serving

    with ExitStack() as stack:
        audit = tmp_path / "audit.jsonl"
        yield lambda session, **how: stack.enter_context(serving(session, audit, **how))


@pytest.fixture
def open_page(browser, serve) -> Iterator[Callable[..., Any]]:
    """Opens a page at an address. At the end none may have complained or asked anybody else."""
    contexts, complaints, strangers = [], [], []

    def open_one(address: str, *, quiet: bool = True, **settings: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 860}, "color_scheme": "light", **settings}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if quiet:
            page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        page.on(
            "request",
            lambda r: urlsplit(r.url).hostname == "127.0.0.1" or strangers.append(r.url),
        )
        page.goto(address, wait_until="domcontentloaded")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []
    assert strangers == []


@pytest.fixture
def picture() -> Callable[[Any, str], None]:
    """Keeps a screenshot of a page."""
    PICTURES.mkdir(exist_ok=True)
    return lambda page, name: page.screenshot(path=PICTURES / f"{name}.png")
