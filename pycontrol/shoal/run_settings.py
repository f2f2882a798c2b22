# SPDX-License-Identifier: BSD-3-Clause
"""From the control plane's runner settings to the data plane's."""

from shoal.errors import InvalidRequestError
from shoal.model import RunnerSettings
from shoal_dataplane import IdlePolicy, RunnerConfig


def runner_config(name: str, settings: RunnerSettings) -> RunnerConfig:
    try:
        policy = IdlePolicy[settings.idle.upper()]
    except KeyError:
        choices = ", ".join(policy.name.lower() for policy in IdlePolicy)
        raise InvalidRequestError(f"there is no idle policy {settings.idle!r}: {choices}") from None
    return RunnerConfig(name, settings.cpu, policy, settings.idle_polls, settings.sleep_us)
