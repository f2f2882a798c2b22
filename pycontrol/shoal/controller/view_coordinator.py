# SPDX-License-Identifier: BSD-3-Clause
"""Carries out one view change: adopt, death, settle; and meanwhile what the splitter has to do (recovery.py).

Every command may be repeated: a view that an earlier controller began is carried on with the same calls. A member that
is silent is waited for as long as its process lives."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from shoal.controller.fleet import Running
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.view import Corpse
from shoal.controller.view_store import StoredView
from shoal.errors import DeadlineError, ShoalError, StaleTermError, UnreachableError
from shoal.model import ViewProgress
from shoal.process_host import cancelled
from shoal_dataplane import Death, ViewStage

R = TypeVar("R")

POLL_S: Final = 0.002
RETRY_S: Final = 0.02


class DiedAgainError(ShoalError):
    """A survivor died: another view is needed."""


class SlabRefusedError(ShoalError):
    """A slab can't be used: another view is needed, without it."""

    def __init__(self, corpse: Corpse, reason: str) -> None:
        super().__init__(reason)
        self.corpse = corpse


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the survivors say at the end."""

    progress: Mapping[str, ViewProgress]  # by name
    classes: Sequence[str]  # names, in the order of the counts


class ViewCoordinator:
    """One view. `splitter`: None: the deployment has none."""

    def __init__(
        self, view: StoredView, survivors: Sequence[Running], splitter: SplitterClient | None, term: int
    ) -> None:
        self._view = view
        self._survivors = survivors
        self._splitter = splitter
        self._term = term

    async def run(self) -> Outcome:
        """Until all survivors have resumed, and nothing is sent to the dead any more."""
        steering = asyncio.create_task(self._steer(), name="redirect the packets of the dead")
        try:
            await self._adopt()
            progress = await self._tell()
            classes = await until_answered(self._survivors[0], lambda running: running.client.classes())
            await steering
        finally:
            await cancelled(steering)
        return Outcome(progress, tuple(each.name for each in classes))

    async def _adopt(self) -> None:
        view = self._view
        by_number = {running.stored.member: running for running in self._survivors}
        for corpse in view.corpses:
            adopter = view.plan.adopters.get(corpse.worker.member)
            if adopter is None:
                continue
            await self._adopt_at(by_number[adopter], corpse)

    async def _adopt_at(self, adopter: Running, corpse: Corpse) -> None:
        member, life, directory = corpse.worker.member, corpse.worker.life, corpse.slab_directory
        if (await until_answered(adopter, lambda running: running.client.view_progress())).view >= self._view.number:
            return  # an earlier controller told it
        try:
            await until_answered(adopter, lambda running: running.client.adopt(member, life, directory))
        except (DiedAgainError, StaleTermError):
            raise
        except ShoalError as error:
            raise SlabRefusedError(corpse, str(error)) from error

    async def _tell(self) -> Mapping[str, ViewProgress]:
        view, survivors = self._view, self._survivors
        death = Death(
            term=self._term,
            view=view.number,
            epoch=view.epoch,
            dead=view.dead,
            survivors=frozenset(running.stored.member for running in survivors),
            adopters=view.plan.adopters,
            mint=view.plan.mint,
        )
        await asyncio.gather(*(until_answered(each, lambda running: running.client.death(death)) for each in survivors))
        while True:
            answers = await asyncio.gather(
                *(until_answered(each, lambda running: running.client.view_progress()) for each in survivors)
            )
            if all(each.resumed >= view.number and each.stage is ViewStage.QUIET for each in answers):
                return {running.stored.name: answer for running, answer in zip(survivors, answers, strict=True)}
            await asyncio.sleep(POLL_S)

    # --- packets

    async def _steer(self) -> None:
        """Until the splitter sends nothing to the dead any more. One that is away is waited for: the fresh one's table
        names none of them."""
        client = self._splitter
        if client is None:
            return
        while True:
            try:
                for member in self._view.dead:
                    await client.detach_member(member)
                await self._redirect(client, self._view.plan.steering)
                return
            except StaleTermError:
                raise
            except ShoalError:
                await asyncio.sleep(RETRY_S)

    async def _redirect(self, client: SplitterClient, steering: bytes) -> None:
        """Names the heir of every steering slot that is not with it yet; of those on their way there, again."""
        table = (await client.report()).table
        pending = (await client.redirect_progress()).pending_slots
        wrong: dict[int, set[int]] = {}
        for slot, heir in enumerate(steering):
            if table[slot] != heir or slot in pending:
                wrong.setdefault(heir, set()).add(slot)
        for heir, slots in wrong.items():
            await client.redirect(frozenset(slots), heir)


async def until_answered(running: Running, command: Callable[[Running], Awaitable[R]]) -> R:
    while True:
        try:
            return await command(running)
        except (UnreachableError, DeadlineError) as error:
            if running.ended:
                raise DiedAgainError(f"{running.stored.name} died") from error
            await asyncio.sleep(RETRY_S)
