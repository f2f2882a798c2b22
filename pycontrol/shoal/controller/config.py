# SPDX-License-Identifier: BSD-3-Clause
"""The configuration file: its shape, its limits, and where in it a fault lies. A file is taken or refused whole."""

import contextlib
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from shoal.errors import ConfigError, ConfigFault, InvalidRequestError
from shoal.metrics import split_address
from shoal.model import InstanceSizes, RunnerSettings, StatePlane
from shoal.validation import (
    CPU_MAX,
    DEADLINE_MAX_MS,
    IDLE_POLLS_MAX,
    MICROTHREADS,
    OBJECTS,
    PACKETS,
    RING_BYTES,
    SLEEP_MAX_US,
    WINDOW_MAX,
    require_eal_argument,
)
from shoal_dataplane import MEMBERS_MAX, NF_PORTS_MAX

NAME: Final = r"^[a-z][a-z0-9_-]{0,15}$"
SOCKET_PATH_MAX: Final = 107  # of a Unix socket
_SIZES: Final = InstanceSizes()


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError(f"{value} is not a power of two")
    return value


def _address(value: str) -> str:
    try:
        split_address(value)
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None
    return value


def _eal_argument(value: str) -> str:
    try:
        return require_eal_argument("an argument of EAL", value)
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None


def _server(value: str) -> str:
    """unix:/path of a socket, or a numeric host:port."""
    if value.startswith("unix:"):
        if not value.startswith("unix:/") or len(value.encode()) > SOCKET_PATH_MAX + len("unix:"):
            raise ValueError(f"a socket is named by its whole path, of at most {SOCKET_PATH_MAX} bytes")
        return value
    host, colon, port = value.rpartition(":")
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if colon and 1 <= int(port) <= 65535:
            return value
    except ValueError:
        pass
    raise ValueError("is unix:/path/of/socket, or a numeric host:port as 192.0.2.1:6379")


def _numeric(value: str) -> str:
    return str(ipaddress.ip_address(value))


