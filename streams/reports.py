"""What a person is told of a stage's books: what is wrong, and what will be if it lasts."""

from collections.abc import Iterable, Mapping

from windvane.streams.stage import Logic, Waiting
from windvane.streams.topics import FEATURES
from windvane.streams.troubles import Lasting, Trouble, Troubles


def stalled(logic: Logic) -> Mapping[str, Waiting]:
    """Books whose next row is known and lacks something else."""
    waiting = logic.waiting()
    return {book: lacking for book, lacking in waiting.items() if lacking.topics[0] != FEATURES.name}


def lasting(logic: Logic) -> Mapping[str, Lasting]:
    """What is a trouble once it has lasted, by book: what the logic says, else that the book waits."""
    waits = {
        book: Lasting(seq, Trouble("waiting", _waits(book, seq, topics[0])))
        for book, (seq, topics) in stalled(logic).items()
    }
    return {**waits, **logic.lasting()}


def troubles(logic: Logic, stopped: Iterable[tuple[str, str]]) -> Troubles:
    """What is wrong with books, by book. stopped: books that are not worked on, and why."""
    alone = {book: Trouble("stopped", f"book {book} is stopped: {why}") for book, why in stopped}
    return {**logic.troubles(), **alone}


def _waits(book: str, seq: int, topic: str) -> str:
    return f"book {book} waits at seq {seq} for {topic}: look at the stage that writes them, and its log"
