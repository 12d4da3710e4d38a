# SPDX-License-Identifier: Apache-2.0
"""Stores of the flash tier: what the status says of them, and what lies in
their files, read independently of the module from its description
(src/ssd/ssd_media.h).
"""

import re
import struct

from lib import wait

MIB = 1 << 20
UNIT, BLOCK, FRAME = 512, 4096, 32 << 10
SUPER = struct.Struct('<QIIQQQI')
SEGMENT = struct.Struct('<IIQQQII')
HEAD = struct.Struct('<II7QIHBBII')
TRAILER = struct.Struct('<IIQQQIIII')
assert HEAD.size == 80 and SEGMENT.size == 40 and TRAILER.size == 48
MAGIC_SEGMENT, MAGIC_FRAME, MAGIC_TRAILER = (
    0x53533353, 0x46533353, 0x54533353)
RECORD, TOMBSTONE = 1, 2


# --- the status ---------------------------------------------------------------

def stores(nginx, zone=None):
    return nginx.zone(zone)['stores']


def one(nginx, index=0, zone=None):
    return stores(nginx, zone)[index]


def wait_state(nginx, state='serving', index=None, zone=None, timeout_s=15):
    """All stores (or one) are in this state: what the status says of them."""
    def found():
        now = stores(nginx, zone)
        wanted = now if index is None else [now[index]]
        return all(s['state'] == state for s in wanted) and now

    return wait.until(
        found, lambda: f'{state}: {stores(nginx, zone)}\n{nginx._tail()}',
        timeout_s, 0.02)


def wait_count(nginx, read, least, what, timeout_s=20):
    """read(stores) is at least so much."""
    wait.until(lambda: read(stores(nginx)) >= least,
               lambda: f'{what} {least}: {stores(nginx)}', timeout_s, 0.01)


def total(found, *path):
    """The sum over stores of one number of their status."""
    count = 0
    for store in found:
        value = store
        for name in path:
            value = value[name]
        count += value
    return count


# --- the file -----------------------------------------------------------------

class Frame:
    """The first frame of a record, and where the record lies."""

    def __init__(self, off, words):
        (_, _, self.key_lo, self.key_hi, self.store_id, self.segment_seq,
         self.record_seq, self.tag0, self.tag1, self.size, self.number,
         self.kind, _, _, _) = words
        self.off = off

    @property
    def key(self):
        return self.key_lo, self.key_hi

    def pieces(self):
        """[(offset in the file, bytes)] of its payload."""
        found, at = [], self.off
        left = self.size
        while left > 0:
            take = min(left, FRAME)
            found.append((at + HEAD.size, take))
            at += HEAD.size + take
            left -= take
        return found

    @property
    def bytes(self):
        return self.size + HEAD.size * max(1, len(self.pieces()))


class Media:
    """What lies in a store's file now."""

    def __init__(self, path):
        self.path = str(path)
        with open(self.path, 'rb') as f:
            self.data = f.read()
        self.segment_bytes = 0
        for off in (0, BLOCK):
            words = SUPER.unpack_from(self.data, off)
            if words[0] == 0x5353435331443353:
                self.segment_bytes = words[6]
        self.segments = []             # (offset, seq) of those with a header
        for off in range(self.segment_bytes, len(self.data) - BLOCK,
                         self.segment_bytes or len(self.data)):
            words = SEGMENT.unpack_from(self.data, off)
            if words[0] == MAGIC_SEGMENT:
                self.segments.append((off, words[3]))

    def sealed(self):
        """Offsets of segments with a trailer of the same use."""
        found = []
        for off, seq in self.segments:
            words = TRAILER.unpack_from(
                self.data, off + self.segment_bytes - BLOCK)
            if words[0] == MAGIC_TRAILER and words[3] == seq:
                found.append(off)
        return found

    def frames(self, kind=RECORD):
        """First frames that belong to the present use of their segment."""
        seqs = dict(self.segments)
        for match in re.finditer(re.escape(struct.pack('<I', MAGIC_FRAME)),
                                 self.data):
            off = match.start()
            if off % UNIT or off + HEAD.size > len(self.data) \
                    or not self.segment_bytes:
                continue
            frame = Frame(off, HEAD.unpack_from(self.data, off))
            segment = off - off % self.segment_bytes
            if frame.number == 0 and frame.kind == kind \
                    and frame.segment_seq == seqs.get(segment):
                yield frame

    def payload(self, frame):
        return b''.join(self.data[off:off + size]
                        for off, size in frame.pieces())

    def find(self, body):
        """The newest record whose payload ends with these bytes, or None."""
        found = [f for f in self.frames() if f.size >= len(body)
                 and self.payload(f).endswith(body)]
        return max(found, key=lambda f: f.record_seq, default=None)


def wait_on_media(paths, bodies, timeout_s=20):
    """These bodies are in these files, whole: each ends some record, and together
    the records that end as a part of a body have as many bytes. (A record of
    which only the first frames are there yet ends as whatever was there.)"""
    ends = {body[max(0, n - 32):n] for body in bodies
            for n in (*range(BLOCK, len(body), BLOCK), len(body))}

    def missing():
        tails, sizes = set(), {}
        for path in paths:
            media = Media(path)
            for frame in media.frames():
                tail = media.payload(frame)[-32:]
                tails.add(tail)
                if tail in ends:
                    sizes[path, frame.key] = frame.size
        return ([i for i, body in enumerate(bodies) if body[-32:] not in tails]
                or max(0, sum(map(len, bodies)) - sum(sizes.values())))

    wait.until(lambda: not missing(),
               lambda: f'{missing()} of {len(bodies)} bodies, or bytes of them, '
                       f'are not in {paths}', timeout_s, 0.05)


def wait_tombstones(paths, count, timeout_s=20):
    wait.until(lambda: sum(len(list(Media(p).frames(TOMBSTONE)))
                           for p in paths) >= count,
               f'{count} tombstones in {paths}', timeout_s, 0.05)


def patch(path, off, data):
    """Writes into a file behind everybody's back."""
    with open(path, 'r+b') as f:
        f.seek(off)
        f.write(data)


def flip(path, off, bit=0):
    """One bit of the file is another one."""
    with open(path, 'r+b') as f:
        f.seek(off)
        was = f.read(1)[0]
        f.seek(off)
        f.write(bytes([was ^ 1 << bit]))
