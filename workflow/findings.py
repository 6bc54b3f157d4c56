"""Everything that is wrong with one definition, collected before anybody is told."""

import difflib
from collections.abc import Callable, Iterable

from ..protocol.errors import DefinitionRefused, Problem

#: A place in a document: ``("tasks", 3, "depends_on", 0)``.
Path = tuple[str | int, ...]
Place = tuple[int, int]  # line and column, both from 1

#: Nobody reads more at once, and an answer on the wire stays small.
PROBLEMS_MAX = 100
#: Comparisons of words spent on suggestions per document: at most 0.7 s at 70 µs each (measured).
COMPARISONS_MAX = 10_000
#: Above this many candidates only those are compared that share half of the word with it.
CANDIDATES_MAX = 500
#: difflib's ratio from which a word is a suggestion: `int` for `integer`.
LIKENESS_MIN = 0.6


class Findings:
    """Collects problems of one file. ``locate`` tells where a path stands, if anybody knows."""

    def __init__(
        self, file: str | None = None, locate: Callable[[Path], Place | None] | None = None
    ) -> None:
        self.file = file
        self.locate = locate
        self.text: str | None = None  # of the file, once it is read
        self.count = 0
        self._problems: list[Problem] = []
        self._unread: set[Path] = set()
        self._comparisons_left = COMPARISONS_MAX

    def add(
        self,
        path: Path,
        rule: str,
        message: str,
        suggestion: str | None = None,
        at: Place | None = None,
    ) -> None:
        """One more problem; ``at`` is where, when ``locate`` cannot know."""
        self.count += 1
        if len(self._problems) >= PROBLEMS_MAX:
            return
        place = at or (self.locate(path) if self.locate else None)
        line, column = place or (None, None)
        self._problems.append(
            Problem(
                rule=rule,
                message=message,
                file=self.file,
                line=line,
                column=column,
                path=format_path(path) or None,
                suggestion=suggestion,
            )
        )

    def mark_unread(self, path: Path) -> None:
        """What stands here was refused as such: its value, a stand-in, is not judged again."""
        self._unread.add(path)

    def is_unread(self, path: Path) -> bool:
        return path in self._unread

    def nearest(self, word: str, candidates: Iterable[str]) -> str | None:
        """The candidate that was probably meant; None too when the comparisons are used up."""
        if self.count >= PROBLEMS_MAX:
            return None
        half = len(word) // 2
        near = [
            c
            for c in candidates
            if 2 * min(len(c), len(word)) >= LIKENESS_MIN * (len(c) + len(word))
        ]
        if len(near) > CANDIDATES_MAX:  # one slip of the finger leaves one half as it was
            near = [c for c in near if c[:half] == word[:half] or c[half:] == word[half:]]
        near = near[: self._comparisons_left]
        self._comparisons_left -= len(near)
        folded = {c.casefold(): c for c in near}
        if word.casefold() in folded:
            return folded[word.casefold()]
        found = difflib.get_close_matches(word, near, n=1, cutoff=LIKENESS_MIN)
        return found[0] if found else None

    def problems(self) -> list[Problem]:
        """All of them in the order of the file; what has no place comes last."""
        last = float("inf")
        problems = sorted(
            self._problems,
            key=lambda p: (last if p.line is None else p.line, p.column or 0),
        )
        if (more := self.count - len(problems)) > 0:
            message = f"{more:,} more problems are not shown"
            problems.append(Problem(rule="too_many", message=message, file=self.file))
        return problems

    def refusal(self) -> DefinitionRefused:
        """The error that carries all of them."""
        problems = self.problems()
        first = problems[0].message
        where = self.file or "the definition"
        count = f"{self.count:,} problems, the first: " if self.count > 1 else ""
        error = DefinitionRefused(f"{where}: {count}{first}", tuple(problems))
        error.count = self.count
        if self.file is not None and self.text is not None:
            error.sources[self.file] = self.text
        return error


def format_path(path: Path) -> str:
    """``tasks[3].depends_on[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "").replace("_", "").isalnum() and part.isascii():
            text += f".{part}" if text else part
        else:  # no key of ours: shown so that it cannot be mistaken or harm a terminal
            text += f"[{part[:60]!r}]"
    return text
