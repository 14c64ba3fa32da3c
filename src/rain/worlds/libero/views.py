"""What LIBERO's cameras see: images, regions of targets, and where points fall in a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.types import RainError
from rain.worlds.bodies import body_subtree
from rain.worlds.labels import Labeller
from rain.worlds.libero.regions import (
    PARTS,
    VISUAL_GROUP,
    Target,
    convex_hull_mask,
    parse_target,
)
from rain.worlds.rendering import Renderer, project_points

CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
"""View -> MuJoCo camera."""


@dataclass(frozen=True)
class _Cut:
    """Which of ``rows`` of target names each geom belongs to, (ngeom + 1,); projected places."""

    piece: NDArray[np.int64]
    rows: list[tuple[str, ...]]
    places: list[Target]


class Views:
    """The views of one LIBERO environment. Points are in the scene's coordinates, metres.

    Nothing is drawn before it is asked for.
    """

    def __init__(self, env: Any, rendering: str) -> None:
        """See ``env``, a robosuite environment of LIBERO, drawn in mode ``rendering``."""
        self._env = env
        self._rendering = rendering
        self._renderer: Renderer | None = None
        self._geom_sets: dict[str, NDArray[np.bool_]] = {}
        self._cut: _Cut | None = None
        self.past: Any = None

    @property
    def _model(self) -> Any:
        return self._env.sim.model._model

    @property
    def _data(self) -> Any:
        return self._env.sim.data._data if self.past is None else self.past

    def rgb(self, view: str, size: int) -> NDArray[np.uint8]:
        """One view's image, upright uint8 (size, size, 3)."""
        return self._renderer_now().rgb(self._data, self._camera(view), size)

    def regions(self, targets: list[str], view: str, size: int) -> NDArray[np.bool_]:
        """Regions of several targets in one view from one segmentation: bool (n, size, size)."""
        ids = self._renderer_now().geom_ids(self._data, self._camera(view), size)
        return np.stack([self._region(parse_target(t), ids, view) for t in targets])

    def targets(self) -> tuple[str, ...]:
        """Names of all targets of the scene: objects, fixtures, their parts, places."""
        owners = {*self._env.obj_body_id, *(zone.partition(":")[0] for zone in self._places())}
        return tuple(
            name
            for owner in sorted(owners)
            for name in (owner, *(f"{owner}:{part}" for part in PARTS))
            if (owner in self._env.obj_body_id or name in self._places()) and self._exists(name)
        )

    def _places(self) -> set[str]:
        """Names of the scene's places that are on no object or fixture, but on the table."""
        sites = {f"_{part.site}": name for name, part in PARTS.items() if part.project}
        found = {
            f"{site.removesuffix(suffix)}:{name}"
            for site in self._env.object_sites_dict
            for suffix, name in sites.items()
            if site.endswith(suffix)
        }
        return {name for name in found if name.partition(":")[0] not in self._env.obj_body_id}

    def _exists(self, name: str) -> bool:
        target = parse_target(name)
        part = target.part
        if part is None:
            return True
        if part.bodies:
            return bool(self._geoms(target).any())
        return target.site in self._env.object_sites_dict

    def label_map(self, view: str, size: int, labeller: Labeller) -> NDArray[np.uint8]:
        """All targets of one view from one segmentation: uint8 (size, size), see ``Labeller``."""
        ids = self._renderer_now().geom_ids(self._data, self._camera(view), size)
        cut = self._cut = self._cut or self._cut_scene()
        places = {place.name: self._region(place, ids, view) for place in cut.places}
        return labeller.number(cut.piece[ids], cut.rows, places)

    def _cut_scene(self) -> _Cut:
        targets = [parse_target(name) for name in self.targets()]
        fixed = [t for t in targets if t.part is None or not t.part.project]
        belongs = np.stack([self._geoms(target) for target in fixed])
        patterns, piece = np.unique(belongs, axis=1, return_inverse=True)
        names = np.array([target.name for target in fixed])
        rows = [tuple(names[pattern].tolist()) for pattern in patterns.T]
        return _Cut(piece.reshape(-1), rows, [t for t in targets if t not in fixed])

    def _region(self, target: Target, ids: NDArray[np.int32], view: str) -> NDArray[np.bool_]:
        mask = self._geoms(target)[ids]  # id -1 picks the last entry, which is False
        if target.part is None or not target.part.project:
            return mask
        site = self._model.site(str(target.site)).id
        rotation = self._data.site_xmat[site].reshape(3, 3)
        half = np.resize(np.asarray(self._env.object_sites_dict[target.site].size), 3)
        corners = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T * half
        pixels = self.project(corners @ rotation.T + self._data.site_xpos[site], view, len(ids))
        if not np.isfinite(pixels).all():
            return np.zeros_like(mask)
        hull = convex_hull_mask(pixels, len(ids))
        on_a_fixture = target.owner in self._env.obj_body_id
        return hull & mask if on_a_fixture else hull

    def _geoms(self, target: Target) -> NDArray[np.bool_]:
        """Whether each geom belongs to the target, (ngeom + 1,), the last for 'no geom'."""
        if target.name not in self._geom_sets:
            self._geom_sets[target.name] = self._find_geoms(target)
        return self._geom_sets[target.name]

    def _find_geoms(self, target: Target) -> NDArray[np.bool_]:
        model, known = self._model, self._env.obj_body_id
        bodies: set[int] = set()
        if target.owner in known:
            bodies = body_subtree(model.body_parentid, known[target.owner])
        elif target.part is None or not target.part.project:  # else a place on the table
            names = ", ".join(sorted(known))
            raise RainError(f"target {target.name!r} is not in this scene; it has {names}")
        if target.part is not None and target.part.bodies:
            wanted = {f"{target.owner}_{suffix}" for suffix in target.part.bodies}
            bodies = {b for b in bodies if model.body(b).name in wanted}
        belongs = np.zeros(model.ngeom + 1, dtype=bool)
        belongs[:-1] = np.isin(model.geom_bodyid, list(bodies))
        belongs[:-1] &= model.geom_group == VISUAL_GROUP
        return belongs

    def project(self, points: ArrayLike, view: str, size: int) -> NDArray:
        """Project points (N, 3) to pixels (N, 2), u right, v down; NaN when behind the camera."""
        return project_points(self._model, self._data, self._camera(view), points, size)

    def close(self) -> None:
        """Free the GL context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _camera(self, view: str) -> int:
        if view not in CAMERAS:
            raise RainError(f"view {view!r} is unknown; LIBERO has {', '.join(CAMERAS)}")
        return int(self._model.camera(CAMERAS[view]).id)

    def _renderer_now(self) -> Renderer:
        if self._renderer is None:
            self._renderer = Renderer(self._model, self._rendering)
        return self._renderer
