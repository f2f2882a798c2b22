# SPDX-License-Identifier: BSD-3-Clause
"""This instance's part of a view change: the controller's words, checked and passed on to peers and worker."""

from shoal import slabs, view_conversion
from shoal.agent.checks import check_dead
from shoal.agent.peers import Peers
from shoal.agent.worker import Worker
from shoal.errors import InvalidRequestError
from shoal.model import ViewProgress
from shoal.process_host import ControlThread
from shoal.proto import instance_pb2
from shoal.validation import require_at_most, require_length, require_member, require_path
from shoal_dataplane import MEMBERS_MAX, SLOTS, Death

FATES_PAGE = 1024


def _dead(request: instance_pb2.EndViewRequest) -> dict[int, int]:
    return {require_member(each.member): each.life for each in request.dead}


class Deaths:
    """Of one started instance."""

    def __init__(self, worker: Worker, peers: Peers, thread: ControlThread) -> None:
        self._worker = worker
        self._peers = peers
        self._thread = thread

    async def adopt(self, request: instance_pb2.AdoptRequest) -> None:
        """DataplaneError, InvalidRequestError: the slabs can't be used, with the reason."""
        member = require_member(request.member)
        directory = slabs.check_ours(require_path("slab_directory", request.slab_directory))
        await self._thread.run(self._worker.instance.adopt, member, request.life, str(directory))

    async def begin(self, request: instance_pb2.DeathRequest) -> ViewProgress:
        check_dead(request.dead)
        require_at_most("survivors", request.survivors, MEMBERS_MAX)
        death = self._checked(view_conversion.death_from_proto(request))
        await self._peers.end(death.dead)
        await self._thread.run(self._worker.instance.death, death)
        return await self.progress()

    def _checked(self, death: Death) -> Death:
        own = self._worker.config.member
        for member in (*death.dead, *death.survivors, *death.adopters.values()):
            require_member(member)
        require_length("mint", death.mint, SLOTS)
        if own not in death.survivors or own in death.dead:
            raise InvalidRequestError(f"member {own} is no survivor of view {death.view}")
        if death.survivors & death.dead.keys():
            raise InvalidRequestError(f"view {death.view} names a member both dead and alive")
        if not death.survivors >= {*death.mint, *death.adopters.values()}:
            raise InvalidRequestError(f"view {death.view} leaves tokens or objects to one that is no survivor")
        return death

    async def end(self, request: instance_pb2.EndViewRequest) -> ViewProgress:
        check_dead(request.dead)
        progress = await self.progress()
        if progress.resumed >= request.view:
            await self._peers.release_dead(_dead(request))
        return progress

    async def fates(self, request: instance_pb2.ListFatesRequest) -> instance_pb2.ListFatesReply:
        fate = view_conversion.fate_from_proto(request.fate)
        limit = min(request.limit or FATES_PAGE, FATES_PAGE)
        rows, cursor, end = await self._thread.run(self._worker.fates, fate, request.cursor, limit)
        return instance_pb2.ListFatesReply(
            rows=[view_conversion.fate_row_to_proto(row) for row in rows], cursor=cursor, end=end
        )

    async def progress(self) -> ViewProgress:
        return await self._thread.run(self._worker.instance.view_progress)
