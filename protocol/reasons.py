"""Stable words that say why a task ended as it did; docs/programs.md lists them all."""

#: Its worker was declared dead, or did not come back in time with an attempt that was kept.
WORKER_LOST = "worker_lost"
#: So many attempts in a row lost their workers that it gets no more.
KILLED_WORKERS = "killed_workers"

#: A FAILURE with one of these is not tried again, whatever the task's retry policy.
NEVER_RETRIED = frozenset({WORKER_LOST, KILLED_WORKERS})
