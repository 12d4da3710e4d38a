# SPDX-License-Identifier: Apache-2.0
"""The checker of histories (lib.history, lib.linear): what it must let pass,
and what it must find."""

import itertools
import random
import time

import pytest

from lib import linear
from lib.history import (ABSENT, FAILED, MARK, NEVER, OK, UNKNOWN, History,
                         Op, Seen)


def ops(text, key='k'):
    """Lines "W 1 0-5", "R 1 2-3", "W - 0-1" (absent), "W 1 0-? unknown",
    "R 1 2-3 late" through a node that may be late, "... failed"."""
    found = []
    for line in text.strip().splitlines():
        what, value, times, *words = line.split()
        start, end = times.split('-')
        outcome = OK
        if 'failed' in words:
            outcome = FAILED
        if '?' in times:
            outcome, end = UNKNOWN, 'inf'
        found.append(Op('c', 'late' if 'late' in words else 'n', what, key,
                        float(start), what == 'W',
                        ABSENT if value == '-' else int(value),
                        end_s=float(end), outcome=outcome))
    return found


def judge(found, slack_s=0):
    bad, _ = linear.check_key(
        found, lambda op: slack_s if op.node == 'late' else 0)
    return bad


GOOD = {
    'nothing was ever there': 'R - 0-1',
    'one after the other': 'W 1 0-1\nR 1 2-3\nW 2 4-5\nR 2 6-7',
    'a read while it is written has either':
        'W 1 0-1\nW 2 2-9\nR 1 3-4\nR 2 5-6\nR 2 7-8',
    'a read that began before the write ended':
        'W 1 0-1\nW 2 2-4\nR 1 3-9',
    'writes at a time come in any order':
        'W 1 0-9\nW 2 0-9\nR 2 10-11\nR 2 12-13',
    'writes at a time come in any order, the other way':
        'W 1 0-9\nW 2 0-9\nR 2 1-2\nR 1 10-11',
    'an unknown write comes true at once': 'W 1 0-1\nW 2 2-?\nR 2 3-4\nR 2 5-6',
    'an unknown write comes true late':
        'W 1 0-1\nW 2 2-?\nR 1 3-4\nW 3 5-6\nR 3 7-8\nR 2 9-10',
    'an unknown write never comes true': 'W 1 0-1\nW 2 2-?\nR 1 3-4\nR 1 9-10',
    'a write that failed': 'W 1 0-1\nW 2 2-3 failed\nR 1 4-5',
    'a delete': 'W 1 0-1\nW - 2-3\nR - 4-5\nW 2 6-7\nR 2 8-9',
    'a delete at the same time': 'W 1 0-1\nW - 2-9\nR 1 3-4\nR - 5-6',
    'an unknown delete comes true late':
        'W 1 0-1\nW - 2-?\nR 1 3-4\nW 2 5-6\nR 2 7-8\nR - 9-10\nR - 11-12',
    'two unknown deletes': 'W - 0-?\nW - 0-?\nW 1 1-2\nR - 3-4\nW 2 5-6\n'
                           'R 2 7-8\nR - 9-10',
    'a late node within its slack': 'W 1 0-1\nW 2 2-3\nR 1 4-5 late',
    'a late node is no excuse for others, and none is needed':
        'W 1 0-1\nW 2 2-3\nR 2 4-5\nR 1 4.5-5 late\nR 2 6-7',
}

BAD = {
    'older than what was acknowledged': 'W 1 0-1\nW 2 2-3\nR 1 4-5',
    'older than what another has read': 'W 1 0-1\nW 2 2-9\nR 2 3-4\nR 1 5-6',
    'there after a delete': 'W 1 0-1\nW - 2-3\nR 1 4-5',
    'absent after a write': 'W 1 0-1\nR - 2-3',
    'absent before it was deleted': 'W 1 0-1\nR - 2-3\nW - 4-5',
    'never written': 'W 1 0-1\nR 2 2-3',
    'not yet written': 'R 1 0-1\nW 1 2-3',
    'of a write that failed': 'W 1 0-1 failed\nR 1 2-3',
    'an unknown write comes true twice':
        'W 1 0-?\nR 1 1-2\nW 2 3-4\nR 2 5-6\nR 1 7-8',
    'an unknown write goes away': 'W 1 0-1\nW 2 2-?\nR 2 3-4\nR 1 5-6',
    'one unknown delete for two':
        'W - 0-?\nW 1 1-2\nR - 3-4\nW 2 5-6\nR 2 7-8\nR - 9-10',
    'two readers see two orders':
        'W 1 0-20\nW 2 0-20\nR 1 1-2\nR 2 3-4\nR 1 5-6',
    'the order of writes was seen':
        'W 1 0-9\nW 2 0-9\nR 1 10-11\nR 2 12-13',
    'a late node beyond its slack': 'W 1 0-1\nW 2 2-3\nR 1 9-10 late',
    'a late node that has read what is newer than its slack':
        'W 1 0-1\nW 2 2-9\nR 2 3-4\nR 1 9.5-10 late',
    'a late node that is later than its slack by a read':
        'W 1 0-1\nW 2 2-3\nR 2 4-5\nW 3 5-6\nR 1 8.5-9 late',
}


