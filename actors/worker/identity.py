"""Who a life of a worker is; fixed for the process, known to its actors."""

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """Who this life of the worker is; fixed for the process."""

    worker: str
    boot: str
    life: int
    kernel_boot: str
    journal: str
    cluster: str
    groups: list[str]
    slots: int
    types: list[str]
    version: str
    pid: int
    host: str
    machine: str = ""  # see `protocol.commands.WorkerRegister`
    place: int = 0  # of its folder, as in `JournalNode`
