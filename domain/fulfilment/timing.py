"""How long the saga waits for whom, and how often it tries. Settings; these are the defaults."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.fulfilment.events import Step


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, counted from the start of a step.

    Attributes:
        reserve_s: how long stock is held for a customer who has not paid yet.
        answer_s: until a service of ours is asked what came of a step; then twice as long, and
            so on, up to `longest_pause_s` each.
        most_asks: so often is it asked before a step counts as stuck.
        ship_s: until the merchant is late with the parcels.
        deliver_s: until a parcel without a scan counts as stuck.
        authorize_attempts: how often the customer's bank is asked, at most.
        authorize_pause_s: between two such attempts.
        retry_pause_s: after a failed capture or refund; then twice as long, and so on.
        retry_for_s: for so long is such a one tried again.
    """

    reserve_s: int = 20 * 60
    answer_s: int = 30
    most_asks: int = 8
    ship_s: int = 3 * 86_400
    deliver_s: int = 7 * 86_400
    authorize_attempts: int = 3
    authorize_pause_s: int = 60
    retry_pause_s: int = 60
    longest_pause_s: int = 3_600
    retry_for_s: int = 72 * 3_600

    def due_at(self, step: Step, now: datetime) -> datetime:
        """When the first answer to a step is due."""
        seconds = {
            Step.RESERVE: self.reserve_s,
            Step.SHIP: self.ship_s,
            Step.DELIVER: self.deliver_s,
        }.get(step, self.answer_s)
        return now + timedelta(seconds=seconds)

    def ask_again_at(self, asked: int, now: datetime) -> datetime:
        """When the next answer is due, after a service was asked so often in vain."""
        return now + self._doubled(self.answer_s, asked)

    def retry_at(self, step: Step, attempt: int, since: datetime, now: datetime) -> datetime | None:
        """When a failed attempt is followed by the next, the first being due at `since`.

        None: it was the last.
        """
        if step is Step.AUTHORIZE:
            pause = timedelta(seconds=self.authorize_pause_s)
            return now + pause if attempt < self.authorize_attempts else None
        again = now + self._doubled(self.retry_pause_s, attempt - 1)
        return again if again <= since + timedelta(seconds=self.retry_for_s) else None

    def _doubled(self, seconds: int, times: int) -> timedelta:
        # 2^20 of the shortest pause is above the longest already.
        return timedelta(seconds=min(seconds * 2 ** min(times, 20), self.longest_pause_s))
