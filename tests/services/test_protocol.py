"""What travels between a server and a process that stands by."""

from __future__ import annotations

import io

import pytest

from workbench.services.protocol import ProtocolError, read_message, write_message

HOSTILE = "<script>alert(1)</script> \udcff \x00 ![x](http://x) 🙂"


def test_messages_come_out_as_they_went_in() -> None:
    sent = {"text": HOSTILE.encode("utf-8", "replace").decode(), "numbers": [1, 2.5, None]}
    stream = io.BytesIO()
    write_message(stream, sent)
    write_message(stream, {"second": True})
    stream.seek(0)
    assert read_message(stream) == sent
    assert read_message(stream) == {"second": True}
    assert read_message(stream) is None


@pytest.mark.parametrize("cut", [2, 6])
def test_half_a_message_is_the_end(cut: int) -> None:
    stream = io.BytesIO()
    write_message(stream, {"text": "whole"})
    assert read_message(io.BytesIO(stream.getvalue()[:cut])) is None


@pytest.mark.parametrize("raw", [b"\xff\xff\xff\xff", b"\0\0\0\2{]", b"\0\0\0\2[]"])
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_message(io.BytesIO(raw))
