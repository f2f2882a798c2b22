# SPDX-License-Identifier: BSD-3-Clause
"""What the controller must remember: SQLite, every write in the name of a term. The store refuses one of an older term:
a controller that was taken for dead can do no harm any more."""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from shoal.errors import ShoalError, StaleTermError
from shoal.model import InstanceState

SCHEMA_VERSION: Final = 4
_SCHEMA: Final = """
CREATE TABLE reign (term INTEGER NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE deployment (
    one INTEGER PRIMARY KEY CHECK (one = 1), file TEXT NOT NULL, text TEXT NOT NULL, cluster TEXT NOT NULL,
    hash_seed TEXT NOT NULL, instances_wanted INTEGER NOT NULL, epoch INTEGER NOT NULL, steering BLOB NOT NULL,
    owner BLOB NOT NULL, wanted_before INTEGER NOT NULL);
CREATE TABLE instances (
    name TEXT PRIMARY KEY, member INTEGER NOT NULL, life INTEGER NOT NULL, host TEXT NOT NULL, state TEXT NOT NULL,
    pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, slab_directory TEXT NOT NULL,
    counts TEXT NOT NULL);
CREATE TABLE plan (
    one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, kind TEXT NOT NULL, stage INTEGER NOT NULL,
    epoch_now INTEGER NOT NULL, epoch_next INTEGER NOT NULL, steering_now BLOB NOT NULL, steering_next BLOB NOT NULL,
    members_now TEXT NOT NULL, members_next TEXT NOT NULL, stop_leavers INTEGER NOT NULL, owner_now BLOB NOT NULL,
    wanted INTEGER NOT NULL);
CREATE TABLE view (
    one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, epoch INTEGER NOT NULL, dead TEXT NOT NULL,
    survivors TEXT NOT NULL, adopters TEXT NOT NULL, mint BLOB NOT NULL, steering BLOB NOT NULL,
    owner_now BLOB NOT NULL, owner_next BLOB NOT NULL, started_ns INTEGER NOT NULL);
CREATE TABLE deaths (view INTEGER PRIMARY KEY, document TEXT NOT NULL);
INSERT INTO reign VALUES (0);
"""

STAGE_LEARN: Final = 1
STAGE_HAND_OVER: Final = 2
STAGE_COMPLETE: Final = 3


@dataclass(frozen=True, slots=True)
class StoredDeployment:
    file: str
    text: str
    cluster: int
    hash_seed: int
    instances_wanted: int
    epoch: int
    steering: bytes
    owner: bytes = b""  # of each slot, where that does not follow from the steering (after a death)
    wanted_before: int = 0  # instances, where an operation has not reached what it wants yet; 0: none is under way


@dataclass(frozen=True, slots=True)
class StoredInstance:
    name: str
    member: int
    life: int
    host: str
    state: InstanceState
    pid: int = 0
    start_ticks: int = 0
    slab_directory: str = ""  # of this life
    counts: str = ""  # JSON: what its object counts were when the last view was complete


@dataclass(frozen=True, slots=True)
class StoredPlan:
    number: int
    kind: str
    stage: int
    epoch_now: int
    epoch_next: int
    steering_now: bytes
    steering_next: bytes
    members_now: tuple[str, ...]  # names of instances
    members_next: tuple[str, ...]
    stop_leavers: bool
    owner_now: bytes = b""  # as the deployment's
    wanted: int = 0  # instances, from its completion on; 0: as many as before

    def state_after(self, name: str) -> InstanceState:
        """What it makes of a member of either map. Whoever finds a leaver in such a state, the plan forgotten, knows
        what is left to be done with it."""
        if name in self.members_next:
            return InstanceState.ACTIVE
        return InstanceState.STOPPING if self.stop_leavers else InstanceState.DRAINED


