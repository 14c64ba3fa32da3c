"""Reading what vision-language models answer: strict about what it means, lenient about its form.

Models wrap JSON in thoughts, fences and prose, name the same thing differently and give coordinates
in several units. All of that is read; what remains unclear is an ``AnswerError`` whose words can be
quoted back to the model.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from rain.perception.prompts import Box
from rain.perception.reasoner.protocols import PhrasedScript, ReasonError
from rain.types import ACTION_TYPES, RainError, Subtask, TaskScript

Units = Literal["auto", "thousandths", "pixels"]
"""Of coordinates. auto: fractions where none is above 1, pixels where one is above 1000, else
thousandths of the image's side, as Cosmos-Reason2 and Qwen3-VL give them."""

_BOX_KEYS = ("bbox_2d", "bbox", "box", "box_2d", "bounding_box", "boundingbox", "coordinates")
_CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_LIST_KEYS = (
    "subtasks",
    "steps",
    "plan",
    "tasks",
    "actions",
    "objects",
    "boxes",
    "bboxes",
    "detections",
)
_ACTION_KEYS = ("action_type", "action", "type", "skill", "verb", "primitive")
_TARGET_KEYS = ("target", "object", "target_object", "target_region", "location", "place", "phrase")
_SYNONYMS = {
    "pick": "grasp", "pick_up": "grasp", "grab": "grasp", "lift": "grasp", "take": "grasp",
    "place": "release", "put": "release", "drop": "release", "put_down": "release",
    "pull_open": "open", "shut": "close", "turnon": "turn_on", "switch_on": "turn_on",
    "rotate_on": "turn_on", "slide": "push",
}  # fmt: skip


class AnswerError(ReasonError):
    """An answer cannot be used; the words say what is wrong with it."""


def read_script(text: str, instruction: str) -> PhrasedScript:
    """The subtasks in an answer; AnswerError."""
    value = _unwrap(read_json(text))
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value:
        raise AnswerError("expected a JSON list of subtasks, got " + _short(value))
    subtasks = [_subtask(number, item) for number, item in enumerate(value, 1)]
    held: str | None = None
    for number, subtask in enumerate(subtasks, 1):
        if subtask.action_type == "grasp" and held is not None:
            raise AnswerError(
                f"subtask {number} grasps {subtask.target!r} while {held!r} is still held"
            )
        if subtask.action_type in ("grasp", "release"):
            held = subtask.target if subtask.action_type == "grasp" else None
    return PhrasedScript(
        TaskScript(instruction, tuple(subtasks)), tuple(s.target for s in subtasks)
    )


def _subtask(number: int, item: Any) -> Subtask:
    if isinstance(item, str):
        item = _from_words(item)
    if isinstance(item, list) and len(item) == 2:
        item = dict(zip(("action_type", "target"), item, strict=True))
    if not isinstance(item, dict):
        raise AnswerError(f"subtask {number}: expected action_type and target, got {_short(item)}")
    found = {str(key).lower(): value for key, value in item.items()}
    action = next((found[key] for key in _ACTION_KEYS if found.get(key)), None)
    target = next((found[key] for key in _TARGET_KEYS if found.get(key)), None)
    if not isinstance(action, str) or not isinstance(target, str) or not target.strip():
        raise AnswerError(f"subtask {number}: expected action_type and target, got {_short(item)}")
    name = re.sub(r"[\s-]+", "_", action.strip().lower())
    name = _SYNONYMS.get(name, name)
    if name not in ACTION_TYPES:
        raise AnswerError(
            f"subtask {number}: unknown action type {action!r}; known: {', '.join(ACTION_TYPES)}"
        )
    return Subtask(name, target.strip())


def _from_words(text: str) -> Any:
    """A subtask in words, "1. pick up the potato"; the text itself where no action begins it."""
    words = re.sub(r"^\s*\d+[.):]\s*", "", text).strip()
    for action in sorted([*ACTION_TYPES, *_SYNONYMS], key=len, reverse=True):
        pattern = action.replace("_", r"[\s_-]+") + r"[\s:(]+(.+?)\)?$"
        if match := re.match(pattern, words, re.IGNORECASE):
            return {"action_type": action, "target": match.group(1)}
    return text


def read_box(text: str, height: int, width: int, units: Units = "auto") -> Box | None:
    """The one box in an answer, in pixels; None where it says that there is none.

    AnswerError where there are several, or where it does not lie in the image.
    """
    numbers = _tagged_box(text)
    boxes = [numbers] if numbers else list(_boxes(_answer_or_none(text)))
    boxes = [box for at, box in enumerate(boxes) if box not in boxes[:at]]
    if not boxes:
        return None
    if len(boxes) > 1:
        raise AnswerError(f"{len(boxes)} boxes were given, exactly one is wanted")
    return _in_pixels(boxes[0], height, width, units)


def _answer_or_none(text: str) -> Any:
    said = strip_thoughts(text).strip().strip(".").lower()
    if said in ("none", "null", "[]", "not visible", "not found", "no"):
        return None
    return read_json(text)


def _tagged_box(text: str) -> list[float] | None:
    """Qwen's older form: <box>(x1,y1),(x2,y2)</box>, with or without special-token bars."""
    match = re.search(r"<\|?box(?:_start)?\|?>(.*?)<", strip_thoughts(text), re.DOTALL)
    numbers = re.findall(r"-?\d+(?:\.\d+)?", match.group(1)) if match else []
    return [float(n) for n in numbers] if len(numbers) == 4 else None


