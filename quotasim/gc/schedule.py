"""When a collector is run that does not run by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from quotasim.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class GcSchedule:
    """Runs at fixed intervals.

    Attributes
    ----------
    every : microseconds between two runs.
    next_run : when the next one is, microseconds since the epoch, UTC.
    policy : the name of the profile's policy that it follows.

    Examples
    --------
    >>> GcSchedule(every=10, next_run=5, policy="default").after_run().next_run
    15
    """

    every: int
    next_run: int
    policy: str

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InvalidValue("every", self.every, "1 or more microseconds")

    def after_run(self) -> GcSchedule:
        """Return the schedule once the next run is done."""
        return replace(self, next_run=self.next_run + self.every)