class Store:
    """One controller's door to the file. Opening it begins a new reign. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            path.chmod(0o600)
            self.term = self._begin_reign()
        except sqlite3.Error as error:
            self._database.close()
            raise ShoalError(f"{path}: {error}") from error
        except BaseException:
            self._database.close()
            raise

    def _begin_reign(self) -> int:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise ShoalError(f"the store has version {version}; this Shoal reads version {SCHEMA_VERSION}")
            self._database.execute("UPDATE reign SET term = term + 1")
            term = int(self._database.execute("SELECT term FROM reign").fetchone()[0])
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        return term

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; refused where another reign has begun."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            known = int(self._database.execute("SELECT term FROM reign").fetchone()[0])
            if known != self.term:
                raise StaleTermError(self.term, known)
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def draw(self, counter: str) -> int:
        """The next number of a counter, never given before; from 1."""
        with self.writing() as database:
            row = database.execute(
                "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                (counter,),
            ).fetchone()
        return int(row[0])

    def drawn(self, counter: str) -> int:
        """The number of a counter that was given last; 0: none yet."""
        row = self._database.execute("SELECT value FROM counters WHERE name = ?", (counter,)).fetchone()
        return int(row[0]) if row else 0

    def read(self, statement: str) -> list[tuple[Any, ...]]:
        return list(self._database.execute(statement))

    def deployment(self) -> StoredDeployment | None:
        row = self._database.execute(
            "SELECT file, text, cluster, hash_seed, instances_wanted, epoch, steering, owner, wanted_before "
            "FROM deployment"
        ).fetchone()
        if row is None:
            return None
        file, text, cluster, hash_seed, wanted, epoch, steering, owner, before = row
        return StoredDeployment(
            file, text, int(cluster, 16), int(hash_seed, 16), wanted, epoch, bytes(steering), bytes(owner), before
        )

    def begin_deployment(self, file: str, text: str, instances_wanted: int, steering: bytes) -> StoredDeployment:
        """With a new cluster number and hash seed."""
        made = StoredDeployment(
            file, text, secrets.randbits(63) | 1, secrets.randbits(64), instances_wanted, 0, steering
        )
        self.put_deployment(made)
        return made

    def put_deployment(self, deployment: StoredDeployment) -> None:
        with self.writing() as database:
            put_deployment(database, deployment)

    def instances(self) -> tuple[StoredInstance, ...]:
        rows = self._database.execute(
            "SELECT name, member, life, host, state, pid, start_ticks, slab_directory, counts FROM instances "
            "ORDER BY member, life"
        )
        return tuple(
            StoredInstance(name, member, life, host, InstanceState(state), pid, start_ticks, slabs, counts)
            for name, member, life, host, state, pid, start_ticks, slabs, counts in rows
        )

    def put_instance(self, instance: StoredInstance) -> None:
        with self.writing() as database:
            put_instance(database, instance)

    def remove_instance(self, name: str) -> None:
        with self.writing() as database:
            database.execute("DELETE FROM instances WHERE name = ?", (name,))

    def plan(self) -> StoredPlan | None:
        """The plan under way; None: none."""
        row = self._database.execute(
            "SELECT number, kind, stage, epoch_now, epoch_next, steering_now, steering_next, members_now, "
            "members_next, stop_leavers, owner_now, wanted FROM plan"
        ).fetchone()
        if row is None:
            return None
        number, kind, stage, epoch_now, epoch_next, now, following, *rest = row
        members_now, members_next, stop, owner_now, wanted = rest
        return StoredPlan(
            number=number,
            kind=kind,
            stage=stage,
            epoch_now=epoch_now,
            epoch_next=epoch_next,
            steering_now=bytes(now),
            steering_next=bytes(following),
            members_now=tuple(members_now.split()),
            members_next=tuple(members_next.split()),
            stop_leavers=bool(stop),
            owner_now=bytes(owner_now),
            wanted=wanted,
        )

    def put_plan(self, plan: StoredPlan) -> None:
        """Before the first command of its stage."""
        with self.writing() as database:
            _put_plan(database, plan)

    def complete_plan(self, plan: StoredPlan, members: tuple[StoredInstance, ...]) -> None:
        """In one transaction: the next map is in force, its members are active and leavers drained or to be stopped,
        the plan only has to be forgotten."""
        with self.writing() as database:
            deployment = self.deployment()
            assert deployment is not None
            wanted = plan.wanted or deployment.instances_wanted
            deployment = replace(deployment, instances_wanted=wanted, wanted_before=0, epoch=plan.epoch_next)
            put_deployment(database, replace(deployment, steering=plan.steering_next, owner=b""))
            for instance in members:
                put_instance(database, replace(instance, state=plan.state_after(instance.name)))
            _put_plan(database, replace(plan, stage=STAGE_COMPLETE))

    def end_plan(self) -> None:
        """Nothing of it is left to be done."""
        with self.writing() as database:
            database.execute("DELETE FROM plan")

    def clear(self) -> None:
        """Forgets the deployment; counters stay, so that no number is given twice."""
        with self.writing() as database:
            for table in ("deployment", "instances", "plan", "view", "deaths"):
                database.execute(f"DELETE FROM {table}")  # noqa: S608 (names of our own)

    def close(self) -> None:
        self._database.close()


def put_deployment(database: sqlite3.Connection, value: StoredDeployment) -> None:
    # SQLite's integers are signed: the 64-bit numbers go in as text.
    database.execute(
        "INSERT OR REPLACE INTO deployment VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            value.file,
            value.text,
            f"{value.cluster:x}",
            f"{value.hash_seed:x}",
            value.instances_wanted,
            value.epoch,
            value.steering,
            value.owner,
            value.wanted_before,
        ),
    )


def put_instance(database: sqlite3.Connection, value: StoredInstance) -> None:
    database.execute(
        "INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            value.name,
            value.member,
            value.life,
            value.host,
            value.state.value,
            value.pid,
            value.start_ticks,
            value.slab_directory,
            value.counts,
        ),
    )


def _put_plan(database: sqlite3.Connection, value: StoredPlan) -> None:
    database.execute(
        "INSERT OR REPLACE INTO plan VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            value.number,
            value.kind,
            value.stage,
            value.epoch_now,
            value.epoch_next,
            value.steering_now,
            value.steering_next,
            " ".join(value.members_now),
            " ".join(value.members_next),
            value.stop_leavers,
            value.owner_now,
            value.wanted,
        ),
    )