def _boxes(value: Any) -> Iterator[list[float]]:
    """Every box in a JSON value; AnswerError where something is no box."""
    value = _unwrap(value)
    if value is None:
        return
    if isinstance(value, dict):
        yield from _boxes_of_object(value)
    elif isinstance(value, list) and (numbers := _numbers(value)):
        yield numbers
    elif isinstance(value, list):
        for item in value:
            yield from _boxes(item)
    else:
        raise AnswerError("expected a box [x1, y1, x2, y2], got " + _short(value))


def _boxes_of_object(value: dict) -> Iterator[list[float]]:
    found = {str(key).lower(): item for key, item in value.items()}
    for names in _CORNERS:
        if all(name in found for name in names) and (
            numbers := _numbers([found[name] for name in names])
        ):
            yield numbers
            return
    size = _numbers([found.get(name) for name in ("x", "y", "width", "height")])
    size = size or _numbers([found.get(name) for name in ("x", "y", "w", "h")])
    if size:
        x, y, across, down = size
        yield [x, y, x + across, y + down]
        return
    key = next((key for key in _BOX_KEYS if key in found), None)
    if key is None:
        raise AnswerError(f"expected a key bbox_2d, got {', '.join(map(str, value)) or 'none'}")
    inner = found[key]
    if isinstance(inner, str):
        inner = list(re.findall(r"-?\d+(?:\.\d+)?", inner)) or None
    if isinstance(inner, list) and inner and not _numbers(inner):
        pairs = [n for part in inner if isinstance(part, list) for n in part]
        inner = [pairs] if len(inner) == 2 and _numbers(pairs) else inner
        if not any(isinstance(part, list | dict) for part in inner):
            raise AnswerError("expected four numbers [x1, y1, x2, y2], got " + _short(inner))
    yield from _boxes(inner)


def _numbers(values: list) -> list[float] | None:
    """Four numbers, also where they are written as strings."""
    if len(values) != 4:
        return None
    try:
        numbers = [float(v) for v in values if not isinstance(v, bool | list | dict)]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == 4 else None


def _in_pixels(box: list[float], height: int, width: int, units: Units) -> Box:
    scale_x, scale_y = 1.0, 1.0
    largest = max(box)
    if units == "thousandths" or (units == "auto" and 1.0 < largest <= 1000):
        scale_x, scale_y = width / 1000, height / 1000
    elif units == "auto" and 0 < largest <= 1.0:
        scale_x, scale_y = float(width), float(height)
    x1, y1, x2, y2 = box
    try:
        return Box(x1 * scale_x, y1 * scale_y, x2 * scale_x, y2 * scale_y).within(height, width)
    except RainError as error:
        raise AnswerError(f"{error} (the answer was {_short(box)})") from None


def read_json(text: str) -> Any:
    """The JSON value in an answer, whatever is around it; AnswerError where there is none."""
    said = strip_thoughts(text)
    fenced = re.findall(r"```[a-zA-Z]*\s*(.*?)```", said, re.DOTALL)
    for candidate in (*fenced, said, said.rpartition("```")[2]):
        for value in _values(candidate):
            return value
    raise AnswerError("there is no JSON in it: " + _short(said.strip() or text.strip()))


def strip_thoughts(text: str) -> str:
    """What a model says after it has thought; inside <answer> where it marks its answer."""
    said = re.sub(r"<think(?:ing)?>.*?</think(?:ing)?>", "", text, flags=re.DOTALL)
    # Chat templates may open the thought themselves; then only its end is in the answer.
    said = re.split(r"</think(?:ing)?>", said)[-1]
    said = re.split(r"<think(?:ing)?>", said)[0]
    match = re.search(r"<answer>(.*?)(?:</answer>|$)", said, re.DOTALL)
    return match.group(1) if match else said


def _values(text: str) -> Iterator[Any]:
    """Objects and lists in a text, in their order, as JSON or as Python writes them."""
    at = 0
    while (found := re.compile(r"[\[{]").search(text, at)) is not None:
        start = found.start()
        end = _closing(text, start)
        value = _parse(text[start:end]) if end else None
        if isinstance(value, list | dict):
            yield value
            at = end or start + 1
        else:
            at = start + 1


def _closing(text: str, start: int) -> int | None:
    """Where the bracket at ``start`` is closed, one past it; brackets in strings do not count."""
    depth, quote, at = 0, "", start
    while at < len(text):
        sign = text[at]
        if quote:
            if sign == "\\":
                at += 1
            elif sign == quote:
                quote = ""
        elif sign == '"' or (sign == "'" and text[at - 1] in "[{,: "):
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return None


def _parse(text: str) -> Any:
    mended = re.sub(r",\s*([\]}])", r"\1", text)
    try:
        return json.loads(mended)
    except ValueError:
        pass
    try:
        return ast.literal_eval(mended)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _unwrap(value: Any) -> Any:
    """What is inside an object that only holds a list."""
    if isinstance(value, dict):
        for key in _LIST_KEYS:
            if isinstance(value.get(key), list):
                return value[key]
    return value


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "..."
