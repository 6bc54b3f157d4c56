"""What a person may want of a worker, and when it is refused. Pure; the registry carries it out."""

from .known import Known
from .messages import NotDone, OrderWorker

SLOTS_MAX = 10_000  # as worker.slots of conf.toml
#: Orders that change the worker's row; `forget` asks the dispatcher first.
CHANGES = ("drain", "resume", "resize", "restart")


def refusal(order: OrderWorker, known: Known | None) -> NotDone | None:
    """Why it is not carried out, if it is not."""

    def refuse(exit_code: int, code: str, text: str) -> NotDone:
        return NotDone(order.request_id, exit_code, code, text)

    if known is None or known.is_hidden:
        text = f"no worker {order.worker[:64]!r}; `stenella worker ls` shows those there are"
        return refuse(3, "not_found", text)
    if order.order not in (*CHANGES, "forget"):
        return refuse(2, "usage", f"there is no order {order.order[:40]!r} for a worker")
    if order.order == "resize" and not 1 <= order.slots <= SLOTS_MAX:
        return refuse(2, "usage", f"{order.slots} slots: a worker has 1 to {SLOTS_MAX:,}")
    if order.order == "restart" and known.row.left_at is not None:
        text = f"{order.worker} has left; start it with `stenella up` or `stenella worker start`"
        return refuse(6, "refused", text)
    if order.order == "forget" and not known.late and known.row.left_at is None:
        text = f"{order.worker} is {known.state()}: end its process first, then forget it"
        return refuse(6, "refused", text)
    return None


def change(order: OrderWorker, known: Known, wall_ms: int) -> bool:
    """Write the order into the row; False: it stands there already."""
    row = known.row
    before = row.draining_since, row.slots_set, row.restart_boot
    match order.order:
        case "drain":
            row.draining_since = row.draining_since or wall_ms
        case "resume":
            row.draining_since = None
        case "resize":
            row.slots_set = order.slots
        case "restart":
            row.restart_boot = known.boot or row.boot
    return before != (row.draining_since, row.slots_set, row.restart_boot)
