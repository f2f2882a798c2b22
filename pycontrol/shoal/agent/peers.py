# SPDX-License-Identifier: BSD-3-Clause
"""Channels to the other members. Of two on one host the lower number makes the ring pair and passes it over the higher
one's socket; the connection stays open, and its closing without a goodbye is the peer's end."""

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from shoal.descriptor_socket import DescriptorServer, DescriptorSocket, Message
from shoal.descriptor_socket import number as number_of
from shoal.errors import DeadlineError, RefusedError
from shoal.model import Peer
from shoal.process_host import ControlThread, cancelled
from shoal_dataplane import DataplaneError, Instance, create_ring_pair

logger = logging.getLogger(__name__)

CONNECT_DEADLINE_S: Final = 5.0
HELLO_DEADLINE_S: Final = 2.0
ENDED: Final = "process ended"
FENCED: Final = "fenced"


@dataclass(slots=True)
class Link:
    """A channel to one life of one member."""

    peer: Peer
    connection: DescriptorSocket | None  # None: by TCP
    watching: asyncio.Task[None] | None = None
    ended: bool = False


class Peers:
    """All channels of this instance. `ended(member, life, reason)` is called when a peer has died."""

    def __init__(
        self, socket: Path, thread: ControlThread, ended: Callable[[Peer, str], None], channel_bytes: int
    ) -> None:
        self._server = DescriptorServer(socket, self._serve)
        self._thread = thread
        self._ended = ended
        self._channel_bytes = channel_bytes
        self._links: dict[int, Link] = {}
        self._changed = asyncio.Condition()
        self._expected: dict[int, Peer] = {}
        self._identity: tuple[int, int, int] | None = None  # cluster, member, life
        self._instance: Instance | None = None

    async def start(self, instance: Instance, cluster: int, member: int, life: int) -> None:
        self._instance = instance
        self._identity = (cluster, member, life)
        await self._server.start()

    @property
    def members(self) -> frozenset[int]:
        return frozenset(self._links)

    async def connect(self, peers: Iterable[Peer]) -> None:
        """Connects to all of them; those it is connected to stay. DeadlineError names the first that did not come."""
        assert self._identity is not None
        _, member, _ = self._identity
        others = [peer for peer in peers if peer.member != member]
        async with self._changed:
            self._expected.update({peer.member: peer for peer in others})
            self._changed.notify_all()
        missing = [peer for peer in others if not self._has(peer)]
        answers = await asyncio.gather(*(self._connect(peer) for peer in missing), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    def _has(self, peer: Peer) -> bool:
        link = self._links.get(peer.member)
        return link is not None and link.peer.life == peer.life

    async def _connect(self, peer: Peer) -> None:
        assert self._identity is not None
        await self._drop_older(peer)
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                if peer.address:
                    await self._connect_tcp(peer)
                elif self._identity[1] < peer.member:
                    await self._offer_ring(peer)
                else:
                    await self._wait_for(peer)
        except TimeoutError:
            raise DeadlineError(f"{peer.name} did not connect within {CONNECT_DEADLINE_S:g} s") from None

    async def _drop_older(self, peer: Peer) -> None:
        if peer.member in self._links and not self._has(peer):
            await self._release(peer.member)

    async def _connect_tcp(self, peer: Peer) -> None:
        assert self._instance is not None
        attach = self._instance.attach_peer_tcp
        await self._attach(peer.member, partial(attach, peer.member, peer.life, peer.address, peer.tcp_port))
        await self._add(Link(peer, None))

    async def _offer_ring(self, peer: Peer) -> None:
        """The lower number's part."""
        assert self._identity is not None
        cluster, member, life = self._identity
        connection = await DescriptorSocket.connect(Path(peer.socket))
        descriptor = await self._thread.run(create_ring_pair, self._channel_bytes)
        try:
            await connection.send(
                {"cluster": cluster, "member": member, "life": life, "to_life": peer.life}, descriptor
            )
            answer, _ = await connection.receive()
            if not answer.get("attached"):
                raise RefusedError(f"{peer.name} refused the channel: {answer.get('refused', 'no reason given')}")
            await self._attach_ring(peer, descriptor, 0)
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(descriptor)
        await self._add(Link(peer, connection))

    async def _attach_ring(self, peer: Peer, descriptor: int, side: int) -> None:
        assert self._instance is not None
        attach = self._instance.attach_peer_ring
        await self._attach(peer.member, partial(attach, peer.member, peer.life, descriptor, side))

    async def _attach(self, member: int, attach: Callable[[], None]) -> None:
        """Where an attempt was broken off before, its channel may be there still, and nobody has heard of it."""
        instance = self._instance
        assert instance is not None

        def attach_anew() -> None:
            try:
                attach()
            except DataplaneError as error:
                if error.code != errno.EEXIST:
                    raise
                instance.detach_peer(member)
                attach()

        await self._thread.run(attach_anew)

    async def _wait_for(self, peer: Peer) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._has(peer))

    async def _serve(self, connection: DescriptorSocket) -> None:
        """The higher number's part: one that knocks."""
        async with asyncio.timeout(HELLO_DEADLINE_S):
            hello, descriptor = await connection.receive()
        if descriptor is None:
            raise RefusedError("a hello comes with a ring")
        try:
            peer = await self._known(hello)
            await self._drop_older(peer)
            if self._has(peer):
                raise RefusedError(f"{peer.name} has its channel already")
            await self._attach_ring(peer, descriptor, 1)
        except DataplaneError as error:
            raise RefusedError(error.sentence) from error
        finally:
            os.close(descriptor)
        await connection.send({"attached": True})
        link = Link(peer, connection)
        await self._add(link)
        assert link.watching is not None
        await asyncio.gather(link.watching, return_exceptions=True)

    async def _known(self, hello: Message) -> Peer:
        """The peer that the controller has told us of; a hello may come before the controller's word does."""
        assert self._identity is not None
        cluster, member, life = self._identity
        if hello.get("cluster") != cluster or hello.get("to_life") != life:
            raise RefusedError("this is another cluster, or another life")
        number = number_of(hello, "member")
        if number >= member:
            raise RefusedError("only a lower number offers a ring")

        def expected() -> bool:
            peer = self._expected.get(number)
            return peer is not None and peer.life == hello.get("life")

        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S), self._changed:
                await self._changed.wait_for(expected)
        except TimeoutError:
            raise RefusedError(f"member {number} is not expected here") from None
        return self._expected[number]

    async def _add(self, link: Link) -> None:
        if link.connection is not None:
            link.watching = asyncio.create_task(self._watch(link), name=f"watch {link.peer.name}")
        async with self._changed:
            self._links[link.peer.member] = link
            self._changed.notify_all()

    async def _watch(self, link: Link) -> None:
        assert link.connection is not None
        parted = await link.connection.wait_end()
        link.connection.close()
        if parted or self._links.get(link.peer.member) is not link:
            return
        await self._has_ended(link, ENDED)

    async def _has_ended(self, link: Link, reason: str) -> None:
        """Nothing more is taken from it; its channel stays, for what was not acknowledged, until it is released."""
        if link.ended:
            return
        link.ended = True
        logger.warning("%s: %s", link.peer.name, reason)
        self._ended(link.peer, reason)
        assert self._instance is not None
        with contextlib.suppress(DataplaneError):
            await self._thread.run(self._instance.peer_ended, link.peer.member, link.peer.life, reason)

    @property
    def addresses(self) -> Mapping[str, int]:
        """Hosts of other members, each with a port at which somebody has listened."""
        return {peer.address: peer.tcp_port for peer in self._expected.values() if peer.address}

    async def end(self, dead: Mapping[int, int], reason: str = ENDED) -> None:
        """The controller's word that these lives of members have ended, or (FENCED) are to be taken for dead: nothing
        is sent to them nor taken from them any more. Idempotent."""
        for member, life in dead.items():
            self._expected.pop(member, None)
            link = self._links.get(member)
            if link is not None and link.peer.life == life:
                await self._has_ended(link, reason)

    async def release_dead(self, dead: Mapping[int, int]) -> None:
        """Gives up the channels to these lives of members, and no other life's."""
        await self.release(
            member for member, life in dead.items() if member in self._links and self._links[member].peer.life == life
        )

    async def release(self, members: Iterable[int]) -> None:
        """Gives up the channels to members that have left."""
        for member in tuple(members):
            self._expected.pop(member, None)
            await self._release(member)

    async def _release(self, member: int) -> None:
        """Who is expected under that number may be another life."""
        assert self._instance is not None
        link = self._links.pop(member, None)
        if link is not None:
            await self._close(link)
            await self._thread.run(self._instance.detach_peer, member)

    async def _close(self, link: Link) -> None:
        """The goodbye comes first: with its watcher a connection that was served ends, and closes without one."""
        if link.connection is not None:
            await link.connection.goodbye()
        await cancelled(link.watching)

    async def close(self) -> None:
        links, self._links = list(self._links.values()), {}
        for link in links:
            await self._close(link)
        await self._server.close()
