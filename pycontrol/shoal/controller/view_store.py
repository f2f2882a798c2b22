# SPDX-License-Identifier: BSD-3-Clause
"""View changes in the store: begun before anybody is told, and finished together with the map that results. What they
did to objects is kept for `shoal deaths`."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shoal.controller.store import Store, StoredInstance, put_deployment, put_instance
from shoal.controller.view import Corpse, ViewPlan, Worker, whole
from shoal.model import ClassLosses, DeadInstance, Deaths, InstanceState

DEATHS_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class StoredView:
    number: int
    epoch: int  # of the map that results
    corpses: tuple[Corpse, ...]  # all since the last completed view
    survivors: tuple[str, ...]  # names of instances
    plan: ViewPlan
    owner_now: bytes  # of each slot, before the first of these deaths
    owner_next: bytes
    started_ns: int  # when the first of these deaths was noticed

    @property
    def dead(self) -> Mapping[int, int]:
        """Life of each dead member."""
        return {corpse.worker.member: corpse.worker.life for corpse in self.corpses}


class ViewStore:
    """The part of the store that views have."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def view(self) -> StoredView | None:
        """The view change under way."""
        rows = self._store.read(
            "SELECT number, epoch, dead, survivors, adopters, mint, steering, owner_now, owner_next, started_ns "
            "FROM view"
        )
        if not rows:
            return None
        number, epoch, dead, survivors, adopters, mint, steering, owner_now, owner_next, started_ns = rows[0]
        corpses = tuple(
            Corpse(Worker(**each["worker"]), each["slab_directory"], each["refusal"]) for each in json.loads(dead)
        )
        chosen = {int(member): adopter for member, adopter in json.loads(adopters).items()}
        return StoredView(
            number=number,
            epoch=epoch,
            corpses=corpses,
            survivors=tuple(survivors.split()),
            plan=ViewPlan(chosen, bytes(mint), bytes(steering)),
            owner_now=bytes(owner_now),
            owner_next=bytes(owner_next),
            started_ns=started_ns,
        )

    def begin(self, view: StoredView) -> None:
        """Before its first command. The plan under way is over with it, or abandoned."""
        with self._store.writing() as database:
            database.execute("DELETE FROM plan")
            database.execute(
                "INSERT OR REPLACE INTO view VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    view.number,
                    view.epoch,
                    json.dumps([dataclasses.asdict(corpse) for corpse in view.corpses]),
                    " ".join(view.survivors),
                    json.dumps(dict(view.plan.adopters)),
                    view.plan.mint,
                    view.plan.steering,
                    view.owner_now,
                    view.owner_next,
                    view.started_ns,
                ),
            )

    def finish(
        self,
        view: StoredView,
        owner: bytes,
        survivors: Sequence[StoredInstance],
        deaths: Deaths,
        outcasts: Sequence[StoredInstance] = (),
        *,
        shrinks: bool = False,
    ) -> None:
        """In one transaction: the map is in force, survivors are members, the dead are gone, the report is kept.
        `outcasts`: the dead whose processes live. `shrinks`: no more are wanted than are left, but for
        what an operation under way has promised."""
        with self._store.writing() as database:
            deployment = self._store.deployment()
            assert deployment is not None
            steering = view.plan.steering
            # A map that goes with the steering is not stored twice.
            owner = b"" if owner == whole(steering) else owner
            if shrinks and deployment.wanted_before:
                before = min(deployment.wanted_before, len(survivors))
                deployment = replace(deployment, wanted_before=before)
            elif shrinks:
                wanted = min(deployment.instances_wanted, len(survivors))
                deployment = replace(deployment, instances_wanted=wanted)
            put_deployment(database, replace(deployment, epoch=view.epoch, steering=steering, owner=owner))
            for instance in survivors:
                put_instance(database, replace(instance, state=InstanceState.ACTIVE))
            for corpse in view.corpses:
                database.execute(
                    "DELETE FROM instances WHERE name = ? AND life = ?", (corpse.worker.name, corpse.worker.life)
                )
            for instance in outcasts:
                put_instance(database, replace(instance, state=InstanceState.ENDED))
            database.execute("DELETE FROM view")
            document = json.dumps(dataclasses.asdict(deaths))
            database.execute("INSERT OR REPLACE INTO deaths VALUES (?, ?)", (deaths.view, document))
            database.execute(
                "DELETE FROM deaths WHERE view NOT IN (SELECT view FROM deaths ORDER BY view DESC LIMIT ?)",
                (DEATHS_KEPT,),
            )

    def deaths(self) -> tuple[Deaths, ...]:
        """The oldest first."""
        return tuple(
            _deaths(json.loads(document))
            for (document,) in self._store.read("SELECT document FROM deaths ORDER BY view")
        )


def _deaths(document: dict[str, object]) -> Deaths:
    instances, classes = document.pop("instances"), document.pop("classes")
    assert isinstance(instances, list)
    assert isinstance(classes, list)
    return Deaths(
        **document,  # type: ignore[arg-type]
        instances=tuple(DeadInstance(**each) for each in instances),
        classes=tuple(ClassLosses(**each) for each in classes),
    )
