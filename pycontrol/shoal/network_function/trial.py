# SPDX-License-Identifier: BSD-3-Clause
"""Whether a network function takes its settings: a trial copy of it is made, configured, initialised and destroyed in a
process of its own, without EAL, packets or state. So a function that crashes over a setting harms nobody."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shoal.errors import InvalidRequestError
from shoal.network_function.image import Image
from shoal.network_function.layout import Layouts

WHOLE: Final = ""  # what init says: of all settings together
DEADLINE_S: Final = 10.0
_CALLS: Final = ("create", "configure", "init", "destroy")
_PROGRAM: Final = Path(__file__).with_name("trial_program.py")


def refusals(path: Path, settings: Mapping[str, str]) -> Mapping[str, str]:
    """The function's own sentence for each setting that it refuses, and for the whole. InvalidRequestError: it can't be
    asked."""
    image = Image(path)
    try:
        layout = Layouts(image).structure("struct shoal_nf")
        offsets = {name: layout.offset(name) for name in _CALLS}
    finally:
        image.close()
    request = json.dumps({"path": str(path), "offsets": offsets, "settings": dict(settings)})
    command = [sys.executable, "-I", "-S", str(_PROGRAM)]
    try:
        answer = subprocess.run(command, input=request, capture_output=True, text=True, timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        raise InvalidRequestError(f"{path} does not come to an end with its settings") from None
    if answer.returncode:
        lines = answer.stderr.strip().splitlines()
        how = lines[-1] if lines else f"status {answer.returncode}"
        raise InvalidRequestError(f"{path} can't be asked whether it takes its settings: {how}")
    found: dict[str, str] = json.loads(answer.stdout)
    return found
