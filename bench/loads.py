"""Workflows to measure with: wide, long, and the lattice between them."""

from typing import Any

Document = dict[str, Any]

#: Tasks of one of `layers`.
LAYER = 100


def task(name: str, type_: str, **fields: Any) -> Document:
    """A task that does nothing: no process (noop), or the shortest one (shell: true)."""
    script = {"script": "true"} if type_ == "shell" else {}
    return {"name": name, "type": type_, **script, **fields}


def fan(width: int, type_: str) -> Document:
    """``width`` tasks, all independent."""
    return {"name": f"fan-{width}", "tasks": [task(f"t{n}", type_) for n in range(width)]}


def chain(length: int, type_: str) -> Document:
    """``length`` tasks, one after the other."""
    tasks = [task("t0", type_)]
    tasks += [task(f"t{n}", type_, depends_on=[f"t{n - 1}"]) for n in range(1, length)]
    return {"name": f"chain-{length}", "tasks": tasks}


def lattice(side: int, type_: str) -> Document:
    """``side`` × ``side`` tasks, each waiting for its upper and its left neighbour."""
    tasks = []
    for row in range(side):
        for column in range(side):
            parents = [f"t{row - 1}-{column}"] if row else []
            parents += [f"t{row}-{column - 1}"] if column else []
            tasks.append(task(f"t{row}-{column}", type_, depends_on=parents))
    return {"name": f"lattice-{side}", "tasks": tasks}


def diamond(width: int, type_: str) -> Document:
    """A task, then ``width`` at once that wait for it, then one that waits for all of them."""
    names = [f"t{n}" for n in range(width)]
    tasks = [task("begin", type_)]
    tasks += [task(name, type_, depends_on=["begin"]) for name in names]
    tasks.append(task("end", type_, depends_on=names))
    return {"name": f"diamond-{width}", "tasks": tasks}


def layers(tasks: int, edges_per_task: int) -> Document:
    """``tasks`` in layers of `LAYER`; each waits for some of the layer before."""
    made = []
    for number in range(tasks):
        layer, place = divmod(number, LAYER)
        parents = {
            f"t{(layer - 1) * LAYER + (place + step * 37) % LAYER}"
            for step in range(edges_per_task)
            if layer
        }
        made.append(task(f"t{number}", "noop", depends_on=sorted(parents)))
    return {"name": f"layers-{tasks}", "tasks": made}


def as_yaml(document: Document) -> str:
    """As people write it: a block for each task, and what it waits for in one line."""
    lines = [f"{name}: {value}" for name, value in document.items() if name != "tasks"]
    lines.append("tasks:")
    for one in document["tasks"]:
        fields = dict(one, depends_on=f"[{', '.join(one.get('depends_on', ()))}]")
        first, *others = (f"{name}: {value}" for name, value in fields.items())
        lines += [f"  - {first}", *(f"    {line}" for line in others)]
    return "\n".join(lines) + "\n"
