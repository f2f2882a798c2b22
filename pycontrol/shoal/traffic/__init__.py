# SPDX-License-Identifier: BSD-3-Clause
"""Traffic: TRex profiles on the built-in generator.

compile_profile (TRex's client, in an environment of its own) makes a document of a profile; parse_streams reads it;
write_profile writes its packets to a file; a TrafficSession on a backend runs it and reads the result.
"""

from shoal.traffic.builtin import BuiltinBackend
from shoal.traffic.compile import INSIDE, OUTSIDE, CompileError, ProfilePort, compile_profile
from shoal.traffic.observation import Backend, Observation
from shoal.traffic.options import OptionError, TrafficOptions, options_as_text, parse_options
from shoal.traffic.pcap import write_profile
from shoal.traffic.report import TrafficDocument
from shoal.traffic.session import SETTLE_S, NotStartedError, Reading, TrafficSession
from shoal.traffic.streams import CompiledTraffic, PortStreams, StreamsError, parse_streams

__all__ = [
    "INSIDE",
    "OUTSIDE",
    "SETTLE_S",
    "Backend",
    "BuiltinBackend",
    "CompileError",
    "CompiledTraffic",
    "NotStartedError",
    "Observation",
    "OptionError",
    "PortStreams",
    "ProfilePort",
    "Reading",
    "StreamsError",
    "TrafficDocument",
    "TrafficOptions",
    "TrafficSession",
    "compile_profile",
    "options_as_text",
    "parse_options",
    "parse_streams",
    "write_profile",
]
