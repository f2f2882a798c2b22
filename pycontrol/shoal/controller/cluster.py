# SPDX-License-Identifier: BSD-3-Clause
"""The deployment: what an operator may do to it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from shoal.controller.config import Config, parse
from shoal.controller.described import described
from shoal.controller.fleet import Fleet, Running
from shoal.controller.launcher import Launcher
from shoal.controller.operation import Operation, Report
from shoal.controller.planner import NO_MAP, free_numbers
from shoal.controller.reorganisation import Reorganisation
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.splitter_process import SplitterProcess
from shoal.controller.store import STAGE_LEARN, Store, StoredDeployment, StoredPlan
from shoal.errors import InvalidRequestError, NotFoundError, RefusedError, ShoalError
from shoal.event_log import EventLog
from shoal.model import InstanceState, OperationUpdate, PlanStatus
from shoal.network_function.description import Description, describe, find
from shoal.process_host import cancelled
from shoal.run_directory import RunDirectory


class Cluster:
    """At most one deployment. `stop` is set when all has been taken down."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        run_directory: RunDirectory,
        events: EventLog,
        stop: Callable[[], None],
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._run_directory = run_directory
        self._events = events
        self._stop = stop
        self.fleet = Fleet(store, launcher, run_directory, events, self._instance_ended)
        self.reorganisation = Reorganisation(store, self.fleet, events)
        self.config: Config | None = None
        self.description: Description | None = None
        self.splitter: SplitterProcess | None = None
        self._operations: set[asyncio.Task[OperationUpdate]] = set()

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
        return self.splitter.client if self.splitter is not None else None

    def _instance_ended(self, running: Running) -> None:
        """The next issue's seam: survivors go on with what they hold; nothing is recovered."""

    # --- operations

    def begin(self, operation: Operation) -> Operation:
        """Keeps an operation alive while nobody listens."""
        self._operations.add(operation.task)
        operation.task.add_done_callback(self._operation_ended)
        return operation

    def _operation_ended(self, task: asyncio.Task[OperationUpdate]) -> None:
        self._operations.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._events.add("operation.failed", task.get_name(), str(task.exception()))

    def deploy(self, file: str, text: str) -> Operation:
        config = parse(text, file)
        nf_path, description = described(config, file, text)
        if self.config is not None:
            return self.begin(Operation(f"deploy {config.deployment}", self._deployed_already(text)))
        self.config, self.description = config, description

        async def work(report: Report) -> OperationUpdate:
            try:
                async with self.reorganisation.turn():
                    return await self._deploy(config, description, nf_path, (file, text), report)
            except BaseException:
                await self._take_down(lambda _: None)
                raise

        return self.begin(Operation(f"deploy {config.deployment}", work))

    def _deployed_already(self, text: str) -> Callable[[Report], Awaitable[OperationUpdate]]:
        """The same file again changes nothing; another one is refused."""
        name, before = self.deployed.deployment, self._store.deployment()

        async def work(_: Report) -> OperationUpdate:
            if before is None or before.text != text:
                raise RefusedError(f"{name} is deployed already, and otherwise: `shoal down` first")
            return OperationUpdate("done", f"{name} is up already: {_count(before.instances_wanted)}", done=True)

        return work

    async def _deploy(
        self, config: Config, description: Description, nf_path: Path, source: tuple[str, str], report: Report
    ) -> OperationUpdate:
        deployment = self._store.begin_deployment(*source, config.instances.count, NO_MAP)
        if config.splitter is not False:
            report(OperationUpdate("start", "starting the splitter"))
            self.splitter = await SplitterProcess.start(
                self._launcher, self._run_directory.splitter, self._store.term, self._events
            )
            await self.splitter.configure(config, deployment, description, nf_path)
        joining = await self._start(config, deployment, config.instances.count, report)
        status = await self._change(config, joining, [], report, stop_leavers=True)
        self._events.add("deployment.up", config.deployment, f"{len(joining)} instances of {description.name}")
        return OperationUpdate("done", f"{config.deployment} is up: {_count(len(joining))}", done=True, plan=status)

    def scale(self, name: str, count: int) -> Operation:
        config = self.deployed
        if name not in (config.deployment, config.network_function.name):
            raise NotFoundError(f"there is no {name!r}: {config.deployment} is deployed")
        free_numbers((), count)
        if count < 1:
            raise InvalidRequestError("at least one instance: `shoal down` ends all")

        async def work(report: Report) -> OperationUpdate:
            _queued(self.reorganisation, report)
            async with self.reorganisation.turn():
                return await self._scale(config, count, report)

        return self.begin(Operation(f"scale {name} {count}", work))

    async def _scale(self, config: Config, count: int, report: Report) -> OperationUpdate:
        self._refuse_after_a_death()
        deployment = self._wanted(count)
        active = self.fleet.in_state(InstanceState.ACTIVE)
        if count == len(active):
            return OperationUpdate("done", f"{_count(count)} already", done=True)
        if count > len(active):
            joining = await self._start(config, deployment, count - len(active), report)
            status = await self._change(config, joining, [], report, stop_leavers=True)
        else:
            status = await self._change(config, [], active[count:], report, stop_leavers=True)
        return OperationUpdate("done", f"{_count(count)} now", done=True, plan=status)

    def remove(self, name: str) -> Operation:
        config, running = self.deployed, self.fleet.get(name)

        async def work(report: Report) -> OperationUpdate:
            _queued(self.reorganisation, report)
            async with self.reorganisation.turn():
                return await self._leave(config, running, report, stop_leavers=True)

        return self.begin(Operation(f"remove {name}", work))

    def drain(self, name: str) -> Operation:
        config, running = self.deployed, self.fleet.get(name)

        async def work(report: Report) -> OperationUpdate:
            _queued(self.reorganisation, report)
            async with self.reorganisation.turn():
                return await self._leave(config, running, report, stop_leavers=False)

        return self.begin(Operation(f"drain {name}", work))

    async def _leave(self, config: Config, running: Running, report: Report, *, stop_leavers: bool) -> OperationUpdate:
        name = running.stored.name
        if running.stored.state is InstanceState.DRAINED:
            if stop_leavers:
                await self.fleet.stop(running)
            return OperationUpdate("done", f"{name} was drained before", done=True)
        self._refuse_after_a_death()
        active = self.fleet.in_state(InstanceState.ACTIVE)
        if running not in active:
            raise RefusedError(f"{name} is {running.stored.state.value}, not active")
        if len(active) == 1:
            raise RefusedError(f"{name} is the last one: scale out first, or `shoal down`")
        self._wanted(len(active) - 1)
        status = await self._change(config, [], [running], report, stop_leavers=stop_leavers)
        return OperationUpdate("done", f"{name} has handed over everything", done=True, plan=status)

    def down(self) -> Operation:
        async def work(report: Report) -> OperationUpdate:
            current = asyncio.current_task()
            await cancelled(*(task for task in self._operations if task is not current))
            await self._take_down(report)
            self._stop()
            return OperationUpdate("done", "all has been taken down", done=True)

        return self.begin(Operation("down", work))

    # --- their parts

    def _refuse_after_a_death(self) -> None:
        ended = self.fleet.in_state(InstanceState.ENDED)
        if ended:
            names = ", ".join(running.stored.name for running in ended)
            raise RefusedError(f"{names} has ended, and what it held is lost: `shoal down` and `shoal up` start anew")

    def _wanted(self, count: int) -> StoredDeployment:
        deployment = self._store.deployment()
        assert deployment is not None
        deployment = replace(deployment, instances_wanted=count)
        self._store.put_deployment(deployment)
        return deployment

    async def _start(
        self, config: Config, deployment: StoredDeployment, count: int, report: Report
    ) -> Sequence[Running]:
        """New instances, configured and with their packet rings; all or none."""
        report(OperationUpdate("start", f"starting {_count(count)}", 0, count))
        numbers = free_numbers(self.fleet.numbers, count)
        nf_path = self.nf.path
        started = 0

        async def one(member: int) -> Running:
            nonlocal started
            running = await self.fleet.start(config, deployment, member, nf_path)
            try:
                if self.splitter_client is not None:
                    ring_socket = await self.splitter_client.attach_member(member, running.stored.life)
                    await running.client.attach_packets(ring_socket)
                self.fleet.put(running, InstanceState.JOINING)
            except BaseException:
                await self._discard([running])
                raise
            started += 1
            report(OperationUpdate("start", f"{running.stored.name} runs", started, count))
            return running

        answers = await asyncio.gather(*(one(member) for member in numbers), return_exceptions=True)
        made = [answer for answer in answers if isinstance(answer, Running)]
        for answer in answers:
            if isinstance(answer, BaseException):
                await self._discard(made)
                raise answer
        return made

    async def _change(
        self,
        config: Config,
        joining: Sequence[Running],
        leaving: Sequence[Running],
        report: Report,
        *,
        stop_leavers: bool,
    ) -> PlanStatus:
        for running in leaving:
            self.fleet.put(running, InstanceState.LEAVING)
        try:
            status = await self.reorganisation.change(
                config, self.splitter_client, joining, leaving, _observer(report), stop_leavers=stop_leavers
            )
        except ShoalError:
            if self._store.plan() is None:  # abandoned: everything is as it was
                for running in leaving:
                    self.fleet.put(running, InstanceState.ACTIVE)
                await self._discard(joining)
            raise
        await self._dismiss(leaving, report, stop_leavers=stop_leavers)
        return status

    async def _dismiss(self, leavers: Sequence[Running], report: Report, *, stop_leavers: bool) -> None:
        """After the plan: leavers lose their packet rings, and end or stay as drained ones."""
        if stop_leavers:
            if leavers:
                report(OperationUpdate("stop", f"ending {_count(len(leavers))}"))
            await self._discard(leavers)
            return
        for running in leavers:
            await running.client.detach_packets()
            if self.splitter_client is not None:
                await self.splitter_client.detach_member(running.stored.member)
            self.fleet.put(running, InstanceState.DRAINED)

    async def _discard(self, instances: Sequence[Running]) -> None:
        async def one(running: Running) -> None:
            with contextlib.suppress(ShoalError):
                await running.client.detach_packets()
            with contextlib.suppress(ShoalError):
                if self.splitter is not None:
                    await self.splitter.client.detach_member(running.stored.member)
            await self.fleet.stop(running)

        await asyncio.gather(*(one(running) for running in instances))

    async def _take_down(self, report: Report) -> None:
        instances = self.fleet.instances
        report(OperationUpdate("stop", f"ending {_count(len(instances))}"))
        await asyncio.gather(*(self.fleet.stop(running) for running in instances))
        if self.splitter is not None:
            report(OperationUpdate("stop", "ending the splitter"))
            await self.splitter.stop()
            self.splitter = None
        self._store.clear()
        self.config = self.description = None

    # --- life of the controller

    async def resume(self) -> None:
        """Takes up what an earlier controller left."""
        deployment = self._store.deployment()
        if deployment is None:
            return
        config = parse(deployment.text, deployment.file)
        nf_path = find(config.network_function.name, config.network_function.path)
        self.config, self.description = config, describe(nf_path)
        if config.splitter is not False:
            self.splitter = await SplitterProcess.adopt(
                self._launcher, self._run_directory.splitter, self._store.term, self._events
            )
            if self.splitter is None:
                self._events.add("splitter.ended", "splitter", "its process ended while the controller was away")
        for stored in self._store.instances():
            await self.fleet.adopt(stored)
        self._events.add("controller.resumed", config.deployment, f"term {self._store.term}")
        plan = self._store.plan()
        if plan is not None:
            self.begin(Operation(f"plan {plan.number}", lambda report: self._resume_plan(config, plan, report)))
        else:
            await self._discard(self.fleet.in_state(InstanceState.STARTING, InstanceState.JOINING))

    async def _resume_plan(self, config: Config, plan: StoredPlan, report: Report) -> OperationUpdate:
        splitter = self.splitter_client
        leavers = [self.fleet.get(name) for name in plan.members_now if name not in plan.members_next]
        joiners = [self.fleet.get(name) for name in plan.members_next if name not in plan.members_now]
        if plan.stage == STAGE_LEARN:
            await self.reorganisation.abandon(splitter, plan, "the controller was away during its first stage")
            for running in leavers:
                self.fleet.put(running, InstanceState.ACTIVE)
            await self._discard(joiners)
            return OperationUpdate("done", "abandoned", done=True)
        status = await self.reorganisation.carry_out(config, splitter, plan, _observer(report))
        await self._dismiss(leavers, report, stop_leavers=plan.stop_leavers)
        return OperationUpdate("done", "completed", done=True, plan=status)

    async def close(self) -> None:
        """The controller goes; instances and splitter stay and forward."""
        await cancelled(*self._operations)
        await self.fleet.close()
        if self.splitter is not None:
            await self.splitter.close()


def _count(number: int) -> str:
    return f"{number} instance" if number == 1 else f"{number} instances"


def _queued(reorganisation: Reorganisation, report: Report) -> None:
    if reorganisation.current is not None:
        report(OperationUpdate("queued", f"waiting for plan {reorganisation.current.number}"))


def _observer(report: Report) -> Callable[[PlanStatus], None]:
    """Tells of a plan's progress: each stage, and within one what has changed, at most ten times a second."""
    last: PlanStatus | None = None

    def observe(status: PlanStatus) -> None:
        nonlocal last
        same_stage = last is not None and last.state is status.state
        if same_stage and last is not None and status.duration_ms - last.duration_ms < 100:
            return
        last = status
        text = f"{status.steering_redirected} of {status.steering_moved} steering slots redirected"
        if status.reason:
            text += f"; {status.reason}"
        report(
            OperationUpdate(status.state.value, text, status.steering_redirected, status.steering_moved, plan=status)
        )

    return observe
