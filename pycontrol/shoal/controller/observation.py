# SPDX-License-Identifier: BSD-3-Clause
"""What the cluster looks like now: status, statistics, and the controller's own metrics."""

import asyncio
import os
import time

from shoal.controller.cluster import Cluster
from shoal.controller.fleet import Running, metrics_address
from shoal.controller.store import Store
from shoal.errors import ShoalError
from shoal.metrics import Sample
from shoal.model import (
    ClusterStatus,
    ComponentStatistics,
    InstanceState,
    InstanceStatus,
    Statistic,
)
from shoal_dataplane import StatisticKind


class Observation:
    """Reads; changes nothing."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store
        self._started = time.monotonic()

    async def status(self) -> ClusterStatus:
        cluster = self._cluster
        await cluster.fleet.refresh()
        deployment = self._store.deployment()
        config = cluster.config
        return ClusterStatus(
            name=config.deployment if config else "",
            network_function=config.network_function.name if config else "",
            term=self._store.term,
            epoch=deployment.epoch if deployment else 0,
            instances_wanted=deployment.instances_wanted if deployment else 0,
            instances=self.instances(),
            plan=cluster.reorganisation.current,
            plans_waiting=cluster.reorganisation.waiting,
            splitter=cluster.splitter.client is not None and not cluster.splitter.ended,
            process=os.getpid(),
            splitter_process=cluster.splitter.pid,
            uptime_s=time.monotonic() - self._started,
            view=cluster.recovery.current.number if cluster.recovery.current else 0,
        )

    def instances(self) -> tuple[InstanceStatus, ...]:
        deployment = self._store.deployment()
        steering = deployment.steering if deployment else b""
        return tuple(self._instance(running, steering) for running in self._cluster.fleet.instances)

    def _instance(self, running: Running, steering: bytes) -> InstanceStatus:
        stored, progress, config = running.stored, running.progress, self._cluster.config
        member = stored.state in (InstanceState.ACTIVE, InstanceState.LEAVING)
        return InstanceStatus(
            name=stored.name,
            member=stored.member,
            life=stored.life,
            state=_state(running),
            process=stored.pid,
            host=stored.host,
            steering_slots=steering.count(stored.member) if member else 0,
            tokens=progress.tokens if progress else 0,
            objects=progress.objects if progress else 0,
            objects_held=progress.objects_held if progress else 0,
            leases_moved=progress.leases_moved if progress else 0,
            reason=running.reason,
            run_directory=str(running.directory.path),
            metrics_address=metrics_address(config, stored.member) if config else "",
            epoch_stage=progress.stage.name.lower() if progress else "",
            stalled=running.stalled,
        )

    async def statistics(self) -> tuple[ComponentStatistics, ...]:
        """Of all that answer."""
        cluster = self._cluster
        alive = [running for running in cluster.fleet.instances if not running.ended and not running.stalled]
        answers = await asyncio.gather(*(running.client.statistics() for running in alive), return_exceptions=True)
        found = [
            ComponentStatistics(running.stored.name, running.stored.pid, answer)
            for running, answer in zip(alive, answers, strict=True)
            if not isinstance(answer, BaseException)
        ]
        if cluster.splitter.client is not None and not cluster.splitter.ended:
            try:
                rows = await cluster.splitter.client.statistics()
            except ShoalError:
                return tuple(found)
            found.append(ComponentStatistics("splitter", cluster.splitter.pid, rows))
        return tuple(found)

    def metrics(self) -> tuple[Sample, ...]:
        """The controller's own, without asking anybody."""
        reorganisation, instances = self._cluster.reorganisation, self._cluster.fleet.instances
        current = reorganisation.current
        states = [_state(running) for running in instances]
        deployment = self._store.deployment()
        rows = [_gauge("instances", states.count(state), "state", state.value) for state in InstanceState]
        rows += [
            _gauge("instances_wanted", deployment.instances_wanted if deployment else 0),
            _gauge("plans_waiting", reorganisation.waiting),
            _gauge("plan_at_work", int(current is not None)),
            _gauge("slots_pending", current.tokens_left if current else 0),
            _gauge("slots_unswept", current.slots_unswept if current else 0),
            _counter("plans_completed_total", reorganisation.completed),
            _counter("plan_milliseconds_total", round(reorganisation.seconds * 1000)),
            _gauge("controller_term", self._store.term),
        ]
        return (Sample({}, rows + self._deaths()),)

    def _deaths(self) -> list[Statistic]:
        recovery, heartbeat, splitter = self._cluster.recovery, self._cluster.heartbeat, self._cluster.splitter
        ledger = recovery.ledger
        rows = [
            _gauge("instances_stalled", sum(running.stalled for running in self._cluster.fleet.instances)),
            _counter("instance_stalls_total", heartbeat.stalls),
            _counter("instance_deaths_total", ledger.deaths),
            _counter("instance_fences_total", self._cluster.vigil.fenced),
            _gauge("hosts_silent", self._cluster.vigil.silent),
            _gauge("view_change_at_work", int(recovery.current is not None)),
            _counter("views_completed_total", recovery.completed),
            _counter("view_milliseconds_total", round(recovery.seconds * 1000)),
            _counter("splitter_restarts_total", splitter.restarts),
            _counter("splitter_gap_milliseconds_total", round(splitter.gap_s * 1000)),
        ]
        for what in ("adopted", "checked", "rejected", "lost", "rolled_back"):
            for name, counts in ledger.totals.items():
                value = int(getattr(counts, what))
                rows.append(Statistic(f"objects_{what}_total", "class", name, StatisticKind.COUNTER, value))
        return rows


def _state(running: Running) -> InstanceState:
    if running.ended:
        return InstanceState.FENCED if running.process_lives else InstanceState.ENDED
    return running.stored.state


def _gauge(name: str, value: int, label: str = "", label_value: str = "") -> Statistic:
    return Statistic(name, label, label_value, StatisticKind.GAUGE, value)


def _counter(name: str, value: int) -> Statistic:
    return Statistic(name, "", "", StatisticKind.COUNTER, value)
