# SPDX-License-Identifier: BSD-3-Clause
"""The control plane's values. Protobuf types stop at services, clients and `conversion`; all else speaks these."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shoal_dataplane import (
    ClassInformation,
    DrainProgress,
    FenceProgress,
    FenceState,
    ObjectCounts,
    Progress,
    RedirectProgress,
    Stage,
    StatePlace,
    StateRow,
    Statistic,
    ViewProgress,
)

__all__ = [
    "TRAFFIC_DEVICE",
    "ClassInformation",
    "ClassLosses",
    "ClassState",
    "ClusterStatus",
    "ComponentStatistics",
    "DeadInstance",
    "DeathKey",
    "Deaths",
    "DrainProgress",
    "Event",
    "FateRow",
    "FenceProgress",
    "FenceState",
    "Field",
    "FieldValue",
    "InstanceReport",
    "InstanceSizes",
    "InstanceState",
    "InstanceStatus",
    "ObjectCounts",
    "OperationUpdate",
    "Peer",
    "PlanState",
    "PlanStatus",
    "Port",
    "Progress",
    "RedirectProgress",
    "RunnerSettings",
    "SplitterReport",
    "Stage",
    "StateObject",
    "StatePlace",
    "StatePlane",
    "StateRow",
    "Statistic",
    "TaskAnswer",
    "TrafficReport",
    "ViewProgress",
]


# A port with this device is fed by the built-in traffic generator.
TRAFFIC_DEVICE: Final = "traffic"


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    cpu: int = -1  # -1: any
    idle: str = "sleep"  # "spin", "yield" or "sleep"
    idle_polls: int = 256
    sleep_us: int = 50


@dataclass(frozen=True, slots=True)
class Port:
    number: int
    device: str  # EAL and devargs syntax


@dataclass(frozen=True, slots=True)
class StatePlane:
    """Where the NF's objects live."""

    kind: str = "shared"  # or "local", "remote"
    address: str = ""  # remote: of the server, unix:/path or a numeric host:port
    name: str = ""  # remote: its keys begin with it


@dataclass(frozen=True, slots=True)
class InstanceSizes:
    objects: int = 262144  # of each class
    parked: int = 16384
    microthreads: int = 4096
    window: int = 4096
    packets: int = 32768
    take_deadline_ms: int = 2000
    channel_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class Peer:
    """How to reach a member: by its socket on this host, or, where `address` is set, by TCP."""

    member: int
    life: int
    name: str
    socket: str
    address: str = ""
    tcp_port: int = 0


@dataclass(frozen=True, slots=True)
class InstanceReport:
    name: str
    configured: bool
    member: int
    life: int
    cluster: int
    term: int
    process: int
    packets_attached: bool
    peers: frozenset[int]
    progress: Progress | None
    slab_directory: str = ""  # outlives a crash
    view: ViewProgress | None = None


@dataclass(frozen=True, slots=True)
class SplitterReport:
    configured: bool
    cluster: int
    term: int
    process: int
    ring_socket: str
    table: bytes
    members: frozenset[int]


@dataclass(frozen=True, slots=True)
class Event:
    sequence: int
    time_ns: int  # since the Unix epoch
    kind: str  # "plan.completed"
    subject: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)


class PlanState(enum.Enum):
    QUEUED = "queued"
    LEARNING = "learning"
    HANDING_OVER = "handing_over"  # from here on it can only be completed
    COMPLETE = "complete"
    ABANDONED = "abandoned"
    OVER = "over"  # a member died while slots were handed over: a view change takes its place


@dataclass(frozen=True, slots=True)
class PlanStatus:
    number: int
    epoch: int
    kind: str  # "first", "scale_out", "scale_in", "replace"
    state: PlanState
    joining: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    slots_moved: int = 0
    steering_moved: int = 0
    steering_redirected: int = 0
    tokens_left: int = 0
    slots_unswept: int = 0
    objects_moved: int = 0
    bytes_moved: int = 0
    parked_most: int = 0
    duration_ms: float = 0.0
    started_ns: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OperationUpdate:
    """One step of a long operation; `done` on the last one."""

    stage: str
    text: str
    step: int = 0
    steps: int = 0
    done: bool = False
    plan: PlanStatus | None = None


