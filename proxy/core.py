"""The one place where mitmproxy's protocol layers are told to behave as a gateway needs.

mitmproxy's layers are pure: events go in, commands come out. We keep them and replace what surrounds them: its option
manager (a deep copy per read), its addon chain (two walks per hook) and its tasks (one per hook). `install` is called
once per process, before the first connection.
"""

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.commands import StartHook

type HookHandler = Callable[[Any], Awaitable[None] | None]

MOST_WAITING = 64
"""Events that a layer may queue while it waits (for a site, for a password), each with up to 256 kB of the client's bytes."""


class HoldClient(commands.Command):
    """Asks to stop reading from the client, or to go on."""

    def __init__(self, hold: bool) -> None:
        self.hold = hold


@dataclass(frozen=True, slots=True)
class CoreOptions:
    """The options that mitmproxy's layers read, as plain attributes."""

    hooks: dict[type[StartHook], HookHandler]
    validate_inbound_headers: bool = True
    store_streamed_bodies: bool = False
    # Left unset for good: with it, an early block of an upload never reaches the client.
    stream_large_bodies: str | None = None
    # Ours is in `proxy.streams`, where the answer is a page of ours.
    body_size_limit: str | None = None
    websocket: bool = True
    # Opaque bytes inside a tunnel are refused, never relayed.
    rawtcp: bool = False
    # A blocked host must never see a connection.
    connection_strategy: str = "lazy"
    proxy_debug: bool = False
    keep_host_header: bool = False
    normalize_outbound_headers: bool = True
    http2_ping_keepalive: int = 58
    # Ours, read by our own layers.
    keep_session: Callable[[Any, Any], None] | None = None
    weigh_request: Callable[[Any, bytes], None] | None = None
    sniff_response: Callable[[Any, bytes], bool] | None = None
    weigh_response: Callable[[Any, bytes], Any] | None = None
    refuse_target: Callable[[Any], Any] | None = None
    settle_messages: Callable[[Any], None] | None = None
    unannounced_body: Callable[[Any], None] | None = None


def run_hook(options: CoreOptions, command: StartHook) -> Awaitable[None] | None:
    """Call the handler of a hook; an awaitable comes back when the answer takes a while."""
    handler = options.hooks.get(type(command))
    return None if handler is None else handler(command)


def handle_event(self: layer.Layer, event: events.Event) -> Generator[commands.Command, Any]:
    """Feed a layer one event, answering hooks on the spot.

    Same contract as `mitmproxy.proxy.layer.Layer.handle_event`. There, every hook pauses the layer, travels up through
    all layers to a task and comes back down as an event; here it is a function call, unless its handler has to wait.
    """
    paused = self._paused
    if paused is None:
        yield from _process(self, self._handle_event(event), None)
        return
    queue = self._paused_event_queue
    if not (isinstance(event, events.CommandCompleted) and event.command is paused.command):
        queue.append(event)
        if len(queue) >= MOST_WAITING:
            # Said with every further event: a client that is read again for another reason is held again.
            yield HoldClient(True)
        return
    held = len(queue) >= MOST_WAITING
    self._paused = None
    yield from _process(self, paused.generator, event.reply)
    while self._paused is None and queue:
        yield from _process(self, self._handle_event(queue.popleft()), None)
    if held:
        yield HoldClient(False)


def _process(self: layer.Layer, generator: Generator[commands.Command, Any], reply: Any) -> Generator[commands.Command, Any]:
    try:
        command = generator.send(reply)
        while True:
            if command.blocking is True:
                if isinstance(command, StartHook):
                    wait = run_hook(self.context.options, command)  # type: ignore[arg-type]
                    if wait is None:
                        command = generator.send(None)
                        continue
                    command.wait = wait  # type: ignore[attr-defined]
                # Outer layers check for `is True`: this tells them that the pause is taken care of.
                command.blocking = self
                self._paused = layer.Paused(command, generator)
                yield command
                return
            yield command
            command = next(generator)
    except StopIteration:
        return
