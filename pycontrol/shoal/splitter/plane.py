# SPDX-License-Identifier: BSD-3-Clause
"""The splitter's data plane in this process: EAL, a runner, the C splitter, and the built-in generator where a port is
fed by it. Every method runs in the control thread."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal import eal_files
from shoal.eal_arguments import arguments as eal_arguments
from shoal.errors import RefusedError
from shoal.model import TRAFFIC_DEVICE, Port, RunnerSettings
from shoal.port_device import Claims
from shoal.run_settings import runner_config
from shoal.traffic.builtin import BuiltinBackend
from shoal.traffic.session import TrafficSession
from shoal_dataplane import Eal, Generator, GeneratorConfig, Runner, Splitter, SplitterConfig

GENERATOR_PACKETS: Final = 32768


@dataclass(frozen=True, slots=True)
class PlaneConfig:
    """What the controller configures the splitter with."""

    name: str
    cluster: int
    nf_path: str
    settings: Mapping[str, str]
    ports: tuple[Port, ...]
    packets: int
    parked: int
    fragments: int
    ring_bytes: int
    runner: RunnerSettings
    eal: tuple[str, ...]


class Plane:
    """Owns the C objects of this process, from the inside out. Word of what would outlive a kill lies in `directory`
    before it is made."""

    def __init__(self, config: PlaneConfig, directory: Path) -> None:
        """Starts the data plane. What was made is taken down again if a later step fails."""
        self.config = config
        self._directory = directory
        self._running = False
        prefix = eal_files.prefix(config.cluster, config.name)
        eal_files.note(directory, prefix)
        devices = [port.device for port in config.ports if port.device != TRAFFIC_DEVICE]
        self._claims = Claims(devices)
        packets = config.packets + (GENERATOR_PACKETS if len(devices) < len(config.ports) else 0)
        self._eal = Eal(eal_arguments(prefix, packets, devices, config.eal))
        self._runner: Runner | None = None
        self._splitter: Splitter | None = None
        self._generator: Generator | None = None
        self._session: TrafficSession | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        config = self.config
        self._runner = Runner(runner_config(config.name, config.runner))
        self._splitter = Splitter(
            SplitterConfig(
                name=config.name,
                nf_path=config.nf_path,
                packets=config.packets,
                parked_max=config.parked,
                fragments_max=config.fragments,
                ring_bytes=config.ring_bytes,
            )
        )
        for name, value in config.settings.items():
            self._splitter.set(name, value)
        self._splitter.init_nf()
        for port in config.ports:
            if port.device == TRAFFIC_DEVICE:
                self._splitter.attach_generator(port.number, self._ensure_generator())
            else:
                self._splitter.attach_port(port.number, port.device)
        self._splitter.run_on(self._runner)
        self._runner.start()
        self._running = True

    def _ensure_generator(self) -> Generator:
        if self._generator is None:
            self._generator = Generator(GeneratorConfig("traffic", packets=GENERATOR_PACKETS))
            self._session = TrafficSession(BuiltinBackend(self._generator))
        return self._generator

    @property
    def traffic(self) -> TrafficSession:
        if self._session is None:
            raise RefusedError(f"no port has the device {TRAFFIC_DEVICE!r}: there is no built-in generator")
        return self._session

    @property
    def splitter(self) -> Splitter:
        assert self._splitter is not None
        return self._splitter

    def close(self) -> None:
        """Stops polling, then takes everything down. May be called again."""
        if self._runner is not None and self._running:
            self._runner.stop()
            self._running = False
        for handle in (self._splitter, self._generator, self._runner, self._eal):
            if handle is not None:
                handle.close()
        self._claims.close()
        eal_files.forget(self._directory)
