# SPDX-License-Identifier: BSD-3-Clause
"""The deployment: what an operator may do to it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from shoal.controller.checking import Checked
from shoal.controller.config import Config, parse
from shoal.controller.fleet import Fleet, Running
from shoal.controller.genuine import check_genuine
from shoal.controller.heartbeat import Heartbeat
from shoal.controller.launcher import Launcher
from shoal.controller.membership import Membership, check_count, counted, observer
from shoal.controller.operation import Operation, Report
from shoal.controller.planner import NO_MAP
from shoal.controller.recovery import Recovery
from shoal.controller.reorganisation import Reorganisation
from shoal.controller.restoration import Restoration
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.splitter_keeper import SplitterKeeper
from shoal.controller.store import STAGE_COMPLETE, STAGE_LEARN, Store, StoredDeployment, StoredPlan
from shoal.controller.vigil import Vigil
from shoal.errors import DeadlineError, NotFoundError, RefusedError, ShoalError, StaleTermError
from shoal.event_log import EventLog
from shoal.metrics import require_free
from shoal.model import Deaths, InstanceState, OperationUpdate
from shoal.network_function.description import Description, describe, find
from shoal.process_host import cancelled
from shoal.run_directory import RunDirectory

OPERATIONS_MAX = 64
END_S = 45.0  # of each part of a deployment that is taken down: longer than a process takes that must be killed


class Cluster:
    """At most one deployment. `stop` is set when all has been taken down, or when another controller reigns."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        run_directory: RunDirectory,
        events: EventLog,
        stop: Callable[[], None],
    ) -> None:
        self._store = store
        self._events = events
        self._stop = stop
        self._run_directory = run_directory
        self.fleet = Fleet(store, launcher, run_directory, events, self._instance_ended)
        self.recovery = Recovery(
            store,
            self.fleet,
            lambda: self.reorganisation,
            lambda: self.splitter,
            events,
            fresh=self._start_heir,
            shrinks=lambda: self.deployed.on_death == "shrink",
            recovered=self._recovered,
            returned=self._returned,
            usurped=self._usurped,
        )
        self.reorganisation = Reorganisation(store, self.fleet, events, self.recovery.settled)
        self.splitter = SplitterKeeper(store, launcher, run_directory.splitter, self.fleet, events, self._table)
        self.membership = Membership(store, self.fleet, self.reorganisation, self.splitter, self.recovery.settled)
        self.restoration = Restoration(self._reach_wanted, events, self._usurped)
        self.heartbeat = Heartbeat(self.fleet, events)
        self.vigil = Vigil(self.fleet, self.recovery, events, self._usurped)
        self.config: Config | None = None
        self.description: Description | None = None
        self._deployed_by = ""  # as the caller of deploy said; a controller that comes back does not know
        self._operations: set[asyncio.Task[OperationUpdate]] = set()
        self._resumed = asyncio.Event()

    # --- what there is

    @property
    def deployed(self) -> Config:
        if self.config is None:
            raise RefusedError("nothing is deployed: `shoal up FILE.yaml` first")
        return self.config

    @property
    def nf(self) -> Description:
        if self.description is None:
            raise RefusedError("nothing is deployed: `shoal up FILE.yaml` first")
        return self.description

    @property
    def splitter_client(self) -> SplitterClient | None:
        """None: the deployment has no splitter."""
        return self.splitter.client

    # --- deaths

    def _instance_ended(self, running: Running) -> None:
        self.recovery.note(running)

    def _table(self) -> bytes:
        """Where each steering slot's packets go, as far as is known."""
        deployment = self._store.deployment()
        assert deployment is not None
        return self.recovery.steering or self.reorganisation.steering or deployment.steering

    async def _start_heir(self) -> Running:
        """Where nobody is left: a fresh instance, which adopts what the dead held."""
        deployment = self._store.deployment()
        assert deployment is not None
        return (await self.membership.start(self.deployed, deployment, self.nf.path, 1, lambda _: None))[0]

    def _recovered(self, _: Deaths) -> None:
        """All members live again: back to what is wanted."""
        self.restoration.due()

    def _returned(self) -> None:
        """A new life may take the place of one that was cut off."""
        self.restoration.due()

    async def _reach_wanted(self) -> OperationUpdate:
        async with self.reorganisation.turn():
            deployment = self._store.deployment()
            assert deployment is not None
            # Those that are cut off begin a new life when they come back.
            away = sum(running.fenced and running.process_lives for running in self.fleet.instances)
            count = max(1, deployment.instances_wanted - away)
            work = partial(self.membership.reach, self.deployed, self.nf.path, count)
            return await self._whole_or_not("what an earlier controller began", work, lambda _: None)

    async def _in_turn(
        self, name: str, work: Callable[[Report], Awaitable[OperationUpdate]], report: Report
    ) -> OperationUpdate:
        """A change of how many are wanted, when nothing else changes."""
        if self.reorganisation.current is not None:
            report(OperationUpdate("queued", f"waiting for plan {self.reorganisation.current.number}"))
        await self._resumed.wait()
        async with self.reorganisation.turn():
            try:
                return await self._whole_or_not(name, work, report)
            except Exception:
                self.restoration.due()
                raise

    async def _whole_or_not(
        self, name: str, work: Callable[[Report], Awaitable[OperationUpdate]], report: Report
    ) -> OperationUpdate:
        """Where it fails before it has reached what it wants, as many are wanted as before, and nothing in between."""
        try:
            result = await work(report)
        except StaleTermError:
            raise
        except Exception:
            before = self.membership.take_back()
            if before is not None:
                text = f"{counted(before)} wanted, as before"
                self._events.add("operation.inverted", name, text)
                report(OperationUpdate("inverted", text))
                self.restoration.due()
            raise
        self.membership.reached()
        return result

    def _usurped(self) -> None:
        self._events.add("controller.usurped", "controller", "another controller reigns here: this one ends")
        self._stop()

    # --- operations

    def begin(self, operation: Operation) -> Operation:
        """Keeps an operation alive while nobody listens. RefusedError: too many wait already."""
        if len(self._operations) >= OPERATIONS_MAX:
            operation.task.cancel()
            raise RefusedError(f"{OPERATIONS_MAX} operations are under way or wait: too many")
        self._operations.add(operation.task)
        operation.task.add_done_callback(self._operation_ended)
        return operation

    def _operation_ended(self, task: asyncio.Task[OperationUpdate]) -> None:
        self._operations.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._events.add("operation.failed", task.get_name(), str(error))
        if isinstance(error, StaleTermError):
            self._usurped()

    def deploy(self, checked: Checked, by: str = "") -> Operation:
        config, description, text = checked.config, checked.description, checked.text
        if self.config is not None:
            return self.begin(Operation(f"deploy {config.deployment}", self._deployed_already(text)))
        self.config, self.description, self._deployed_by = config, description, by

        async def work(report: Report) -> OperationUpdate:
            try:
                async with self.reorganisation.turn():
                    return await self._deploy(checked, report)
            except BaseException:
                await self._take_down(lambda _: None)
                raise

        return self.begin(Operation(f"deploy {config.deployment}", work))

    def _deployed_already(self, text: str) -> Callable[[Report], Awaitable[OperationUpdate]]:
        """The same file again changes nothing; another one is refused."""
        name, before = self.deployed.deployment, self._store.deployment()

        async def work(_: Report) -> OperationUpdate:
            await self._resumed.wait()
            if before is None or before.text != text:
                raise RefusedError(f"{name} is deployed already, and otherwise: `shoal down` first")
            return OperationUpdate("done", f"{name} is up already: {counted(before.instances_wanted)}", done=True)

        return work

    async def _deploy(self, checked: Checked, report: Report) -> OperationUpdate:
        config, description, nf_path = checked.config, checked.description, checked.nf_path
        if config.metrics is not None:
            require_free(config.metrics.address)
        deployment = self._store.begin_deployment(checked.file, checked.text, config.instances.count, NO_MAP)
        self.recovery.start()
        self.heartbeat.start()
        self.vigil.start(config)
        self.restoration.start()
        if config.splitter is not False:
            report(OperationUpdate("start", "starting the splitter"))
            await self.splitter.start(config, deployment, description, nf_path)
        count = config.instances.count
        result = await self.membership.reach(config, nf_path, count, report)
        self._events.add("deployment.up", config.deployment, f"{counted(count)} of {description.name}")
        return replace(result, text=f"{config.deployment} is up: {counted(count)}")

    def scale(self, name: str, count: int) -> Operation:
        config = self.deployed
        if name not in (config.deployment, config.network_function.name):
            raise NotFoundError(f"there is no {name!r}: {config.deployment} is deployed")
        check_count(config, count, len(self.fleet.numbers))

        async def work(report: Report) -> OperationUpdate:
            self.membership.begin(count)
            return await self.membership.reach(config, self.nf.path, count, report)

        return self._begin_change(f"scale {name} {count}", work)

    def _begin_change(self, title: str, work: Callable[[Report], Awaitable[OperationUpdate]]) -> Operation:
        return self.begin(Operation(title, lambda report: self._in_turn(title, work, report)))

    def remove(self, name: str) -> Operation:
        config, running = self.deployed, self.fleet.get(name)

        async def work(report: Report) -> OperationUpdate:
            return await self.membership.leave(config, running, report, stop_leavers=True)

        return self._begin_change(f"remove {name}", work)

    def drain(self, name: str) -> Operation:
        config, running = self.deployed, self.fleet.get(name)

        async def work(report: Report) -> OperationUpdate:
            return await self.membership.leave(config, running, report, stop_leavers=False)

        return self._begin_change(f"drain {name}", work)

    def down(self, deployed_by: str = "") -> Operation:
        """Of whatever there is; with `deployed_by` only of what that caller deployed, and of a controller without a
        deployment."""
        if deployed_by and self.config is not None and self._deployed_by != deployed_by:
            raise RefusedError(f"{self.config.deployment} was deployed by another: it stays")

        async def work(report: Report) -> OperationUpdate:
            current = asyncio.current_task()
            others = cancelled(*(task for task in self._operations if task is not current))
            hindrances = [*await self._end("resumption", self._resumed.wait()), *await self._end("operations", others)]
            hindrances += await self._take_down(report)
            self._stop()
            if hindrances:
                raise DeadlineError(f"all else has been taken down: {'; '.join(hindrances)}")
            return OperationUpdate("done", "all has been taken down", done=True)

        return self.begin(Operation("down", work))

    async def _take_down(self, report: Report) -> Sequence[str]:
        """All of it, whatever hinders a part: what that is, as sentences."""
        instances = self.fleet.instances
        report(OperationUpdate("stop", f"ending {counted(len(instances))}"))
        hindrances = [*await self._end("restoration", self.restoration.stop())]
        hindrances += await self._end("vigil", self.vigil.stop())
        hindrances += await self._end("recovery", self.recovery.stop())
        hindrances += await self._end("heartbeat", self.heartbeat.stop())
        ends = await asyncio.gather(*(self._end(each.stored.name, self.fleet.stop(each)) for each in instances))
        hindrances += [each for found in ends for each in found]
        if self.splitter.client is not None:
            report(OperationUpdate("stop", "ending the splitter"))
            hindrances += await self._end("splitter", self.splitter.stop())
        self._store.clear()
        self.config = self.description = None
        return hindrances

    async def _end(self, name: str, ending: Awaitable[object]) -> Sequence[str]:
        """No part of a deployment may keep the others from their ends."""
        try:
            async with asyncio.timeout(END_S):
                await ending
        except (ShoalError, TimeoutError) as error:
            text = f"{name}: {str(error) or f'it has not ended within {END_S:g} s'}"
            self._events.add("down.hindered", name, text)
            return [text]
        return []

    # --- life of the controller

    async def take_up(self) -> None:
        """What an earlier controller left: as it is. StaleStoreError: that is not what this store says."""
        await check_genuine(self._store, self._run_directory)
        deployment = self._store.deployment()
        if deployment is None:
            return
        self.config = config = parse(deployment.text, deployment.file)
        self.description = describe(find(config.network_function.name, config.network_function.path))
        for stored in self._store.instances():
            self.fleet.take_up(stored)
        self.heartbeat.start()

    async def resume(self) -> None:
        """Goes on where the earlier controller ended. It may take its time; whoever wants a change waits for it."""
        deployment = self._store.deployment()
        if self.config is not None and deployment is not None:
            await self._resume(self.config, deployment)
        self._resumed.set()

    async def _resume(self, config: Config, deployment: StoredDeployment) -> None:
        self._events.add("controller.resumed", config.deployment, f"term {self._store.term}")
        if config.splitter is not False:
            await self.splitter.resume(config, deployment, self.nf, self.nf.path)
        self.fleet.note_dead()
        await self.recovery.finish_burials()
        await self._resume_plan(config)
        await self._take_up_outcasts()
        self.recovery.start()
        self.vigil.start(config)
        await self._dismiss_left_over()
        self.restoration.start()
        self.restoration.due()

    async def _resume_plan(self, config: Config) -> None:
        """One in its first stage is abandoned; one in its second is carried on, unless a member has died: then a view
        change takes its place."""
        plan = self._store.plan()
        if plan is None or plan.stage == STAGE_LEARN:
            if plan is not None:
                reason = "the controller was away during its first stage"
                await self.reorganisation.abandon(self.splitter_client, plan, reason)
            for running in self.fleet.in_state(InstanceState.LEAVING):  # their plan never came, or is over
                self.fleet.put(running, InstanceState.ACTIVE)
            return
        names = {*plan.members_now, *plan.members_next}
        if plan.stage == STAGE_COMPLETE or not any(running.stored.name in names for running in self.fleet.ended):
            self.reorganisation.claim()
            self.begin(Operation(f"plan {plan.number}", lambda report: self._carry_on(config, plan, report)))

    async def _carry_on(self, config: Config, plan: StoredPlan, report: Report) -> OperationUpdate:
        async with self.reorganisation.lock():
            status = await self.reorganisation.carry_out(config, self.splitter_client, plan, observer(report))
            leavers = [self.fleet.get(name) for name in plan.members_now if name not in plan.members_next]
            await self.membership.dismiss(leavers, report, stop_leavers=plan.stop_leavers)
        return OperationUpdate("done", "completed", done=True, plan=status)

    async def _take_up_outcasts(self) -> None:
        """Those that an earlier controller declared dead while their processes lived."""
        for running in [each for each in self.fleet.instances if each.fenced]:
            if running.process_lives:
                self.recovery.await_return(running)
            else:
                self._store.remove_instance(running.stored.name)
                await self.fleet.bury(running)

    async def _dismiss_left_over(self) -> None:
        """What an earlier controller has left beside members and those of a plan that is carried on."""
        plan = self._store.plan()
        expected = {running.stored.name for running in self.recovery.members()}
        expected |= {*plan.members_now, *plan.members_next} if plan is not None else set()
        left = [each for each in self.fleet.instances if each.stored.name not in expected]
        await self.membership.dismiss_left_over(left)

    async def close(self) -> None:
        """The controller goes; instances and splitter stay and forward."""
        await cancelled(*self._operations)
        await self.restoration.stop()
        await self.vigil.stop()
        await self.recovery.stop()
        await self.heartbeat.stop()
        await self.fleet.close()
        await self.splitter.close()
