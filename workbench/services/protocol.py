"""Messages between server and worker: plain values as JSON, its length in bytes before it."""

import json
import struct
from typing import IO, Any

Message = dict[str, Any]

LARGEST = 64_000_000
"""Bytes of a message. The largest there are, attention maps, have about 200,000."""
_LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """Bytes that are no message."""


def write_message(stream: IO[bytes], message: Message) -> None:
    """Sends a message at once; OSError when nobody listens, ProtocolError when it is too large."""
    body = json.dumps(message).encode("utf-8", "backslashreplace")
    if len(body) > LARGEST:
        raise ProtocolError(f"a message of {len(body)} bytes")
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """The next message, else a ProtocolError; None at the end of the stream, even inside one."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LARGEST:
        raise ProtocolError(f"a message of {length} bytes")
    body = stream.read(length)
    if len(body) < length:
        return None
    try:
        message = json.loads(body)
    except ValueError as error:
        raise ProtocolError(f"no JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError("no object")
    return message
