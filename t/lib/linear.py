# SPDX-License-Identifier: Apache-2.0
"""Is a history (lib.history) that of one register for each key?

Each operation must have taken place at one moment between its begin and its
end, so that every read has the value of the last write before it. So nobody
reads what was overwritten before he began, and nobody reads what is older than
what anybody had read before he began. Writes of which nobody knows may take
place at any time from their begin on, once, or never; deletes write "absent".

The search is that of Wing and Gong, run along the time: a state is the value
and which of the operations under way have taken place; all states that are
possible are kept, and there must always be one. A write of unknown outcome is
only looked at if its value has been read, and then it was before that. Deletes
of unknown outcome are all alike: it counts how many of them have been used.

What a part of a ring that was cut off has answered may be too old by a time
that is known: see `early_s` of check().
"""

import collections
import dataclasses

from lib.history import ABSENT, FAILED, NEVER, OK

AROUND = 12              # operations that are shown before a violation
MAX_STATES = 200_000


@dataclasses.dataclass
class Violation:
    op: object
    why: str
    text: str

    def __str__(self):
        return self.text


@dataclasses.dataclass
class Result:
    violations: list
    keys: int = 0
    writes: int = 0
    reads: int = 0
    states: int = 0      # the most that were possible at one time

    def __bool__(self):
        return not self.violations

    def report(self):
        return '\n\n'.join(str(v) for v in self.violations)


@dataclasses.dataclass
class _Step:
    """An operation that has taken place between these times."""
    op: object
    start_s: float
    end_s: float

    @property
    def value(self):
        return self.op.value


def check(history, early_s=lambda op: 0.0):
    """The Result. early_s(read): so many seconds before its begin a read may
    have taken place."""
    found = Result([Violation(op, why, _around(history, op, why))
                    for op, why in history.wrong])
    by_key = collections.defaultdict(list)
    for op in list(history.ops):
        by_key[op.key].append(op)
    for ops in by_key.values():
        found.keys += 1
        found.writes += sum(op.writes and op.outcome == OK for op in ops)
        found.reads += sum(not op.writes and op.outcome == OK for op in ops)
        bad, states = check_key(ops, early_s)
        found.states = max(found.states, states)
        if bad:
            op, why = bad
            found.violations.append(
                Violation(op, why, _around(history, op, why)))
    return found


def check_key(ops, early_s=lambda op: 0.0):
    """((operation, why) of the first violation or None, most states)."""
    bad = _impossible(ops)
    if bad:
        return bad, 0
    steps, loose = _steps(ops, early_s)
    search = _Search(steps)
    op = search.run(loose)
    return (op and (op, _why(op, steps, search.before))), search.most


def _impossible(ops):
    """A read of what was not written, not yet, or not with success."""
    writes = {op.value: op for op in ops
              if op.writes and op.value is not ABSENT}
    for op in ops:
        if op.writes or op.outcome != OK or op.value is ABSENT:
            continue
        write = writes.get(op.value)
        if write is None:
            return op, f'value {op.value} was never written'
        if write.outcome == FAILED:
            return op, f'value {op.value} is that of a write that failed'
        if write.start_s > op.end_s:
            return op, f'value {op.value} was not yet being written'
    return None


def _steps(ops, early_s):
    """What has taken place, and when deletes of unknown outcome began."""
    seen_s = {}
    for op in ops:
        if not op.writes and op.outcome == OK:
            seen_s[op.value] = min(op.end_s, seen_s.get(op.value, NEVER))
    steps, loose = [], []
    for op in ops:
        if not op.writes:
            if op.outcome == OK:
                steps.append(_Step(op, op.start_s - early_s(op), op.end_s))
            continue
        if op.outcome == FAILED:
            continue
        end_s = op.end_s if op.outcome == OK else NEVER
        if op.value is not ABSENT:
            end_s = min(end_s, seen_s.get(op.value, NEVER))
        if end_s < NEVER:
            steps.append(_Step(op, op.start_s, end_s))
        elif op.value is ABSENT:
            loose.append(op.start_s)
    return steps, loose


