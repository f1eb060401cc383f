"""
Feed the engine in this process, which must not have loaded Django: `python -m tests.fuzz.run EXAMPLES SEED`.

Exits with 0 if all went well; prints the smallest conversation that did not otherwise.
"""

from __future__ import annotations

from dtws_sio import runtime

runtime.patch()

import gc  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
import warnings  # noqa: E402

from greenlet import greenlet  # noqa: E402
from hypothesis import HealthCheck, given, note, seed, settings  # noqa: E402

from dtws_sio import sio  # noqa: E402
from tests.fuzz import driver, site  # noqa: E402
from tests.fuzz.conversations import Conversation, conversations  # noqa: E402

PER_ROUND = 1000
"""Examples after which Hypothesis begins anew: what it remembers makes it slower and larger."""


class Fuzz:
    """A server and what is held against it."""

    def __init__(self) -> None:
        self.complaints = site.Complaints()
        self.port = site.serve(self.complaints)
        driver.visit(self.port)
        driver.let_run(20)
        self.left = driver.Left()
        self.greenlets = count_greenlets()

    def example(self, conversation: Conversation) -> None:
        """Play one conversation and see that it did no harm."""
        note(f"in bytes: {conversation}")
        try:
            driver.play(conversation, self.port)
            driver.visit(self.port)
            self.left.check()
        finally:
            complaints = self.complaints.take()
        assert not complaints, "\n".join(complaints)

    def check_greenlets(self) -> None:
        """See that no greenlet was left behind but those that the pool keeps for the next event."""
        kept = sio._pool.size + sio.eio.receiver._pool.size
        found = driver.eventually(lambda: (n := count_greenlets()) <= self.greenlets + kept and n, str)
        assert found


def count_greenlets() -> int:
    """Count the greenlets that are alive."""
    gc.collect()
    return sum(1 for each in gc.get_objects() if issubclass(type(each), greenlet) and not each.dead)


def main(examples: int, first_seed: int) -> None:
    """Play so many conversations, in rounds of PER_ROUND with a seed each."""
    fuzz = Fuzz()
    for number, start in enumerate(range(0, examples, PER_ROUND)):
        options = settings(
            max_examples=min(PER_ROUND, examples - start),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        seed(first_seed + number)(options(given(conversations)(lambda conversation: fuzz.example(conversation))))()
    fuzz.check_greenlets()


if __name__ == "__main__":
    stderr = sys.stderr
    warnings.simplefilter("ignore")
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except BaseException:
        sys.stderr = stderr
        traceback.print_exc()
        sys.exit(1)
