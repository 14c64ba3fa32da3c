"""Opens the ports of other protocols at a policy server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from rain.bench.remote.conventions import preset
from rain.client import MaskClient, PolicyClient
from rain.serving.guests.groot import GrootPort
from rain.serving.guests.openpi import OpenpiPort
from rain.serving.guests.reading import GuestOptions, Keys, Reader, groot_keys, openpi_keys
from rain.serving.guests.session import GuestSession
from rain.serving.policies import PolicyService
from rain.serving.server import INPROC, Server, ServerConfig
from rain.types import Conventions, RainError

ANSWER_S = 60.0
"""s that a prediction may take."""
KEYS: dict[str, Callable[[Conventions, GuestOptions], Keys]] = {
    "openpi": openpi_keys,
    "gr00t": groot_keys,
}


class Guests:
    """Clients of other protocols at one server; they are let go before the server ends."""

    def __init__(
        self, server: Server, service: PolicyService, config: ServerConfig, options: GuestOptions
    ) -> None:
        """Read what they mean; RainError where that does not fit the checkpoint."""
        self._server, self._service = server, service
        self._config, self._options = config, options

    def listening(self, kind: str, port: int) -> AbstractContextManager[int]:
        """Answer clients of ``openpi`` or ``gr00t`` meanwhile; gives the port."""
        options, config = self._options, self._config
        if not 0 <= port < 2**16:  # ZeroMQ would take it modulo 65536
            raise RainError(f"{kind}: cannot listen at port {port}")
        reader = Reader(KEYS[kind](self._service.conventions, options), self._service.conventions,
                        options)  # fmt: skip
        known, views = {view for view, _ in reader.keys.images}, reader.conventions.views
        if not known >= set(views):
            raise RainError(
                f"--guests.conventions {options.conventions}: has the views {sorted(known)}, the "
                f"checkpoint {list(views)}"
            )

        def session() -> GuestSession:
            return self._session(reader)

        if kind == "openpi":
            metadata = self._service.about()
            return OpenpiPort(session, reader, metadata, config.token).listening(
                options.host, port, config.max_message
            )
        old = options.conventions is not None and not preset(options.conventions).batched
        # They never say goodbye: those that are gone must not take everybody's places.
        most = max(1, config.max_clients // 4)
        return GrootPort(session, reader, config.token, most, old).listening(
            options.host, port, config.max_message
        )

    def _session(self, reader: Reader) -> GuestSession:
        options, token = self._options, self._config.token
        policy = PolicyClient(INPROC, token=token, timeout=ANSWER_S, context=self._server.context)

        def masks() -> MaskClient:
            assert options.masks is not None
            return MaskClient(
                options.masks,
                token=token,
                timeout=ANSWER_S,
                curve=options.masks_curve,
                # Such a client shows a picture for as long as a chunk lasts.
                loop={"frozen_after_s": None},
            )

        try:
            return GuestSession(
                policy, reader, masks if options.masks else None, lambda: self._server.stopping
            )
        except RainError:
            policy.close()
            raise