class _Search:
    """A state: (value, those under way that have taken place), and how many
    deletes of unknown outcome it took to get there."""

    def __init__(self, steps):
        self.steps = steps
        self.reads, self.writes = {}, {}      # under way: number: value
        self.states = {(ABSENT, frozenset()): 0}
        self.before = ()                      # values that were possible
        self.loose = self.most = 0

    def run(self, loose):
        """The operation after which no state is possible, or None."""
        events = [(when, 0, -1) for when in loose]
        for i, step in enumerate(self.steps):
            events += [(step.start_s, 0, i), (step.end_s, 1, i)]
        for _, is_end, i in sorted(events):
            if i < 0:
                self.loose += 1
            elif not is_end:
                self._begin(i)
            else:
                self.before = {value for value, _ in self.states}
                self._end(i)
                if not self.states:
                    return self.steps[i].op
            self.most = max(self.most, len(self.states))
            assert self.most < MAX_STATES, 'too much at a time'
        return None

    def _begin(self, i):
        step = self.steps[i]
        if step.op.writes:
            self.writes[i] = step.value
            return
        self.reads[i] = step.value
        self.states = {(value, self._settled(value, done)): used
                       for (value, done), used in self.states.items()}

    def _settled(self, value, done):
        """A read that may take place now does: that changes nothing for the
        others."""
        return done.union(i for i, wanted in self.reads.items()
                          if wanted == value)

    def _end(self, i):
        """Keeps the states in which it has taken place, or can do now, after
        any of those that are under way, too."""
        kept, seen = {}, dict(self.states)
        todo = list(seen.items())
        while todo:
            (value, done), used = todo.pop()
            if i in done:
                state = value, done - {i}
                kept[state] = min(used, kept.get(state, used))
                continue
            for state, used_then in self._next(value, done, used):
                if used_then < seen.get(state, NEVER):
                    seen[state] = used_then
                    todo.append((state, used_then))
        self.states = kept
        self.reads.pop(i, None)
        self.writes.pop(i, None)

    def _next(self, value, done, used):
        for j, written in self.writes.items():
            if j not in done:
                yield (written, self._settled(written, done | {j})), used
        if value is not ABSENT and used < self.loose and any(
                wanted is ABSENT and j not in done
                for j, wanted in self.reads.items()):
            yield (ABSENT, self._settled(ABSENT, done)), used + 1


# --- what is told -----------------------------------------------------------

def _name(value):
    return 'absent' if value is ABSENT else f'value {value}'


def _why(op, steps, before):
    possible = ', '.join(sorted(map(_name, before))) or 'nothing'
    why = f'{_name(op.value)} cannot be: possible was {possible}'
    if op.writes:
        return why
    # by when it was there; what began later and ended before is newer
    known_s = min((s.end_s for s in steps if s.op is not op
                   and s.value == op.value and s.end_s < op.start_s),
                  default=-NEVER if op.value is ABSENT else None)
    newer = [s for s in steps if known_s is not None
             and s.value != op.value and s.op.writes
             and s.start_s > known_s and s.end_s < op.start_s]
    if newer:
        last = max(newer, key=lambda step: step.end_s)
        how = 'was done' if last.end_s == last.op.end_s else 'had been read'
        why += (f'; it was overwritten by {last.op.kind} of '
                f'{_name(last.value)}, which {how} '
                f'{op.start_s - last.end_s:.4f} s before this began')
    return why


def _around(history, bad, why):
    """The history of the key before and round an operation."""
    ops = sorted((op for op in list(history.ops) if op.key == bad.key),
                 key=lambda op: op.start_s)
    before = [op for op in ops if op.end_s < bad.start_s]
    shown = set(map(id, sorted(before, key=lambda op: op.end_s)[-AROUND:]))
    same = [op for op in ops if op.value == bad.value and op.writes
            and bad.value is not ABSENT]
    shown.update(id(op) for op in ops if op is bad or op in same or (
        op.start_s <= bad.end_s and op.end_s >= bad.start_s
        and (op.end_s < NEVER or op.writes)))
    lines = [f'{bad.key}: {why}',
             '        began       ended  who   through  what           value   '
             '     outcome']
    lines += [('>' if op is bad else ' ') + op.text(history.began_s)
              for op in ops if id(op) in shown]
    return '\n'.join(lines)
