# SPDX-License-Identifier: BSD-3-Clause
"""The data plane in Python: one class for each C noun. Every handle is a context manager with an idempotent close().

A call runs in the calling thread, without the interpreter lock, and raises DataplaneError with the C side's sentence.
The C side's control functions belong to one thread: call them from one (an executor with one worker serves a loop).
"""

from shoal_dataplane.constants import (
    CLASSES_MAX,
    KEY_BYTES_MAX,
    MEMBER_NONE,
    MEMBERS_MAX,
    NF_PORTS_MAX,
    OBJECT_BYTES_MAX,
    REMOTE_ADDRESS_BYTES,
    SLOTS,
    SLOTS_PER_STEERING,
    STEERING_SLOTS,
)
from shoal_dataplane.death import Death, Fate, FateRow, ObjectCounts, ViewProgress, ViewStage
from shoal_dataplane.door import DataplaneError
from shoal_dataplane.eal import Eal
from shoal_dataplane.fence import FenceProgress, FenceState
from shoal_dataplane.generator import (
    LATENCY_BUCKETS,
    STAMP_BYTES,
    Generator,
    GeneratorConfig,
    GeneratorRun,
    Preview,
    PreviewPacket,
    latency_bucket_ns,
)
from shoal_dataplane.instance import Instance, InstanceConfig
from shoal_dataplane.plan import DrainProgress, Plan, Progress, Stage
from shoal_dataplane.ring_pair import create_ring_pair
from shoal_dataplane.runner import IdlePolicy, Runner, RunnerConfig
from shoal_dataplane.splitter import RedirectProgress, Splitter, SplitterConfig
from shoal_dataplane.state import ClassInformation, StatePlace, StateRow
from shoal_dataplane.statistics import Statistic, StatisticKind
from shoal_dataplane.stream import (
    STREAM_DUMMY,
    GroupKind,
    Instruction,
    InstructionKind,
    RateKind,
    Stream,
    StreamMode,
    VariableOperation,
)
from shoal_dataplane.traffic import Counters, Latency, PacketGroup, StreamCounters, Totals, TrafficRow

__all__ = [
    "CLASSES_MAX",
    "KEY_BYTES_MAX",
    "LATENCY_BUCKETS",
    "MEMBERS_MAX",
    "MEMBER_NONE",
    "NF_PORTS_MAX",
    "OBJECT_BYTES_MAX",
    "REMOTE_ADDRESS_BYTES",
    "SLOTS",
    "SLOTS_PER_STEERING",
    "STAMP_BYTES",
    "STEERING_SLOTS",
    "STREAM_DUMMY",
    "ClassInformation",
    "Counters",
    "DataplaneError",
    "Death",
    "DrainProgress",
    "Eal",
    "Fate",
    "FateRow",
    "FenceProgress",
    "FenceState",
    "Generator",
    "GeneratorConfig",
    "GeneratorRun",
    "GroupKind",
    "IdlePolicy",
    "Instance",
    "InstanceConfig",
    "Instruction",
    "InstructionKind",
    "Latency",
    "ObjectCounts",
    "PacketGroup",
    "Plan",
    "Preview",
    "PreviewPacket",
    "Progress",
    "RateKind",
    "RedirectProgress",
    "Runner",
    "RunnerConfig",
    "Splitter",
    "SplitterConfig",
    "Stage",
    "StatePlace",
    "StateRow",
    "Statistic",
    "StatisticKind",
    "Stream",
    "StreamCounters",
    "StreamMode",
    "Totals",
    "TrafficRow",
    "VariableOperation",
    "ViewProgress",
    "ViewStage",
    "create_ring_pair",
    "latency_bucket_ns",
]