@pytest.mark.parametrize('name', GOOD)
def test_what_may_be(name):
    assert judge(ops(GOOD[name]), slack_s=5) is None


@pytest.mark.parametrize('name', BAD)
def test_what_may_not_be(name):
    assert judge(ops(BAD[name]), slack_s=5)


# --- against trying everything ------------------------------------------------

def any_order(found):
    """Is there an order? By trying all of them."""
    sure = [op for op in found if op.outcome == OK]
    loose = [op for op in found if op.outcome == UNKNOWN]
    return any(fits(order)
               for n in range(len(loose) + 1)
               for some in itertools.combinations(loose, n)
               for order in itertools.permutations(sure + list(some)))


def fits(order):
    value, last_start = ABSENT, -1.0
    for op in order:
        last_start = max(last_start, op.start_s)
        if op.end_s < last_start:
            return False
        if op.writes:
            value = op.value
        elif op.value != value:
            return False
    return True


def random_ops(rng):
    times = list(range(12))
    rng.shuffle(times)
    found, values = [], itertools.count(1)
    for i in range(6):
        start, end = sorted(times[2 * i:2 * i + 2])
        writes = rng.random() < 0.55
        outcome = OK
        value = ABSENT
        if writes and rng.random() < 0.75:
            value = next(values)
        if writes and rng.random() < 0.3:
            outcome, end = UNKNOWN, NEVER
        found.append(Op('c', 'n', '', 'k', float(start), writes, value,
                        end_s=end, outcome=outcome))
    written = [op.value for op in found if op.writes] + [ABSENT]
    for op in found:
        if not op.writes:
            op.value = rng.choice(written)
    return found


def test_it_judges_as_one_who_tries_all_orders():
    rng = random.Random(18)
    judged = {True: 0, False: 0}
    for _ in range(2500):
        found = random_ops(rng)
        due = any_order(found)
        assert (judge(found) is None) == due, '\n'.join(
            op.text() for op in found)
        judged[due] += 1
    assert min(judged.values()) > 400, judged


def test_a_long_history_of_many_at_a_time_is_judged_quickly():
    """Eight at a time on one register, with unknown outcomes."""
    rng, found, now, value = random.Random(3), [], 0.0, ABSENT
    busy, numbers = [0.0] * 8, itertools.count(1)
    for _ in range(4000):
        client = min(range(8), key=busy.__getitem__)
        start = now = max(busy[client], now) + rng.random() * 0.01
        at = start + rng.random()
        end = at + rng.random()
        busy[client] = end
        found.append((at, Op(f'c{client}', 'n', '', 'k', start,
                             rng.random() < 0.3, end_s=end, outcome=OK)))
    for _, op in sorted(found, key=lambda pair: pair[0]):
        if op.writes:
            op.value = next(numbers) if rng.random() < 0.8 else ABSENT
            if rng.random() < 0.1:
                op.outcome, op.end_s = UNKNOWN, NEVER
                if rng.random() < 0.5:
                    continue
            value = op.value
        else:
            op.value = value
    history = [op for _, op in found]
    bad, states = linear.check_key(history)
    assert not bad, bad
    assert 1 < states < 5000
    # the same, but somebody reads what was long overwritten
    reads = [op for op in history if not op.writes and op.value]
    reads[-1].value = reads[0].value
    assert linear.check_key(history)[0]


# --- answers by themselves ------------------------------------------------------

@pytest.fixture
def history():
    return History()


def put(history, key, size, **more):
    value = history.new_value(key, size, **more)
    history.begin('w', 'n', 'PUT', key, value).finish(OK)
    return value


def read(history, value, kind='GET', span=None, **wrong):
    first, last, status = 0, value.size - 1, 200
    headers = {'etag': value.etag, MARK: str(value.number)}
    if span:
        first, last = span
        status = 206
        headers['content-range'] = f'bytes {first}-{last}/{value.size}'
    body = value.body()[first:last + 1]
    headers['content-length'] = str(len(body))
    headers.update(wrong.pop('headers', {}))
    op = history.begin('r', 'n', kind, value.key,
                       span=span and f'bytes={first}-{last}')
    seen = Seen(status, headers, body if kind == 'GET' else b'',
                known_s=op.start_s)
    for name, what in wrong.items():
        setattr(seen, name, what)
    history.saw(op, seen)
    return op


