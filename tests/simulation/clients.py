"""Clients of the world: they ask, repeat until answered, and hold the master to its word."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from stenella.protocol.codec import CommandDecoder, decode_header, digest, encode_frames
from stenella.protocol.commands import (
    Answer,
    Command,
    ExplainRead,
    InstanceChanged,
    InstanceList,
    InstancePage,
    InstanceRead,
    InstanceWatch,
    KillTask,
    LetterRetry,
    LogRead,
    Refused,
    Request,
    Shutdown,
    StatusRead,
    Stop,
    Submit,
    ToClient,
    WorkerOrder,
)
from stenella.protocol.errors import UNKNOWN_DEFINITION
from stenella.workflow import definition as definitions
from stenella.workflow.definition import Definition

from .network import Link
from .node import CLUSTER
from .sending import Sending, content
from .story import Violation
from .worker_node import MORE_SLOTS
from .workflows import PROBE, wide, workflow

if TYPE_CHECKING:
    from .world import World

REPEAT_MS = (1_000, 2_000, 3_000, 5_000)
#: The master takes nothing now; the same request may come again.
PASSING = ("busy", "storage_stalled", "shutting_down", "worker_away")
WATCH_MS = 10_000
NOBODY = "nobody"  # no task of that name is there
_decoder: CommandDecoder[ToClient] = CommandDecoder(ToClient)


class Pending:
    """A request without an answer."""

    def __init__(self, request: Request, then: Callable[[Command], None]) -> None:
        self.request = request
        self.then = then
        self.sent = 0


class Client:
    """A program that submits its share of the workflows, watches them and sometimes stops them."""

    side = b"c"
    alive = True
    life = 1

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.name = f"client-{number}"
        self.link: Link | None = None
        self.numbers = 0
        self.pending: dict[str, Pending] = {}
        self.answers: dict[str, Command] = {}  # of intents, by request id
        self.to_submit = 0

    def start(self) -> None:
        """Connect, and plan the load."""
        self.world.network.dial(self)
        options, random = self.world.options, self.world.random
        share = [n for n in range(options.instances) if n % 2 == int(self.name[-1]) % 2]
        self.to_submit = len(share)
        for number in share:
            self._submit_later(workflow(random, options, number))

    def _submit_later(self, made: Definition) -> None:
        wait_ms = self.world.random.randint(0, self.world.options.safety_ms // 2)
        self.world.after(wait_ms, lambda: self.submit(made))

    def when_awake(self, action: Callable[[], object]) -> None:
        """A client never stands still."""
        action()

    # --- intents ----------------------------------------------------------------------------------

    def submit(self, made: Definition) -> None:
        """Start a workflow, watch it, perhaps stop it."""
        body = definitions.encode(made)
        dry_run = made.name != PROBE and self.world.random.random() < self.world.options.dry
        request = Submit(
            request_id=self.new_id("submit"),
            digest=digest(b"Submit", body),
            params={},
            dry_run=dry_run,
        )
        self.to_submit -= self.to_submit > 0
        parts = self.world.options.parts
        if parts and self.world.random.random() < parts:
            request = msgspec.structs.replace(request, definition_digest=content(body))
            Sending(self, request, body, partial(self._submitted, request, body)).begin()
        else:
            request = msgspec.structs.replace(request, definition=body)
            self.ask(request, partial(self._submitted, request, body))

    def _submitted(self, request: Submit, body: bytes, answer: Command) -> None:
        if isinstance(answer, Refused) and answer.code == "quarantined" and self.world.poison.met:
            return
        if not isinstance(answer, Answer):
            raise Violation("a sound workflow is taken", f"{answer}")
        number = answer.result["workflow_instance_id"]
        options, random = self.world.options, self.world.random
        self.world.checkers.rows.is_what_was_sent(number, body)
        self.watch(number, 0)
        if random.random() < options.doubles:
            wait_ms = random.randint(0, 10_000)
            self.world.after(wait_ms, lambda: self.ask(request, lambda again: None))
            other = Stop(request_id=request.request_id, digest="x", workflow_instance_id=number)
            self.world.after(wait_ms + 10_000, lambda: self._reuse(other))
        if random.random() < options.stops:
            self.world.after(random.randint(0, 8_000), lambda: self.stop(number))
        if random.random() < options.kills:
            names = [task.name for task in definitions.decode(body).tasks]
            for _ in range(random.randint(1, 3)):
                self._kill_later(number, random.choice([*names, NOBODY]))

    def _reuse(self, other: Stop) -> None:
        """The id of a request for something else must be refused."""

        def judge(answer: Command) -> None:
            if not isinstance(answer, Refused) or answer.code != "reused":
                raise Violation("I10 same id, other digest is refused", f"{answer}")

        if other.request_id not in self.pending:
            self.ask(other, judge)

    def stop(self, number: int) -> None:
        """Stop an instance; it may have ended."""
        body = digest(b"Stop", str(number).encode())
        request = Stop(request_id=self.new_id("stop"), digest=body, workflow_instance_id=number)

        def judge(answer: Command) -> None:
            allowed = ("refused", "needs_attention") if self.world.poison.met else ("refused",)
            if isinstance(answer, Refused) and answer.code not in allowed:
                raise Violation("a stop is carried out or says why not", f"{answer}")

        self.ask(request, judge)

    def order_some(self, worker: str) -> None:
        """Something of one worker."""
        random, options = self.world.random, self.world.options
        word = random.choice(("drain", "drain", "resume", "resize", "resize", "restart", "forget"))
        self.order(worker, word, random.randint(1, options.slots + MORE_SLOTS))

    def drop_orders(self) -> None:
        """Ask no more for what nobody has answered."""
        for request_id, pending in list(self.pending.items()):
            if isinstance(pending.request, WorkerOrder):
                del self.pending[request_id]

    def set_right(self, worker: str) -> None:
        """The worker takes tasks, as many as it was started with."""
        self.order(worker, "resume", 0)
        self.order(worker, "resize", self.world.options.slots)

    def order(self, worker: str, word: str, slots: int) -> None:
        """Until it is carried out, or refused for good."""
        body = digest(b"WorkerOrder", worker.encode(), word.encode(), b"%d" % slots)
        request = WorkerOrder(
            request_id=self.new_id("order"), digest=body, worker=worker, order=word, slots=slots
        )

        def judge(answer: Command) -> None:
            if isinstance(answer, Refused) and answer.code not in ("refused", "not_found"):
                raise Violation("an order is carried out or says why not", f"{answer}")

        self.ask(request, judge)

    def _kill_later(self, number: int, name: str) -> None:
        """By one client, or by both at the same moment (B37)."""
        random = self.world.random
        both = random.random() < self.world.options.doubles
        wait_ms = random.randint(0, 8_000)
        for client in self.world.clients if both else (self,):
            self.world.after(wait_ms, partial(client.kill, number, name))

    def kill(self, number: int, name: str) -> None:
        """Kill a task; it may have ended."""
        body = digest(b"KillTask", str(number).encode(), name.encode())
        request = KillTask(
            request_id=self.new_id("kill"), digest=body, workflow_instance_id=number, task=name
        )

        def judge(answer: Command) -> None:
            refusal = "not_found" if name == NOBODY else "refused"
            allowed = (refusal, "needs_attention") if self.world.poison.met else (refusal,)
            if isinstance(answer, Refused) and answer.code not in allowed:
                raise Violation("a kill is carried out or says why not", f"{answer}")

        self.ask(request, judge)

    def meddle(self) -> None:
        """Whatever a user may do, to whatever there is, twice at once perhaps."""
        random, known = self.world.random, list(self.world.checkers.rows.instances)
        if not known:
            return
        number = random.choice(known)
        for client in random.sample(self.world.clients, random.randint(1, 2)):
            random.choice((client.stop, client.read, client.kill_some))(number)

    def kill_some(self, number: int) -> None:
        """Kill one of its tasks."""
        rows = self.world.checkers.rows
        definition, _ = rows.definition(rows.instances[number])
        self.kill(number, self.world.random.choice(definition.tasks).name)

    def retry_letter(self, number: int) -> None:
        """Take a dead letter again; it may have gone with an earlier one's."""
        request_id = self.new_id("letter")
        body = digest(b"LetterRetry", str(number).encode())
        request = LetterRetry(request_id=request_id, digest=body, letter=number)

        def judge(answer: Command) -> None:
            if isinstance(answer, Refused) and answer.code != "not_found":
                raise Violation("a letter can be retried", f"{answer}")

        self.ask(request, judge)

    def shut_down(self) -> None:
        """Take the cluster down; its supervisor starts it again."""
        random = self.world.random
        wait_ms, keep = random.choice((0, 3_000)), random.random() < 0.3
        request = Shutdown(request_id=self.new_id("down"), wait_ms=wait_ms, keep=keep)
        self._send(request)  # once: repeated, it would take down the next cluster too

    def probe(self, slots: int) -> None:
        """After the healing: every slot works."""
        self.submit(wide(slots))

    # --- reads ------------------------------------------------------------------------------------

    def watch(self, number: int, after: int) -> None:
        """Until the instance has ended."""
        wait_ms = self.world.random.choice((1_000, WATCH_MS))
        request = InstanceWatch(
            request_id=self.new_id("watch"),
            workflow_instance_id=number,
            after=after,
            wait_ms=wait_ms,
            until_end=number % 3 == 0,
            counts=number % 6 == 0,
        )

        def look(answer: Command) -> None:
            assert isinstance(answer, InstanceChanged), answer
            page = answer.page
            if page["instance"] is None or page["instance"]["end_time"] is None:
                self.watch(number, page["last"])
                self.explain(number)
            else:
                self.look_around(number, page)

        self.ask(request, look)

    def read(self, number: int) -> None:
        """Look at an instance once."""
        request = InstanceRead(request_id=self.new_id("read"), workflow_instance_id=number)
        self.ask(request, lambda answer: None)

    def explain(self, number: int) -> None:
        """Ask why it has not ended."""
        request = ExplainRead(request_id=self.new_id("why"), workflow_instance_id=number)

        def judge(answer: Command) -> None:
            if isinstance(answer, Refused) and answer.code == "refused":
                return  # it has ended meanwhile
            assert isinstance(answer, InstancePage), answer
            for cause in answer.page["causes"]:
                if not (cause["sentence"] and cause["cause"]):
                    raise Violation("§1 what waits can say why", f"{cause}")

        self.ask(request, judge)

    def look_around(self, number: int, page: dict[str, Any]) -> None:
        """What else people read."""

        def same_end(answer: Command) -> None:
            assert isinstance(answer, InstancePage), answer
            if answer.page["instance"]["state"] != page["instance"]["state"]:
                raise Violation("I4 terminal is final", f"{answer.page} after {page}")

        read = InstanceRead(request_id=self.new_id("read"), workflow_instance_id=number)
        self.ask(read, same_end)
        self.ask(InstanceList(request_id=self.new_id("list"), limit=5), lambda answer: None)
        self.ask(StatusRead(request_id=self.new_id("status")), lambda answer: None)
        if page["tasks"]:
            task = page["tasks"][0]["task_instance_id"]
            log = LogRead(
                request_id=self.new_id("log"), task_instance_id=task, attempt=0, offset=0, limit=9
            )
            self.ask(log, lambda answer: None)

    # --- one request until its answer -------------------------------------------------------------

    def new_id(self, what: str) -> str:
        """Of a request."""
        self.numbers += 1
        return f"{self.name}-{what}-{self.numbers}"

    def ask(self, request: Request, then: Callable[[Command], None]) -> None:
        """Send until answered."""
        self.pending[request.request_id] = Pending(request, then)
        self._repeat(self.pending[request.request_id])

    def _repeat(self, pending: Pending) -> None:
        if self.pending.get(pending.request.request_id) is not pending:
            return
        self._send(pending.request)
        wait_ms = REPEAT_MS[min(pending.sent, len(REPEAT_MS) - 1)]
        if isinstance(pending.request, InstanceWatch):
            wait_ms += pending.request.wait_ms
        pending.sent += 1
        self.world.after(wait_ms, lambda: self._repeat(pending))

    def _send(self, request: Request) -> None:
        (body,) = encode_frames(CLUSTER, self.name, f"{self.name}-boot", [request])
        self.world.trace.add(self.world.now_ms, self.name, "asks", request)
        self.world.network.to_master(self, body)

    def link_changed(self, up: bool) -> None:
        """A new connection: ask again at once."""
        if up:
            for pending in list(self.pending.values()):
                self._send(pending.request)

    def take_frame(self, peer: bytes, sender: str, body: bytes) -> None:
        """Answers."""
        good, bad = _decoder.decode(decode_header(body, CLUSTER).commands)
        assert not bad, bad
        self.world.trace.add(self.world.now_ms, self.name, "receives", *good)
        for answer in good:
            self._take(answer)

    def _take(self, answer: Answer | Refused | Any) -> None:
        request_id = answer.request_id
        if isinstance(answer, Refused) and answer.code in PASSING:
            lost = len(self.world.present) < len(self.world.workers)
            if answer.code != "worker_away" or not lost:
                return
        if isinstance(answer, Answer) and "received" not in answer.result:
            first = self.answers.setdefault(request_id, answer)
            if first != answer:
                raise Violation("I10 same id, same answer", f"{first}, then {answer}")
            self.world.checkers.on_answer(answer)
        pending = self.pending.get(request_id)
        if pending is None:
            return
        wants_refusal = isinstance(pending.request, Stop) and request_id in self.answers
        if wants_refusal and "submit" in request_id and _is_of_the_submit(answer):
            return  # a late copy of the first answer, or of the first refusal
        del self.pending[request_id]
        pending.then(answer)


def _is_of_the_submit(answer: Command) -> bool:
    """Not to a `Stop` that has its id."""
    if isinstance(answer, Refused):
        return answer.code == UNKNOWN_DEFINITION
    return isinstance(answer, Answer)
