"""The embedded runner: the whole topology in one process, without a broker.

It has no clock and no disk: a listener gets every event.
"""

from collections.abc import Callable, Mapping, Sequence

from windvane.streams.codec import cuts, from_json, pack, to_json, unpack
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import Decisions, Event, Model, TrainRequest
from windvane.streams.stage import Following, Stage, StateError, Trainer, Training
from windvane.streams.topics import CONTROL, MODELS, TICKS, Topic
from windvane.streams.topology import TOPOLOGY

Listener = Callable[[Topic, Event], None]


class EmbeddedRunner:
    """Runs stages in the order of the topology until nothing is left to do.

    listener: called with every event on every topic, inputs too, in a causal order. wire: every event goes through its
    JSON bytes, cut at 256 rows, as it would on Kafka. snapshot: what `snapshot` returned, to go on from there. trainer:
    trains what a stage asks for, while the other stages go on as far as they can. waits: whether `pump` waits for
    trainings; else it hands on the results that are there, so no row waits for one, and time decides from which row on
    a version is used: for timed books.
    """

    def __init__(
        self,
        listener: Listener | None = None,
        *,
        wire: bool = False,
        snapshot: bytes | None = None,
        topology: Sequence[Stage] = TOPOLOGY,
        trainer: Trainer | None = None,
        waits: bool = True,
    ) -> None:
        self._trainer = trainer
        self._waits = waits
        self._training: list[
            tuple[int, Training]
        ] = []  # by place of the stage that asked for it, in the order asked
        self._fresh = snapshot is not None
        self._stages = tuple(topology)
        states: Mapping[str, bytes] = {} if snapshot is None else _states(snapshot)
        self._logic = [stage.build(states.get(stage.name)) for stage in self._stages]
        self._routes = [
            {kind: topic for topic in stage.emits for kind in topic.carries} for stage in self._stages
        ]
        self._inbox: list[list[Event]] = [[] for _ in self._stages]
        readers: dict[str, list[int]] = {}
        for place, stage in enumerate(self._stages):
            for topic in stage.reads:
                readers.setdefault(topic.name, []).append(place)
        self._readers = readers
        self._listener = listener
        self._wire = wire

    def send(self, topic: Topic, event: Event) -> None:
        """Put an event on a topic; `pump` works it off."""
        for piece in cuts(event) if self._wire else (event,):
            sent = from_json(to_json(piece)) if self._wire else piece
            if self._listener is not None:
                self._listener(topic, sent)
            for place in self._readers.get(topic.name, ()):
                self._inbox[place].append(sent)

    def feed(self, events: Sequence[Event]) -> None:
        """Send ticks, and the opening and closing of books, in order; blocks until all that follows is done."""
        for event in events:
            self.send(TICKS, event)
        self.pump()

    def control(self, events: Sequence[Event]) -> None:
        """Send controls, and the models that swaps name; of a lockstep book, before the rows that they rule."""
        for event in events:
            self.send(MODELS if isinstance(event, Model) else CONTROL, event)
        self.pump()

    def follow(self, decisions: Decisions) -> None:
        """Make the choices of time again that were recorded for these rows; to be called before the rows are fed."""
        for logic in self._logic:
            if isinstance(logic, Following):
                logic.follow(decisions)

    def pump(self) -> None:
        """Step stages until no inbox holds anything and no training is under way that is waited for; blocks as long.

        A stage gets the result of a training only when no stage has anything else to do, so where trainings are waited
        for, what happens does not depend on how long they took.
        """
        if self._fresh:  # what was asked for before a restart is asked for again
            self._fresh = False
            for place in range(len(self._stages)):
                self._step(place, ())
        busy = True
        while busy:
            busy = False
            for place in range(len(self._stages)):
                events = self._inbox[place]
                if events:
                    busy = True
                    self._inbox[place] = []
                    self._step(place, events)
            if not busy and self._training and (self._waits or self._training[0][1].done()):
                busy = True
                place, training = self._training.pop(0)
                self._inbox[place].append(training.result())

    def _step(self, place: int, events: Sequence[Event]) -> None:
        for event in self._logic[place].step(events):
            if isinstance(event, TrainRequest):
                if self._trainer is None:
                    raise StateError(
                        f"book {event.book} is to be retrained, and this runner has no trainer: give it one"
                    )
                self._training.append((place, self._trainer(event)))
            else:
                self.send(self._routes[place][type(event)], event)

    @property
    def training(self) -> bool:
        """Whether a training is under way, whose result a later `pump` may hand on."""
        return bool(self._training)

    def learned(self, book: str, about: dict[str, str]) -> bytes:
        """What the learner of a book knows, between two calls of `feed`; as `EnsembleStage.learned`."""
        (ensemble,) = (logic for logic in self._logic if isinstance(logic, EnsembleStage))
        return ensemble.learned(book, about)

    def snapshot(self) -> bytes:
        """State of all stages, between two calls of `feed`."""
        return self.begin_snapshot()()

    def begin_snapshot(self) -> Callable[[], bytes]:
        """Copy the state of all stages, between two calls of `feed`; what is returned makes the bytes of `snapshot`.

        It is to be called once, by any thread, while the runner goes on.
        """
        copies = {s.name: logic.begin_snapshot() for s, logic in zip(self._stages, self._logic, strict=True)}
        for copy in copies.values():
            copy.copy_all()

        def made() -> bytes:
            parts = {name: b"".join(copy.parts()) for name, copy in copies.items()}
            return pack({"sizes": {name: len(raw) for name, raw in parts.items()}}) + b"".join(parts.values())

        return made


def _states(snapshot: bytes) -> dict[str, bytes]:
    head = 4 + int.from_bytes(snapshot[:4], "little")
    sizes = unpack(snapshot[:head])["sizes"]
    states: dict[str, bytes] = {}
    for name, size in sizes.items():
        states[name] = snapshot[head : head + size]
        head += size
    return states
