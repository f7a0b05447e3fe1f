"""How documents lie in Redis: what a single read takes out of one is what stands in it."""

import pytest

from domain.ids import CustomerId, StreamId
from infrastructure.redis import stored_document
from infrastructure.redis.stored_document import Header, StoredDocument


@pytest.mark.parametrize("parked", [False, True])
def test_a_single_read_sees_what_the_whole_document_says(*, parked: bool) -> None:
    lists = ["all", 'customer:c-"1\n']
    header = Header(CustomerId('c-"1\n'), {StreamId("order-1"): 2}, "sort", lists, parked)
    value = stored_document.encode_stored(StoredDocument(71, header, b'{"line":\n1}'))
    whole, shown = stored_document.decode(value), stored_document.decode_shown(value)
    assert shown is not None
    assert (shown.position, shown.body) == (whole.position, whole.body) == (71, b'{"line":\n1}')
    assert (shown.owner, shown.parked) == (whole.header.owner, whole.header.parked)
    assert shown.parked is parked
