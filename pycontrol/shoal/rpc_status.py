# SPDX-License-Identifier: BSD-3-Clause
"""The one table between exceptions and gRPC statuses, in both directions. Details travel as google.rpc.Status."""

import errno
import re
from collections.abc import Sequence
from typing import Final

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status

from shoal import errors
from shoal.proto import common_pb2
from shoal_dataplane import DataplaneError

# gRPC gives a status 8 KiB, the sentence twice in it and both times coded.
SENTENCE_MAX: Final = 400
FAULT_TEXT_MAX: Final = 300
DETAILS_BYTES: Final = 2500
_CONNECTION: Final = re.compile(r"last error: \w+: (\S+?): .*: ([^:]+)$")

_CODES: Final[tuple[tuple[type[Exception], grpc.StatusCode], ...]] = (
    (errors.ConfigError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.InvalidRequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotFoundError, grpc.StatusCode.NOT_FOUND),
    (errors.RefusedError, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.NoRoomError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.StaleTermError, grpc.StatusCode.ABORTED),
    (errors.UnreachableError, grpc.StatusCode.UNAVAILABLE),
    (errors.DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
)

_DATAPLANE_CODES: Final = {
    errno.EINVAL: grpc.StatusCode.INVALID_ARGUMENT,
    errno.E2BIG: grpc.StatusCode.INVALID_ARGUMENT,
    errno.ERANGE: grpc.StatusCode.INVALID_ARGUMENT,
    errno.ENAMETOOLONG: grpc.StatusCode.INVALID_ARGUMENT,
    errno.ENOENT: grpc.StatusCode.NOT_FOUND,
    errno.EBUSY: grpc.StatusCode.FAILED_PRECONDITION,
    errno.EEXIST: grpc.StatusCode.FAILED_PRECONDITION,
    errno.EAGAIN: grpc.StatusCode.FAILED_PRECONDITION,
    errno.EACCES: grpc.StatusCode.FAILED_PRECONDITION,
    errno.EPERM: grpc.StatusCode.FAILED_PRECONDITION,
    errno.ENOTCONN: grpc.StatusCode.UNAVAILABLE,
    errno.ENOSPC: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errno.ENOMEM: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errno.ESTALE: grpc.StatusCode.ABORTED,
    errno.ETIMEDOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    errno.ENOTSUP: grpc.StatusCode.UNIMPLEMENTED,
}

_EXCEPTIONS: Final[dict[grpc.StatusCode, type[errors.ShoalError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: errors.NotFoundError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.RefusedError,
    grpc.StatusCode.UNIMPLEMENTED: errors.RefusedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.NoRoomError,
    grpc.StatusCode.UNAVAILABLE: errors.UnreachableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineError,
}


def code_of(error: Exception) -> grpc.StatusCode:
    """The status code that an exception becomes."""
    if isinstance(error, DataplaneError):
        return _DATAPLANE_CODES.get(error.code, grpc.StatusCode.INTERNAL)
    return next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def sentence_of(error: Exception) -> str:
    if isinstance(error, DataplaneError):
        return error.sentence
    return str(error) or type(error).__name__


def _cut(text: str, most: int = SENTENCE_MAX) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _faults(faults: Sequence[errors.ConfigFault]) -> list[Message]:
    """As many as there is room for, and how many more there are."""
    made: list[Message] = []
    room = DETAILS_BYTES
    for index, f in enumerate(faults):
        file, field, reason = (_cut(text, FAULT_TEXT_MAX) for text in (f.file, f.field, f.reason))
        fault = common_pb2.ConfigFault(file=file, line=f.line, column=f.column, field=field, reason=reason)
        room -= fault.ByteSize()
        if room < 0:
            more = common_pb2.ConfigFault(file=file, reason=f"and {len(faults) - index} more faults")
            return [*made, more]
        made.append(fault)
    return made


def _details(error: Exception) -> list[Message]:
    if isinstance(error, errors.ConfigError):
        return _faults(error.faults)
    if isinstance(error, DataplaneError):
        return [common_pb2.DataplaneFault(code=error.name, sentence=_cut(error.sentence))]
    if isinstance(error, errors.StaleTermError):
        return [common_pb2.StaleCommand(term=error.term, term_known=error.known)]
    return []


def to_status(error: Exception) -> grpc.Status:
    """What a servant answers instead of a reply."""
    status = status_pb2.Status(code=code_of(error).value[0], message=_cut(sentence_of(error)))
    for detail in _details(error):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return rpc_status.to_status(status)


def _cause(details: str) -> str:
    """Of what gRPC tells of a connection that failed: where to, and the last word."""
    found = _CONNECTION.search(details)
    return f"{found[1]}: {found[2]}" if found else details


def from_rpc_error(error: grpc.aio.AioRpcError, where: str) -> errors.ShoalError:
    """What a client raises; `where` names the process that was asked."""
    faults = []
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for packed in status.details if status is not None else ():
        if packed.Is(common_pb2.ConfigFault.DESCRIPTOR):
            fault = common_pb2.ConfigFault()
            packed.Unpack(fault)
            faults.append(errors.ConfigFault(fault.file, fault.line, fault.column, fault.field, fault.reason))
        if packed.Is(common_pb2.StaleCommand.DESCRIPTOR):
            stale = common_pb2.StaleCommand()
            packed.Unpack(stale)
            return errors.StaleTermError(stale.term, stale.term_known)
    if faults:
        return errors.ConfigError(faults)
    if error.code() is grpc.StatusCode.UNAVAILABLE and status is None:
        hint = "; `shoal up FILE.yaml` starts one" if where == "controller" else ""
        return errors.UnreachableError(f"no {where} answers ({_cause(error.details() or '')}){hint}")
    kind = _EXCEPTIONS.get(error.code(), errors.ShoalError)
    return kind(f"{where}: {error.details() or error.code().name}")