Name = Annotated[str, Field(pattern=NAME)]
RingBytes = Annotated[int, Field(ge=RING_BYTES[0], le=RING_BYTES[1]), AfterValidator(_power_of_two)]
Count = Annotated[int, Field(ge=OBJECTS[0], le=OBJECTS[1])]
Packets = Annotated[int, Field(ge=PACKETS[0], le=PACKETS[1])]
EalArgument = Annotated[str, AfterValidator(_eal_argument)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NetworkFunction(Section):
    name: Name
    path: Path | None = Field(default=None, strict=False)  # default: the NF of that name that was installed with Shoal
    settings: Mapping[str, str | int | float | bool] = Field(default_factory=dict)

    @property
    def setting_texts(self) -> dict[str, str]:
        return {name: _setting_text(value) for name, value in self.settings.items()}


def _setting_text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class PortConfig(Section):
    device: Annotated[str, Field(min_length=1, max_length=255)]


class Runner(Section):
    cpus: tuple[Annotated[int, Field(ge=0, le=CPU_MAX)], ...] = Field(default=(), strict=False)  # in turn; none: any
    idle: Literal["spin", "yield", "sleep"] = "sleep"
    idle_polls: Annotated[int, Field(ge=1, le=IDLE_POLLS_MAX)] = 256
    sleep_us: Annotated[int, Field(ge=1, le=SLEEP_MAX_US)] = 50

    def settings(self, index: int) -> RunnerSettings:
        cpu = self.cpus[index % len(self.cpus)] if self.cpus else -1
        return RunnerSettings(cpu, self.idle, self.idle_polls, self.sleep_us)


class Instances(Section):
    count: Annotated[int, Field(ge=1, le=MEMBERS_MAX)] = 1
    objects: Count = _SIZES.objects
    parked: Count = _SIZES.parked
    microthreads: Annotated[int, Field(ge=MICROTHREADS[0], le=MICROTHREADS[1])] = _SIZES.microthreads
    window: Annotated[int, Field(ge=1, le=WINDOW_MAX)] = _SIZES.window
    packets: Packets = _SIZES.packets
    take_deadline_ms: Annotated[int, Field(ge=1, le=DEADLINE_MAX_MS)] = _SIZES.take_deadline_ms
    channel_bytes: RingBytes = _SIZES.channel_bytes
    runner: Runner = Runner()
    eal: tuple[EalArgument, ...] = Field(default=(), strict=False)

    @property
    def sizes(self) -> InstanceSizes:
        return InstanceSizes(
            self.objects,
            self.parked,
            self.microthreads,
            self.window,
            self.packets,
            self.take_deadline_ms,
            self.channel_bytes,
        )


class Splitter(Section):
    packets: Packets = 65536
    parked: Count = 32768
    fragments: Count = 4096
    ring_bytes: RingBytes = 4 << 20
    runner: Runner = Runner()
    eal: tuple[EalArgument, ...] = Field(default=(), strict=False)


class Host(Section):
    """Where instances run: here, or here in a network namespace that plays another host. Instances on different hosts
    exchange their messages by TCP."""

    name: Name
    address: Annotated[str, AfterValidator(_numeric)]
    network_namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    first_tcp_port: Annotated[int, Field(ge=1024, le=65471)] = 7600  # plus the member's number


class BetweenHosts(Section):
    """When members on several hosts stop, and are taken for dead."""

    lease_ms: Annotated[int, Field(ge=200, le=600_000)] = 3000
    dead_after_ms: Annotated[int, Field(ge=400, le=3_600_000)] = 10_000


class Remote(Section):
    """The server in which the objects of the plane `remote` lie."""

    address: Annotated[str, AfterValidator(_server)]
    name: Name | None = None  # its keys begin with it; default: the deployment's name
    pipe: bool = False  # each instance receives packets on a thread of its own, beside the worker's
    pipe_cpus: tuple[Annotated[int, Field(ge=0, le=CPU_MAX)], ...] = Field(default=(), strict=False)  # as cpus

    @model_validator(mode="after")
    def _fits(self) -> "Remote":
        if self.pipe_cpus and not self.pipe:
            raise ValueError("pipe_cpus: counts with `pipe: true` alone")
        return self


class Metrics(Section):
    """The controller serves its metrics at `address`, the splitter at the next port, and instance m at the port m + 2
    after it."""

    address: Annotated[str, AfterValidator(_address)]

    def beside(self, offset: int) -> str:
        host, _, port = self.address.rpartition(":")
        return f"{host}:{int(port) + offset}"


class Config(Section):
    name: Name | None = None  # default: the network function's
    network_function: NetworkFunction
    ports: Annotated[Mapping[Name, PortConfig], Field(min_length=1, max_length=NF_PORTS_MAX)]
    instances: Instances = Instances()
    splitter: Splitter | Literal[False] = Splitter()  # false: each instance has ports of its own
    hosts: tuple[Host, ...] = Field(default=(), strict=False)
    between_hosts: BetweenHosts = BetweenHosts()
    plane: Literal["shared", "local", "remote"] = "shared"
    remote: Remote | None = None
    metrics: Metrics | None = None
    on_death: Literal["replace", "shrink"] = "replace"  # of an instance: whether a fresh one takes its place

    @model_validator(mode="after")
    def _fits(self) -> "Config":
        names = [host.name for host in self.hosts]
        if len(names) != len(set(names)):
            raise ValueError("two hosts have the same name")
        if self.between_hosts.dead_after_ms < 2 * self.between_hosts.lease_ms:
            raise ValueError("between_hosts: dead_after_ms is below two leases: a cut of that length is nothing yet")
        if self.plane == "remote" and self.remote is None:
            raise ValueError("plane remote: needs the section `remote` with the address of a Redis or Valkey server")
        if self.plane != "remote" and self.remote is not None:
            raise ValueError(f"remote: counts with `plane: remote` alone, and the plane is {self.plane}")
        if self.remote is not None and self.remote.pipe:
            self._check_pipe(self.remote)
        if self.plane == "local" and self.instances.count > 1:
            raise ValueError("plane local: nothing is shared, so there can be one instance only")
        if self.splitter is False:
            for name, port in self.ports.items():
                if "{member}" not in port.device:
                    raise ValueError(
                        f"without a splitter each instance needs a device of its own: port {name} lacks "
                        "a {member} in its device"
                    )
        return self

    def _check_pipe(self, remote: Remote) -> None:
        """Both threads of a pipe want a CPU of their own, where they never rest."""
        runner = self.instances.runner
        shared = sorted(set(runner.cpus) & set(remote.pipe_cpus))
        if shared and runner.idle == "spin":
            raise ValueError(
                f"remote.pipe_cpus: CPU {shared[0]} is a worker's too, and with `idle: spin` neither lets the other run"
            )

    @property
    def deployment(self) -> str:
        return self.name or self.network_function.name

    @property
    def state_plane(self) -> StatePlane:
        if self.remote is None:
            return StatePlane(self.plane)
        return StatePlane(self.plane, self.remote.address, self.remote.name or self.deployment)

    def pipe_runner(self, member: int) -> RunnerSettings | None:
        """Of the thread that receives a member's packets; None: its worker does."""
        if self.remote is None or not self.remote.pipe:
            return None
        return self.instances.runner.model_copy(update={"cpus": self.remote.pipe_cpus}).settings(member)

    @property
    def lease_ms(self) -> int:
        """0: all instances are on one host."""
        return self.between_hosts.lease_ms if len(self.hosts) > 1 else 0


_REASONS: Final = {
    "extra_forbidden": "there is no such field",
    "missing": "is missing",
    "model_type": "must be a section of fields",
    "mapping_type": "must be a section of fields",
    "tuple_type": "must be a list",
    "too_short": "must name at least {min_length}",
    "too_long": "must name at most {max_length}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}
# Their reason says all.
_TOLD: Final = ("extra_forbidden", "missing", "too_short", "too_long", "string_too_short", "string_too_long")


def parse(text: str, file: str) -> Config:
    """ConfigError with every fault that was found."""
    examined = Examined(text, file)
    if examined.config is None:
        raise ConfigError(examined.faults)
    return examined.config


class Examined:
    """A file, what could be made of it, and the faults of its shape. ConfigError where it is no mapping of fields."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.document = _load(text, file)
        if not isinstance(self.document, dict):
            raise ConfigError([ConfigFault(file, 1, 1, "", "is no mapping of fields")])
        self.config: Config | None = None  # None: there are faults
        self.faults: list[ConfigFault] = []
        try:
            self.config = Config.model_validate(self.document)
        except ValidationError as error:
            found = [each for each in error.errors() if not _asks_for_false(each["loc"])]
            self.faults = [_fault(dict(each), self.document, file) for each in found]

    @property
    def network_function(self) -> NetworkFunction | None:
        """Its section, where that is right in itself, whatever is wrong elsewhere."""
        with contextlib.suppress(ValidationError):
            return NetworkFunction.model_validate(self.document.get("network_function"))
        return None

    @property
    def devices(self) -> Mapping[str, str]:
        """Of the ports that have one, whatever is wrong elsewhere."""
        ports = self.document.get("ports")
        named = ports.items() if isinstance(ports, dict) else ()
        found = {name: port.get("device") for name, port in named if isinstance(port, dict)}
        return {name: device for name, device in found.items() if isinstance(device, str)}

    def fault(self, reason: str, *path: int | str) -> ConfigFault:
        """At a field, or at the innermost of those around it that the file has."""
        return ConfigFault(self.file, *_place(self.document, list(path)), _dotted(list(path)), reason)


def _load(text: str, file: str) -> Any:
    try:
        return YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        reason = re.sub(r"\s+", " ", error.problem or "is not YAML").strip()
        raise ConfigError([ConfigFault(file, line, column, "", reason)]) from None
    except RecursionError:
        raise ConfigError([ConfigFault(file, 0, 0, "", "is nested too deeply")]) from None
    except (YAMLError, ValueError) as error:  # ValueError: a number or a date that is none
        raise ConfigError([ConfigFault(file, 0, 0, "", f"is not YAML: {error}")]) from None


def _fault(found: Mapping[str, Any], document: Any, file: str) -> ConfigFault:
    path = [part for part in found["loc"] if not _is_branch(part)]
    line, column = _place(document, path)
    known = _REASONS.get(found["type"])
    reason = known.format(**found.get("ctx", {})) if known else str(found["msg"]).removeprefix("Value error, ")
    if found["loc"] == ("splitter", Splitter.__name__):
        reason += " or false"
    told = found["type"] in _TOLD or str(found["input"]) in reason
    if not told and isinstance(found["input"], str | int | float | bool):
        reason += f", not {found['input']!r}"
    return ConfigFault(file, line, column, _dotted(path), reason)


def _asks_for_false(path: tuple[int | str, ...]) -> bool:
    """Of the splitter, which is a section or false: its other form says that, too."""
    return path[-1:] == ("literal[False]",)


def _is_branch(part: object) -> bool:
    """Names of a union's alternatives, which pydantic puts into the path."""
    return isinstance(part, str) and (
        part in (Splitter.__name__, "str", "int", "float", "bool") or part.startswith("literal[")
    )


def _dotted(path: list[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _place(document: Any, path: list[int | str]) -> tuple[int, int]:
    """Line and column of the innermost part of the path that the file has."""
    line, column = 1, 1
    node: Any = document
    for part in path:
        position = _position(node, part) if isinstance(node, CommentedBase) else None
        if position is None:
            break
        line, column = position[0] + 1, position[1] + 1
        node = node[part]
    return line, column


def _position(node: Any, part: int | str) -> tuple[int, int] | None:
    try:
        found = node.lc.item(part) if isinstance(part, int) else node.lc.key(part)
    except (KeyError, TypeError, AttributeError):
        return None
    return (found[0], found[1]) if found else None