class InstanceState(enum.Enum):
    STARTING = "starting"
    JOINING = "joining"
    ACTIVE = "active"
    LEAVING = "leaving"
    DRAINED = "drained"
    STOPPING = "stopping"  # has left, and its process is to end
    ENDED = "ended"
    FENCED = "fenced"  # is to be declared dead, or was; its process may live on a host that is cut off


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    name: str
    member: int
    life: int
    state: InstanceState
    process: int
    host: str
    steering_slots: int
    tokens: int
    objects: int  # entries of its tables: objects there, and records of those elsewhere
    objects_held: int  # of them: single-writer objects whose lease is there
    leases_moved: int
    reason: str
    run_directory: str
    metrics_address: str
    epoch_stage: str
    stalled: bool = False  # its process lives but does not answer


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    name: str  # "": nothing is deployed
    network_function: str
    term: int
    epoch: int
    instances_wanted: int
    instances: tuple[InstanceStatus, ...]
    plan: PlanStatus | None
    plans_waiting: int
    splitter: bool
    process: int
    splitter_process: int
    uptime_s: float
    view: int = 0  # the view change under way


@dataclass(frozen=True, slots=True)
class DeadInstance:
    name: str
    member: int
    life: int
    reason: str
    adopter: str  # "": there was no usable slab
    refusal: str = ""  # why it was not usable


@dataclass(frozen=True, slots=True)
class ClassLosses:
    """What became of the objects of one class in one view change."""

    class_name: str
    adopted: int = 0
    checked: int = 0  # were being written: their class's check has passed or rejected them
    rejected: int = 0
    lost: int = 0
    rolled_back: int = 0
    at_least: bool = False  # what nobody knows of can't be counted: a slab is gone
    last_heard: int = 0  # that those whose slabs are gone had when they were heard last


@dataclass(frozen=True, slots=True)
class Deaths:
    """Instances that died together, and what the view change made of their objects."""

    view: int
    time_ns: int  # when the first was noticed, since the Unix epoch
    duration_ms: float  # until all survivors had resumed
    instances: tuple[DeadInstance, ...]
    classes: tuple[ClassLosses, ...]


@dataclass(frozen=True, slots=True)
class FateRow:
    """An object that a death did something to, as an instance tells of it."""

    view: int
    class_name: str
    key: bytes


@dataclass(frozen=True, slots=True)
class ComponentStatistics:
    component: str  # an instance's name, or "splitter"
    process: int
    statistics: tuple[Statistic, ...]


FieldValue = int | float | bool | str | bytes | tuple["Field", ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a structure, or an element of an array (its name is its index)."""

    name: str
    value: FieldValue
    array: bool = False  # of a tuple: an array's elements


@dataclass(frozen=True, slots=True)
class DeathKey:
    """Which object a death did something to."""

    view: int
    fate: str  # "adopted", "rejected", "lost"
    class_name: str
    instance: str  # that told
    key: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class ClassState:
    """A class, and how many objects of it there are."""

    name: str
    multi_writer: bool
    key_bytes: int
    object_bytes: int
    objects: int | None  # None: not known
    capacity: int | None  # None: what the plane's server has room for
    at_least: bool = False  # so many have been counted, and there are more
    remark: str = ""  # why that is all that is known


@dataclass(frozen=True, slots=True)
class StateObject:
    class_name: str
    instance: str
    holder: str
    place: str
    incarnation: int
    lease: int
    idle_ms: int
    key: tuple[Field, ...]
    object: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    instance: str
    reply: str


@dataclass(frozen=True, slots=True)
class TrafficReport:
    running: bool
    name: str
    document: str  # JSON
    faults: tuple[str, ...] = ()  # why the run was not good; final once it has stopped
