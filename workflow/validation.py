"""Whether a definition makes sense: every problem at once, each with its place and a suggestion.

`validate` is for a document from a file; `check` is the part that the master repeats on the
decoded canonical form, because it trusts no client.
"""

from collections.abc import Collection, Iterable, Sequence

from ..protocol.errors import Problem
from . import definition as limits
from .definition import Definition, Output, Parameter, Scalar, Task, Timeout, encode, too_large
from .durations import written
from .findings import Findings, Path
from .graph import Graph
from .names import ACCOUNT, NAME, NAME_RULE, VARIABLE, VARIABLE_RULE, is_reserved, quoted
from .parameters import bad_text, is_storable, unfit, unfit_text
from .reading import read_definition
from .references import TIME_PLACEHOLDER, BadReference, Reference, dotted, pieces

#: What may be run, and which of it our own types take; of others any.
SOURCES = ("script", "command", "file")
SOURCES_OF: dict[str, tuple[str, ...]] = {
    "shell": ("script", "command"),
    "python": ("script", "file"),
    "noop": (),
}
#: A cycle longer than this is shown by its beginning and end.
CYCLE_NAMES_MAX = 20
NOT_A_TIME = (
    "time placeholders are not supported by this version of Stenella; give the value itself"
)


def validate(
    document: object, findings: Findings, known_types: Collection[str]
) -> Definition | None:
    """The definition that ``document`` describes, or None when ``findings`` holds any problem.

    ``document`` is plain: mappings with text keys, lists, scalars. ``findings`` may hold problems
    of the loader already.
    """
    reading = read_definition(document, findings)
    if reading is None:
        return None
    _Check(reading.definition, findings, reading.task_positions).everything(known_types)
    return None if findings.count else reading.definition


def check(definition: Definition, graph: Graph | None = None) -> list[Problem]:
    """What is wrong with a decoded definition, of that graph; empty if it may be stored and run."""
    findings = Findings()
    _Check(definition, findings, range(len(definition.tasks))).everything(None, graph)
    return findings.problems()


