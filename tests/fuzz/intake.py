"""A master's whole intake without sockets: frames in, real codec, turn, actors and journal behind.

What a stranger's bytes may bring about: a counter, a refusal, a dead letter. Never an exception, a
growing memory, or a change of a row by somebody who may not change it.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
from gevent.threadpool import ThreadPool

from stenella.actors.master.role import MASTER_ROUTES
from stenella.actors.worker.role import WORKER_ROUTES
from stenella.protocol.codec import VERSION, CommandDecoder
from stenella.protocol.commands import FromClient, FromWorker
from stenella.runtime.node import Node

from ..actors.builders import definition, task
from ..actors.played_master import PlayedMaster

CLUSTER = "c1"
WORKER, CLIENT = "w1", "admin"
_from_worker: CommandDecoder[FromWorker] = CommandDecoder(FromWorker)
_from_client: CommandDecoder[FromClient] = CommandDecoder(FromClient)
#: Every type byte of msgpack that opens something long, with a length that lies.
LIES = (b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff", b"\xc6\xff\xff")
NAMES = ("w1", "admin", "b1", "r1", "c1", "", "\0", "../../etc/passwd", "'; DROP TABLE master; --")
NUMBERS = (0, 1, 2, 3, 10, 100, 2**31, 2**63 - 1)
#: Leaving is what these do; a fuzzer must not end its own subject.
SKIPPED = {"Shutdown"}
#: The most JSON-like thing a field of any type may hold.
ANYTHING: tuple[Any, ...] = (None, 0, -1, 2**62, 1.5, "x", [], {}, [[[]]], {"a": {"b": 1}}, True)


class Intake:
    """A master that is fed frames; every so often its turns run."""

    def __init__(self) -> None:
        self.master = PlayedMaster()
        counters = self.master.turn.counters
        assert counters is not None
        counters.dispatch = 77_777  # w1 may say what is true of its task; no lie hits this number
        self.master.worker()
        self.master.submit(definition(task("a"), task("b", "a")))
        self.posted = 0
        self.node = Node(
            self.master.turn,
            cluster=CLUSTER,
            sender="master",
            boot="mb",
            storage=ThreadPool(1),
            commit=self.master.journal.commit,
            reconnect=self.master.journal.reconnect,
            load=self.master.journal.load,
            ask=self.master.queries.ask,
            post=self._post,
            perform=lambda actor, effect: None,
            look=lambda late_ms: None,
            refuses=True,
            suspects=Path("/dev/null"),
        )

    def _post(self, peer: bytes, body: bytes) -> None:
        self.posted += 1

    def take(self, body: bytes, as_worker: bool) -> None:
        """One frame from a peer with a good key."""
        if as_worker:
            self.node.take_frame(b"w1-link", WORKER, body, _from_worker, MASTER_ROUTES)
        else:
            self.node.take_frame(b"client", CLIENT, body, _from_client, MASTER_ROUTES)

    def run(self) -> None:
        """Let the master think about what it took."""
        self.master.sent, self.master.batches, self.master.performed = [], [], []
        self.master.run()


class Frames:
    """Frames that are almost right: made of valid ones, by a seeded chance."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.all = [k for k in (*MASTER_ROUTES, *WORKER_ROUTES) if k.__name__ not in SKIPPED]
        self.of = {
            is_worker: [kind for kind in get_args(union) if kind.__name__ not in SKIPPED]
            for is_worker, union in ((True, FromWorker), (False, FromClient))
        }

    def frame(self, as_worker: bool) -> bytes:
        """The next one, from a worker or a client."""
        chance = self.random.random()
        if chance < 0.1:
            return self.random.randbytes(self.random.randint(0, 200))
        body = msgspec.msgpack.encode(self._document(as_worker))
        if chance < 0.5:
            return body
        return self._damaged(bytearray(body))

    def _document(self, as_worker: bool) -> list[Any]:
        random = self.random
        said = [self._command(as_worker) for _ in range(random.choice((0, 1, 1, 1, 2, 5)))]
        header: list[Any] = [VERSION, CLUSTER, WORKER if as_worker else CLIENT, "b1", said]
        if random.random() < 0.1:
            header[random.randrange(5)] = random.choice(ANYTHING)
        return header

    def _command(self, as_worker: bool) -> Any:
        """Fields of the right types as a rule, in a command that need not be for a master."""
        kind = self.random.choice(self.of[as_worker] if self.random.random() < 0.8 else self.all)
        fields = {field.name: self._value(field.type) for field in msgspec.structs.fields(kind)}
        while fields and self.random.random() < 0.1:
            name = self.random.choice(list(fields))
            if self.random.random() < 0.3:
                del fields[name]
            else:
                fields[name] = self.random.choice(ANYTHING)
        return {"type": kind.__name__, **fields}

    def _value(self, kind: Any) -> Any:
        random = self.random
        info = msgspec.inspect.type_info(kind)
        return self._of(info, random)

    def _of(self, info: Any, random: random.Random) -> Any:
        inspect = msgspec.inspect
        match info:
            case inspect.BoolType():
                return random.random() < 0.5
            case inspect.IntType():
                return random.choice(NUMBERS)
            case inspect.FloatType():
                return random.choice((0.0, -1.0, 1e300, float("inf"), float("nan")))
            case inspect.StrType():
                return random.choice(NAMES)
            case inspect.BytesType():
                return random.choice((b"", b"{}", b'{"name":"a","tasks":[]}', b"\xff"))
            case inspect.ListType():
                return [self._of(info.item_type, random) for _ in range(random.randint(0, 2))]
            case inspect.DictType():
                return {random.choice(NAMES): self._of(info.value_type, random)}
            case inspect.UnionType():
                return self._of(random.choice(info.types), random)
            case inspect.StructType():
                made = {f.encode_name: self._of(f.type, random) for f in info.fields}
                return made
            case inspect.NoneType():
                return None
            case _:
                return random.choice(ANYTHING)

    def _damaged(self, body: bytearray) -> bytes:
        random = self.random
        for _ in range(random.randint(1, 4)):
            place = random.randrange(len(body) + 1)
            match random.randrange(5):
                case 0 if body:
                    body[place % len(body)] = random.randrange(256)
                case 1:
                    del body[place:]
                case 2:
                    body[place:place] = random.choice(LIES)
                case 3:
                    body[place:place] = b"\x91" * random.choice((10, 3_000))
                case _:
                    body[place:place] = random.randbytes(3)
        return bytes(body)


def feed(count: int, seed: int, each: Callable[[int], None] = lambda done: None) -> Intake:
    """Feed so many frames; whatever is raised is a bug."""
    intake, frames = Intake(), Frames(seed)
    for number in range(count):
        as_worker = number % 2 == 0
        body = frames.frame(as_worker)
        try:
            intake.take(body, as_worker)
            if number % 20 == 19:
                intake.run()
        except Exception as error:
            error.add_note(f"seed {seed}, frame {number}: {body[:400]!r}")
            raise
        each(number + 1)
    return intake
