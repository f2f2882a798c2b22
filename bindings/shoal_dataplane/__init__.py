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
    SLOTS,
    SLOTS_PER_STEERING,
    STEERING_SLOTS,
)
from shoal_dataplane.door import DataplaneError
from shoal_dataplane.eal import Eal
from shoal_dataplane.instance import Instance, InstanceConfig
from shoal_dataplane.plan import Plan, Progress, Stage
from shoal_dataplane.ring_pair import create_ring_pair
from shoal_dataplane.runner import IdlePolicy, Runner, RunnerConfig
from shoal_dataplane.splitter import RedirectProgress, Splitter, SplitterConfig
from shoal_dataplane.state import ClassInformation, StatePlace, StateRow
from shoal_dataplane.statistics import Statistic, StatisticKind

__all__ = [
    "CLASSES_MAX",
    "KEY_BYTES_MAX",
    "MEMBERS_MAX",
    "MEMBER_NONE",
    "NF_PORTS_MAX",
    "OBJECT_BYTES_MAX",
    "SLOTS",
    "SLOTS_PER_STEERING",
    "STEERING_SLOTS",
    "ClassInformation",
    "DataplaneError",
    "Eal",
    "IdlePolicy",
    "Instance",
    "InstanceConfig",
    "Plan",
    "Progress",
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
    "create_ring_pair",
]
