"""Run one episode from the bare instruction: a vision-language model plans and points, over HTTP.

    python examples/03_from_words.py
    python examples/03_from_words.py http://HOST:8000/v1

Without an address a stub answers from LIBERO's annotations; with one whoever serves there, e.g.
vLLM with Cosmos-Reason2. The policy sees images and tracked regions; the simulator only judges.
Needs the simulator:
pip install "rain-robotics[sim]"
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from rain.bench.rollouts import RolloutConfig, rollout
from rain.model import RainPolicy
from rain.perception.options import PerceptionOptions
from rain.perception.parts import make_loop, make_reasoner
from rain.perception.prompts import Box
from rain.perception.reasoner.libero import libero_registry
from rain.perception.reasoner.protocols import phrase_from_name
from rain.perception.world import PerceivedWorld
from rain.worlds.libero import LiberoWorld


class Annotated:
    """A world that remembers, of the latest image of each view, where every target is in it."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.boxes: dict[str, dict[str, Box | None]] = {}
        self._latest: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def render(self, view: str, size: int) -> Any:
        image = self._world.render(view, size)
        targets = [name for name in self._world.targets() if ":" not in name]
        targets += [s.target for s in self._world.script.subtasks if s.target not in targets]
        regions = self._world.regions(targets, view, size)
        self.boxes.pop(self._latest.get(view, ""), None)
        self._latest[view] = fingerprint(image)
        self.boxes[self._latest[view]] = {
            phrase_from_name(name): Box.around(region)
            for name, region in zip(targets, regions, strict=True)
        }
        return image


def fingerprint(image: np.ndarray) -> str:
    """Identify an image by its pixels."""
    return hashlib.sha256(image.tobytes()).hexdigest()


class StubVLM:
    """An OpenAI-compatible server that answers from LIBERO's annotations, as a model would."""

    def __init__(self, world: Annotated) -> None:
        self.asked: list[str] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = stub.answer(world, body["messages"][-1]["content"])
                answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, world: Annotated, content: list[dict[str, Any]]) -> str:
        """The answer's text: subtasks of an instruction, or the box of a phrase in an image."""
        text = next(part["text"] for part in content if part["type"] == "text")
        self.asked.append(text)
        if found := re.search(r"Instruction: (.*)", text):
            plan = libero_registry().decompose(found.group(1), {})
            subtasks = [
                {"action": subtask.action_type, "target": phrase}
                for subtask, phrase in zip(plan.script.subtasks, plan.phrases, strict=True)
            ]
            return f"<think>One thing after another.</think>\n```json\n{json.dumps(subtasks)}\n```"
        phrase = re.fullmatch(r"Locate the bounding box of (.*)\. Return a json\.", text)
        assert phrase is not None, text
        data = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))))
        box = world.boxes[fingerprint(image)].get(phrase.group(1))
        if box is None:
            return "[]"
        thousandths = [round(1000 * corner / len(image)) for corner in box.corners]
        return json.dumps([{"bbox_2d": thousandths, "label": phrase.group(1)}])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def run(scene: Any, url: str | None, horizon: int) -> tuple[Any, list[str]]:
    """Run an episode in a reset LIBERO scene; its result, and what a stub was asked."""
    world = Annotated(scene)
    stub = None if url else StubVLM(world)
    try:
        options = PerceptionOptions(vlm=url or (stub.url if stub else None))
        loop = make_loop(world, "classical", options)
        perceived = PerceivedWorld(world, loop, reasoner=make_reasoner(options))
        told = perceived.told(scene.script)
        policy, config = RainPolicy.load("rain-nano"), RolloutConfig(horizon=horizon)
        result = rollout(perceived, policy, scene.script, config, told=told)
        return result, stub.asked if stub else []
    finally:
        if stub is not None:
            stub.close()


def main() -> None:
    """Run an episode and tell it."""
    world = LiberoWorld("libero_object", 0)
    world.reset(seed=7)
    print(f"“{world.script.instruction}”")
    result, asked = run(world, sys.argv[1] if len(sys.argv) > 1 else None, horizon=280)
    for question in asked:
        print(
            "asked:", next(x for x in question.splitlines() if "nstruction: " in x or "Locate" in x)
        )
    print("told:", ", ".join(result.told or map(str, world.script.subtasks)))
    for pause in result.pauses:
        print(f"step {pause.step}: paused, {pause.reason}")
    print(f"{result.outcome} after {result.steps} steps")
    world.close()


if __name__ == "__main__":
    main()
