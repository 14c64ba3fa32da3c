"""What to say where a model's weights are not to be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rain.types import RainError


@contextmanager
def loading(source: str, kind: str, otherwise: str = "") -> Iterator[None]:
    """Turn what transformers raises while it loads into a RainError that says how to get weights.

    source: a repository on the hub or a folder; kind: what is looked for there; otherwise: what can
    be done instead.
    """
    try:
        yield
    except ImportError as error:
        raise RainError(f"{source} needs a package that is not installed: {error}") from error
    except (OSError, ValueError) as error:
        if Path(source).is_dir():
            raise RainError(f"{source} is a folder without {kind} that can be read") from error
        raise RainError(
            f"the weights {source!r} are neither a folder nor in the cache, and cannot be "
            f"downloaded; where there is a network run `hf download {source} --local-dir FOLDER`, "
            f"copy the folder here and give it in place of the name{otherwise}"
        ) from error
