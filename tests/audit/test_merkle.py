"""The tree is the one of RFC 9162: the test vectors of Certificate Transparency fit."""

from hashlib import sha256

import pytest

from infrastructure.audit.merkle import EMPTY_ROOT, LEAF, Entry, merkle_root

INPUTS = [
    b"",
    b"\x00",
    b"\x10",
    b" !",
    b"01",
    b"@ABC",
    b"PQRSTUVW",
    b"`abcdefghijklmno",
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(1, 9))
def test_roots_are_those_of_certificate_transparency(count: int) -> None:
    leaves = [sha256(LEAF + one).digest() for one in INPUTS[:count]]
    assert merkle_root(leaves).hex() == ROOTS[count - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle_root([]) == EMPTY_ROOT == sha256(b"").digest()


@pytest.mark.parametrize(
    "changed",
    [
        {"position": 2},
        {"stream": "order-2"},
        {"version": 2},
        {"recorded_us": -1},
        {"order_id": b""},
        {"event_hash": bytes(32)},
    ],
)
def test_a_leaf_covers_every_part_of_an_entry(changed: dict[str, object]) -> None:
    entry = Entry(1, "order-1", 1, 0, bytes(16), b"h" * 32)
    assert entry._replace(**changed).leaf() != entry.leaf()  # type: ignore[arg-type]
