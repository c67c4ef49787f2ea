"""The envelope: any value comes back, behind one line of text."""

from hypothesis import given
from hypothesis import strategies as st

from trainables.store.envelope import ENVELOPE_BYTES, seal, unseal


@given(value=st.binary(max_size=200))
def test_envelope_is_a_line_before_the_plain_value(value: bytes) -> None:
    line = seal(value)
    assert len(line) == ENVELOPE_BYTES
    assert line.endswith(b"\n")
    assert line.isascii()
    assert unseal(line + value) == value
