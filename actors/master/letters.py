"""What can be done with a dead letter, and how it is taken again. Pure; used by the gateway."""

from ...protocol.commands import FromClient, FromWorker
from ...protocol.rows import DeadLetter
from ..suspects import TAKES_AGAIN, Redelivered, command_of

Refusal = tuple[int, str, str]  # exit code, code, message


def is_instance(row: DeadLetter) -> bool:
    """Whether it stands for an instance whose rows crashed the master, not for a message."""
    return bool(row.key) and not row.actor


def refusal(number: int, row: DeadLetter | None, drops: bool) -> Refusal | None:
    """Why it cannot be done; None: it can."""
    if row is None:
        text = f"no dead letter {number}; `stenella debug dead-letters` shows those there are"
        return 3, "not_found", text
    if is_instance(row):
        if not drops:
            return None
        text = (
            f"dead letter {number} stands for workflow instance {row.workflow_instance_id} itself; "
            "it stays until the instance is retried, say after an upgrade"
        )
        return 6, "refused", text
    if drops or _decoded(row) is not None:
        return None
    text = f"dead letter {number} cannot be taken again, it is only evidence; drop it"
    return 6, "refused", text


def again(number: int, row: DeadLetter) -> Redelivered:
    """The message as its actor takes it a second time."""
    command = _decoded(row)
    assert command is not None, number
    return Redelivered(number, row.sender, command)


def _decoded(row: DeadLetter) -> FromWorker | FromClient | None:
    return command_of(row.body) if row.actor in TAKES_AGAIN else None
