"""Messages on the job queue: read as they were written, and any other text is a job or unreadable."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from onnx_handler.jobs import messages
from onnx_handler.jobs.messages import ID, Message, UnreadableMessage

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)
TEXT = st.text(max_size=8)
MESSAGES = st.builds(
    Message,
    st.from_regex(ID, fullmatch=True),
    TEXT.filter(bool),
    st.none() | TEXT.filter(bool),
    st.dictionaries(st.text("abc-", min_size=1, max_size=4), TEXT, max_size=2),
    st.binary(max_size=20) | TEXT.map(str.encode),
    body_uri=st.just(""),
    deadline=st.integers(0, 10**13),
    fingerprint=TEXT,
    parked=TEXT,
)


@given(MESSAGES)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    text = messages.write(message)
    assert text.isascii()
    assert min(text, default=" ") >= " "
    assert messages.read(text, "other") == message
    uri = message._replace(body=None, body_uri="s3://bucket/key")
    assert messages.read(messages.write(uri), "other") == uri


@given(st.one_of(st.text(max_size=30), VALUES.map(json.dumps), st.dictionaries(
    st.sampled_from(["id", "model", "version", "headers", "body", "body_base64", "body_uri", "deadline", "inputs",
                     "fingerprint", "parked"]), VALUES, max_size=4).map(json.dumps)))  # fmt: skip
def test_any_other_message_is_unreadable_or_a_job(text: str) -> None:
    try:
        message = messages.read(text, "message-id", "model")
    except UnreadableMessage:
        return
    assert ID.fullmatch(message.id)
    assert message.model
    assert (message.body is None) == bool(message.body_uri)