class _Check:
    """The rules, one method each. ``positions``: where each task stands in the document."""

    def __init__(
        self, definition: Definition, findings: Findings, positions: Sequence[int]
    ) -> None:
        self.definition = definition
        self.findings = findings
        self.paths: list[Path] = [("tasks", position) for position in positions]
        self.outputs = {
            task.name: {output.name for output in task.outputs} for task in definition.tasks
        }

    def everything(self, known_types: Collection[str] | None, graph: Graph | None = None) -> None:
        definition = self.definition
        if len(definition.tasks) > limits.TASKS_MAX:  # before any work that grows with them
            message = f"{len(definition.tasks):,} tasks, at most {limits.TASKS_MAX:,} are taken"
            self.add(("tasks",), "too_large", message)
            return
        if not definition.tasks and not self.findings.count:
            self.add(("tasks",), "empty", "a workflow needs at least one task")
        self.name(("name",), definition.name)
        self.plain_text(("description",), definition.description)
        self.timeout(("timeout",), definition.timeout)
        for name, parameter in definition.params.items():
            self.variable(("params", name), name)
            self.parameter(("params", name), name, parameter)
        self.unique_tasks()
        alike: set[bytes] = set()  # kinds of which one was looked at
        for path, task in zip(self.paths, definition.tasks, strict=True):
            self.name((*path, "name"), task.name)
            key, _ = limits.kind_of(task)
            if self.findings.count or not key or key not in alike:  # every problem is told
                self.task(path, task, known_types)
                alike.add(key)
        graph = graph or Graph(definition.tasks)
        self.dependencies(graph)
        self.references(graph)
        self.size()

    def add(self, path: Path, rule: str, message: str, suggestion: str | None = None) -> None:
        if not self.findings.is_unread(path):
            self.findings.add(path, rule, message, suggestion)

    # --- one task ---------------------------------------------------------------------------------

    def task(self, path: Path, task: Task, known_types: Collection[str] | None) -> None:
        """All but its name and what it depends on."""
        self.type((*path, "type"), task.type, known_types)
        self.source(path, task)
        self.retry((*path, "retry"), task)
        self.timeout((*path, "timeout"), task.timeout)
        self.lasting((*path, "delay"), task.delay_ms, 0, limits.DELAY_MS_MAX)
        self.isolation((*path, "lost_after"), task)
        if task.worker_group != "default":
            self.name((*path, "worker_group"), task.worker_group)
        if task.working_dir is not None:
            self.plain_text((*path, "working_dir"), task.working_dir)
            if not task.working_dir:
                self.add(
                    (*path, "working_dir"), "empty", "leave it out for the attempt's own folder"
                )
        for name, value in task.params.items():
            self.variable((*path, "params", name), name)
            self.value((*path, "params", name), name, value)
        for name, text in task.env.items():
            self.variable((*path, "env", name), name)
            self.value((*path, "env", name), name, text)
            self.misplaced((*path, "env", name), text, "env")
        self.declared_outputs((*path, "outputs"), task.outputs)

    def isolation(self, path: Path, task: Task) -> None:
        if task.lost_after_ms is None:
            return
        if not 0 < task.lost_after_ms <= limits.LOST_AFTER_MS_MAX:
            longest = limits.LOST_AFTER_MS_MAX // 86_400_000
            self.add(path, "out_of_range", f"lost_after is longer than 0s and at most {longest}d")
        chosen = self.findings.is_unread((*path[:-1], "on_isolation"))
        if task.on_isolation != "keep" and not chosen:
            message = (
                "lost_after is about attempts that are kept: write on_isolation: keep, too, or "
                "leave it out (what is killed runs again when its worker's lease is over)"
            )
            self.add(path, "contradiction", message)

    def type(self, path: Path, type_: str, known_types: Collection[str] | None) -> None:
        if known_types is None:
            self.name(path, type_)
        elif type_ not in known_types:
            known = sorted(known_types)
            message = f"there is no task type {quoted(type_)}; known: {', '.join(known)}"
            self.add(path, "unknown_type", message, self.findings.nearest(type_, known))

    def source(self, path: Path, task: Task) -> None:
        """What is run: of our own types one of the fields that theirs are, and no other."""
        given = [name for name in SOURCES if getattr(task, name)]
        if task.type in SOURCES_OF:
            takes = SOURCES_OF[task.type]
            foreign = [name for name in given if name not in takes]
            foreign += ["python"] if task.python is not None and task.type != "python" else []
            for name in foreign:
                does = "does nothing and takes" if task.type == "noop" else "takes"
                message = f"a {task.type} task {does} no {name}"
                self.add((*path, name), "unknown_field", message)
            self.one_source(path, task, [name for name in given if name in takes], takes)
        self.command(path, task)
        for name in ("file", "python"):
            self.path_text((*path, name), getattr(task, name))
        if task.run_as is not None and not ACCOUNT.fullmatch(task.run_as):
            message = f"{quoted(task.run_as)} is no name of an account"
            self.add((*path, "run_as"), "bad_name", message)
        self.script(path, task)

    def one_source(self, path: Path, task: Task, given: list[str], takes: tuple[str, ...]) -> None:
        unread = any(self.findings.is_unread((*path, name)) for name in (*takes, "call"))
        blank = given == ["script"] and not str(task.script).strip()
        if takes and not unread and (not given or blank):
            where = path if task.script is None else (*path, "script")
            message = f"a {task.type} task needs a {' or a '.join(takes)}"
            self.add(where, "missing_script", message)
        elif len(given) > 1:
            message = f"{' and '.join(given)} stand here together: one of them is run"
            self.add((*path, given[1]), "unknown_field", message)

    def command(self, path: Path, task: Task) -> None:
        for place, word in enumerate(task.command):
            here = (*path, "command", place)
            self.plain_text(here, word)
            self.misplaced(here, word, "a command")
            if len(word.encode(errors="replace")) > limits.VARIABLE_BYTES_MAX:
                message = f"an argument has at most {limits.VARIABLE_BYTES_MAX:,} bytes"
                self.add(here, "too_large", message)
        if task.command and not task.command[0].strip():
            self.add((*path, "command", 0), "empty", "this is to be the name of a program")

    def path_text(self, path: Path, text: str | None) -> None:
        if text is not None:
            self.plain_text(path, text)
            if not text.strip():
                self.add(path, "empty", "this is to be a path")

    def script(self, path: Path, task: Task) -> None:
        here = (*path, "script")
        if task.script is None:
            return
        self.plain_text(here, task.script)
        # Characters first: encoding a huge text just to count it would double it.
        if len(task.script) > limits.SCRIPT_BYTES_MAX or (
            len(task.script) * 4 > limits.SCRIPT_BYTES_MAX
            and len(task.script.encode(errors="replace")) > limits.SCRIPT_BYTES_MAX
        ):
            message = (
                f"the script is longer than {limits.SCRIPT_BYTES_MAX:,} bytes: "
                "put it into a file on the workers and call that"
            )
            self.add(here, "too_large", message)
        elif task.type == "shell":
            self.misplaced(here, task.script, "a shell script")

    def misplaced(self, path: Path, text: str, where: str) -> None:
        """References and time placeholders where nothing replaces them."""
        if "$" not in text:
            return
        for match in dict.fromkeys(m[0] for m in TIME_PLACEHOLDER.finditer(text)):
            self.add(path, "placeholder", f"{quoted(match)} in {where}: {NOT_A_TIME}, in params")
        for reference in dict.fromkeys(dotted(text)):
            # A name of no task is the shell's own business: ${x-a.b}, or a template in a here-doc.
            task = str(reference.task)
            if task in self.outputs or self.findings.nearest(task, self.outputs):
                message = (
                    f"${{{reference}}} means nothing in {where}: put it in params, "
                    "and use the parameter"
                )
                suggestion = f'params: {{{reference.name}: "${{{reference}}}"}}'
                self.add(path, "bad_reference", message, suggestion)

    def retry(self, path: Path, task: Task) -> None:
        retry = task.retry
        self.within((*path, "times"), retry.times, 0, limits.RETRIES_MAX)
        self.within((*path, "backoff"), retry.backoff, 1, limits.BACKOFF_MAX)
        self.within((*path, "jitter"), retry.jitter, 0, limits.JITTER_MAX)
        self.lasting((*path, "interval"), retry.interval_ms, 0, limits.INTERVAL_MS_MAX)

    def timeout(self, path: Path, timeout: Timeout | None) -> None:
        if timeout is not None:
            self.lasting(path, timeout.after_ms, 1, limits.TIMEOUT_MS_MAX)

    def lasting(self, path: Path, ms: int, least_ms: int, most_ms: int) -> None:
        if not least_ms <= ms <= most_ms:
            given = written(ms) if ms >= 0 else f"{ms} ms"
            message = f"expected {written(least_ms)} to {written(most_ms)}, not {given}"
            self.add(path, "out_of_range", message)

    def within(self, path: Path, value: float, least: float, most: float) -> None:
        if not least <= value <= most:  # false for NaN too
            message = f"expected {least:,g} to {most:,g}, not {quoted(value)}"
            self.add(path, "out_of_range", message)

    def declared_outputs(self, path: Path, outputs: Iterable[Output]) -> None:
        seen: set[str] = set()
        for position, output in enumerate(outputs):
            here = (*path, position)
            self.variable(here, output.name)
            if output.name in seen:
                self.add(here, "duplicate_name", f"the output {quoted(output.name)} stands twice")
            seen.add(output.name)
            self.value((*here, "default"), output.name, output.default)

    # --- names and values -------------------------------------------------------------------------

    def name(self, path: Path, name: str) -> None:
        if not NAME.fullmatch(name):
            self.add(path, "bad_name", f"{quoted(name)} is no name: {NAME_RULE}")

    def variable(self, path: Path, name: str) -> None:
        if not VARIABLE.fullmatch(name):
            self.add(path, "bad_name", f"{quoted(name)} is no name: {VARIABLE_RULE}")
        elif is_reserved(name):
            message = f"{name} is reserved, as are PATH, LD_… and STENELLA_…: choose another name"
            self.add(path, "reserved_name", message)

    def plain_text(self, path: Path, text: str) -> None:
        if wrong := bad_text(text):
            self.add(path, "bad_text", wrong)

    def value(self, path: Path, name: str, value: Scalar | None) -> None:
        """A value that becomes an environment variable."""
        if isinstance(value, str):
            if wrong := unfit_text(name, value):
                self.add(path, *wrong)
        elif value is not None and not is_storable(value):
            self.add(path, "out_of_range", "a number must be finite and fit into 64 bits")

    def parameter(self, path: Path, name: str, parameter: Parameter) -> None:
        self.value(path, name, parameter.default)
        bounds = [bound for bound in (parameter.min, parameter.max) if bound is not None]
        if bounds and parameter.type not in ("integer", "number"):
            message = f"min and max are for integer and number, not for {parameter.type}"
            self.add(path, "wrong_type", message)
        elif not all(map(is_storable, bounds)) or bounds != sorted(bounds):
            self.add(path, "out_of_range", "min must not be above max, and both fit into 64 bits")
        elif parameter.default is not None and (wrong := unfit(parameter, parameter.default)):
            self.add(path, *wrong)
        if isinstance(parameter.default, str) and "$" in parameter.default:
            if match := TIME_PLACEHOLDER.search(parameter.default):
                self.add(path, "placeholder", f"{quoted(match[0])}: {NOT_A_TIME}")
            if "${" in parameter.default:
                message = "a workflow's parameter refers to nothing: put ${…} in a task's params"
                self.add(path, "bad_reference", message)

    # --- between tasks ----------------------------------------------------------------------------

    def unique_tasks(self) -> None:
        first: dict[str, str] = {}
        seen: set[str] = set()
        for path, task in zip(self.paths, self.definition.tasks, strict=True):
            other = first.setdefault(task.name.casefold(), task.name)
            if other == task.name and task.name not in seen:
                seen.add(task.name)
                continue
            by_case = f"differs from {quoted(other)} by case only"
            how = "stands twice" if other == task.name else by_case
            self.add((*path, "name"), "duplicate_name", f"the task name {quoted(task.name)} {how}")

    def dependencies(self, graph: Graph) -> None:
        for node, task in enumerate(self.definition.tasks):
            if len(graph.parents[node]) == len(task.depends_on):
                continue  # each is there, and once
            seen: set[str] = set()
            for position, name in enumerate(task.depends_on):
                here = (*self.paths[node], "depends_on", position)
                if name in seen:
                    self.add(here, "duplicate_name", f"{quoted(name)} stands twice in depends_on")
                elif name not in graph.index:
                    near = self.findings.nearest(name, graph.index)
                    self.add(here, "unknown_name", f"there is no task {quoted(name)}", near)
                seen.add(name)
        for cycle in graph.cycles():
            names = [graph.names[node] for node in cycle]
            if len(names) > CYCLE_NAMES_MAX:
                half = CYCLE_NAMES_MAX // 2
                names = [*names[:half], f"({len(names) - 2 * half} more)", *names[-half:]]
            message = f"tasks wait for each other in a circle: {' → '.join(names)}"
            self.add((*self.paths[cycle[0]], "depends_on"), "cycle", message)

    def references(self, graph: Graph) -> None:
        pairs: dict[tuple[int, int], list[tuple[Path, Reference]]] = {}
        for node, task in enumerate(self.definition.tasks):
            for name, value in task.params.items():
                if isinstance(value, str) and "$" in value:
                    path = (*self.paths[node], "params", name)
                    for reference in self.references_of(path, value):
                        if reference.task is None:
                            self.known_parameter(path, reference)
                        elif self.known_output(path, reference, graph):
                            pair = (graph.index[reference.task], node)
                            pairs.setdefault(pair, []).append((path, reference))
        for pair in sorted(graph.unreached(pairs)):
            for path, reference in pairs[pair]:
                message = (
                    f"${{{reference}}}: {reference.task} need not have run before "
                    f"{graph.names[pair[1]]}; "
                    "only what a task depends on, directly or not, can be referred to"
                )
                suggestion = None if pair[0] == pair[1] else f"depends_on: [{reference.task}]"
                self.add(path, "not_an_ancestor", message, suggestion)

    def references_of(self, path: Path, text: str) -> list[Reference]:
        if match := TIME_PLACEHOLDER.search(text):
            self.add(path, "placeholder", f"{quoted(match[0])}: {NOT_A_TIME}")
        try:
            found = [piece for piece in pieces(text) if isinstance(piece, Reference)]
        except BadReference as error:
            message = f"{quoted(str(error))} is no reference: write ${{name}} or ${{task.output}}"
            self.add(path, "bad_reference", message)
            return []
        return list(dict.fromkeys(found))

    def known_parameter(self, path: Path, reference: Reference) -> None:
        params = self.definition.params
        if reference.name not in params:
            message = f"${{{reference}}}: the workflow has no parameter {reference.name}"
            near = self.findings.nearest(reference.name, params)
            self.add(path, "unknown_name", message, near and f"${{{near}}}")

    def known_output(self, path: Path, reference: Reference, graph: Graph) -> bool:
        task = str(reference.task)
        if task not in graph.index:
            message = f"${{{reference}}}: there is no task {quoted(task)}"
            near = self.findings.nearest(task, graph.index)
            self.add(path, "unknown_name", message, near and f"${{{near}.{reference.name}}}")
            return False
        if reference.name not in self.outputs[task]:
            message = f"${{{reference}}}: {task} declares no output {reference.name}"
            near = self.findings.nearest(reference.name, sorted(self.outputs[task]))
            suggestion = f"${{{task}.{near}}}" if near else f"outputs: [{reference.name}]"
            self.add(path, "unknown_output", message, suggestion)
        return True

    def size(self) -> None:
        if self.findings.count:  # what cannot be encoded is among them
            return
        size_bytes = len(encode(self.definition))
        if size_bytes > limits.DEFINITION_BYTES_MAX:
            self.add((), "too_large", too_large(size_bytes))
