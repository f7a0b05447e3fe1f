"""The demo's story: the same seed, the same story; and everything in it can happen."""

import pytest

from api.cli.demo.command import FIRST_DAY
from api.cli.demo.story import CARDS, Ending, write_story


def test_the_same_seed_gives_the_same_story() -> None:
    assert write_story(7, 50, FIRST_DAY) == write_story(7, 50, FIRST_DAY)
    assert write_story(7, 50, FIRST_DAY) != write_story(8, 50, FIRST_DAY)


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_story_as_long_as_the_demo_has_every_card_and_every_ending(seed: int) -> None:
    story = write_story(seed, 40, FIRST_DAY)
    assert {one.card for one in story.purchases} == {card for card, _ in CARDS}
    assert {one.ending for one in story.purchases} == set(Ending)
    wanted = {sku for one in story.purchases for sku in one.lines}
    assert wanted <= {ware.sku for ware in story.wares}
    assert all(ware.unit_price_minor > 0 for ware in story.wares)
