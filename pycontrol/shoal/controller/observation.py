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
    PlanState,
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
            splitter=cluster.splitter is not None and not cluster.splitter.ended,
            process=os.getpid(),
            splitter_process=cluster.splitter.pid if cluster.splitter else 0,
            uptime_s=time.monotonic() - self._started,
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
            state=stored.state,
            process=stored.pid,
            host=stored.host,
            steering_slots=steering.count(stored.member) if member else 0,
            tokens=progress.tokens if progress else 0,
            objects_held=progress.objects_held if progress else 0,
            leases_moved=progress.leases_moved if progress else 0,
            reason=stored.reason,
            run_directory=str(running.directory.path),
            metrics_address=metrics_address(config, stored.member) if config else "",
            epoch_stage=progress.stage.name.lower() if progress else "",
        )

    async def statistics(self) -> tuple[ComponentStatistics, ...]:
        """Of all that answer."""
        cluster = self._cluster
        alive = [running for running in cluster.fleet.instances if not running.ended]
        answers = await asyncio.gather(*(running.client.statistics() for running in alive), return_exceptions=True)
        found = [
            ComponentStatistics(running.stored.name, running.stored.pid, answer)
            for running, answer in zip(alive, answers, strict=True)
            if not isinstance(answer, BaseException)
        ]
        if cluster.splitter is not None and not cluster.splitter.ended:
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
        states = [running.stored.state for running in instances]
        deployment = self._store.deployment()
        rows = [_gauge("instances", states.count(state), "state", state.value) for state in InstanceState]
        rows += [
            _gauge("instances_wanted", deployment.instances_wanted if deployment else 0),
            _gauge("plans_waiting", reorganisation.waiting),
            _gauge("plan_at_work", int(current is not None and current.state is not PlanState.STUCK)),
            _gauge("plan_stuck", int(current is not None and current.state is PlanState.STUCK)),
            _gauge("slots_pending", current.tokens_left if current else 0),
            _gauge("slots_unswept", current.slots_unswept if current else 0),
            _counter("plans_completed_total", reorganisation.completed),
            _counter("plan_milliseconds_total", round(reorganisation.seconds * 1000)),
            _gauge("controller_term", self._store.term),
        ]
        return (Sample({}, rows),)


def _gauge(name: str, value: int, label: str = "", label_value: str = "") -> Statistic:
    return Statistic(name, label, label_value, StatisticKind.GAUGE, value)


def _counter(name: str, value: int) -> Statistic:
    return Statistic(name, "", "", StatisticKind.COUNTER, value)