def test_right_answers_pass(history):
    values = [put(history, 'k', size) for size in (0, 1, 100, 200_000)]
    values.append(put(history, 'k', 300, part_sizes=(100, 200)))
    assert values[-1].etag.endswith('-2"')
    for value in values:
        read(history, value)
        read(history, value, 'HEAD')
        if value.size > 90:
            read(history, value, span=(10, 89))
    assert not history.wrong
    assert {op.outcome for op in history.ops} == {OK}


@pytest.mark.parametrize('span', [None, (1000, 199_000)])
@pytest.mark.parametrize('at', [0, 1, 65_535, 65_536, 150_001])
def test_a_mix_of_two_values_is_found_at_every_offset(history, at, span):
    one, two = put(history, 'k', 200_000), put(history, 'k', 200_000)
    first, last = span or (0, 199_999)
    body = one.body()[first:first + at] + two.body()[first + at:last + 1]
    read(history, one, span=span, body=body)
    (_, why), = history.wrong
    assert f'value {two.number}' in why
    assert at == 0 or f'byte {first + at} on' in why


@pytest.mark.parametrize('wrong', [
    {'headers': {MARK: '99'}}, {'headers': {MARK: ''}},
    {'headers': {'etag': '"x"'}}, {'headers': {'content-length': '99'}},
    {'body': b'short'}, {'status': 206}, {'status': 400}, {'status': 304}])
def test_answers_that_no_value_has_are_wrong(history, wrong):
    value = put(history, 'k', 1000)
    read(history, value, **wrong)
    assert len(history.wrong) == 1
    assert not linear.check(history)


def test_a_value_of_another_key_is_wrong(history):
    value, other = put(history, 'k', 1000), put(history, 'other', 1000)
    read(history, value, headers={MARK: str(other.number)})
    assert 'never written to k' in history.wrong[0][1]


def test_a_cut_answer_counts_as_far_as_it_came(history):
    value = put(history, 'k', 1000)
    op = read(history, value, body=value.body()[:300], whole=False)
    assert (op.outcome, op.value) == (OK, value.number)
    assert not history.wrong
    read(history, value, body=b'x' * 300, whole=False)
    assert len(history.wrong) == 1


@pytest.mark.parametrize('etag', [None, 'the same', 'another'])
def test_a_304_is_of_the_value_that_was_asked_for(history, etag):
    old, new = put(history, 'k', 1000), put(history, 'k', 1000)
    op = history.begin('r', 'n', 'GET', 'k')
    headers = {'the same': {'etag': new.etag}, 'another': {'etag': old.etag}}
    history.saw(op, Seen(304, headers.get(etag, {}), known_s=op.start_s),
                unless=new.etag)
    assert op.value == (ABSENT if etag == 'another' else new.number)
    assert len(history.wrong) == (etag == 'another')


@pytest.mark.parametrize('status', [416, 500, 503])
def test_errors_tell_nothing(history, status):
    value = put(history, 'k', 1000)
    assert read(history, value, status=status).outcome == FAILED
    assert linear.check(history)


def test_a_copy_is_a_read_of_its_source(history):
    """It must not have read what was overwritten before it began."""
    old = put(history, 'source', 1000)
    new = put(history, 'source', 1000)
    copy = history.new_value('k', copy_of='source')
    op = history.begin('w', 'n', 'COPY', 'k', copy)
    op.finish(OK)
    history.copied(copy, new.etag, op.end_s)
    read(history, copy)
    assert linear.check(history)
    stale = history.new_value('k', copy_of='source')
    op = history.begin('w', 'n', 'COPY', 'k', stale)
    op.finish(UNKNOWN, end_s=NEVER)
    assert linear.check(history)
    # nobody knows what came of it until it is read
    history.copied(stale, old.etag, time.monotonic())
    found = linear.check(history)
    assert [v.op.key for v in found.violations] == ['source']


def test_a_violation_is_shown_with_what_was_round_it(history):
    old, new = put(history, 'k', 10), put(history, 'k', 20)
    for _ in range(40):
        read(history, new)
    put(history, 'other', 10)
    read(history, old)
    found = linear.check(history)
    assert (found.keys, found.writes, found.reads) == (2, 3, 41)
    text = found.report()
    assert f'value {old.number} cannot be: possible was value {new.number}' \
        in text
    assert f'overwritten by PUT of value {new.number}' in text
    lines = text.splitlines()
    assert len(lines) < 20 and 'other' not in text
    assert [line for line in lines if line.startswith('>')] == [lines[-1]]
