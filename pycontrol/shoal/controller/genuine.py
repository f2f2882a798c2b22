# SPDX-License-Identifier: BSD-3-Clause
"""Whether a store is the one by which the running instances were led so far. A copy of an old one would lead them back:
it is refused before anybody is told anything."""

import asyncio
from typing import Final

from shoal.controller.instance_client import InstanceClient
from shoal.controller.store import STAGE_LEARN, Store, StoredInstance
from shoal.controller.view_store import ViewStore
from shoal.errors import RefusedError, ShoalError
from shoal.model import InstanceReport, Stage
from shoal.run_directory import ProcessIdentity, RunDirectory, read_pid_file

ANSWER_S: Final = 2.0


class StaleStoreError(RefusedError):
    """Others know more than this store."""


def check_report(store: Store, stored: StoredInstance, report: InstanceReport) -> None:
    """StaleStoreError: what an instance says of itself can't follow from this store."""
    deployment = store.deployment()
    assert deployment is not None
    name = stored.name
    if report.term >= store.term:
        raise StaleStoreError(f"{name} knows term {report.term}, this store only term {store.term}: it is an old copy")
    if not report.configured:
        return
    if report.cluster != deployment.cluster:
        raise StaleStoreError(f"{name} belongs to another deployment than this store's")
    if report.life != stored.life:
        raise StaleStoreError(
            f"{name} is in life {report.life}, in this store in life {stored.life}: it is an old copy"
        )
    epoch, view = newest(store)
    if report.progress is not None and report.progress.stage is Stage.LEARNT:
        epoch = store.drawn("epoch")  # of a plan in its first stage, which can still be abandoned
    if report.progress is not None and report.progress.epoch > epoch:
        raise StaleStoreError(f"{name} is in epoch {report.progress.epoch}, this store in {epoch}: it is an old copy")
    if report.view is not None and report.view.view > view:
        raise StaleStoreError(f"{name} knows view {report.view.view}, this store only {view}: it is an old copy")


def newest(store: Store) -> tuple[int, int]:
    """The latest epoch that instances can be in, and the latest view that they can know."""
    deployment, plan, view = store.deployment(), store.plan(), ViewStore(store).view()
    epochs = [deployment.epoch if deployment else 0]
    if plan is not None and plan.stage != STAGE_LEARN:
        epochs.append(plan.epoch_next)
    if view is not None:
        epochs.append(view.epoch)
    return max(epochs), store.drawn("view")


async def check_genuine(store: Store, run_directory: RunDirectory) -> None:
    """Asks all instances. One that lives but does not answer can't be asked, and is taken as it is."""
    known: dict[str, StoredInstance | None] = {stored.name: stored for stored in store.instances()}
    if store.deployment() is not None:
        known.setdefault("splitter", None)
    for directory in (*run_directory.instances(), run_directory.splitter):
        identity = read_pid_file(directory.pid_file)
        if identity is not None and identity.lives and directory.path.name not in known:
            raise StaleStoreError(
                f"{directory.path.name} runs, and this store does not know it: it is an old copy, or a new one "
                "(`shoal down` ends what runs)"
            )
    alive = [each for each in known.values() if each and ProcessIdentity(each.pid, each.start_ticks).lives]
    reports = await asyncio.gather(*(_ask(stored, run_directory) for stored in alive))
    for stored, report in zip(alive, reports, strict=True):
        if report is not None:
            check_report(store, stored, report)


async def _ask(stored: StoredInstance, run_directory: RunDirectory) -> InstanceReport | None:
    client = InstanceClient(stored.name, run_directory.instance(stored.name).address, 0)
    try:
        return await client.wait_reachable(ANSWER_S)
    except ShoalError:
        return None
    finally:
        await client.close()
