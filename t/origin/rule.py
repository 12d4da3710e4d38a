# SPDX-License-Identifier: Apache-2.0
"""What a test tells the scripted origin, and what it gets told."""

import asyncio
import base64
import dataclasses

from lib import wait
from origin.objects import Object

PIECE = 64 * 1024


class Gate:
    """Holds answers back: at body byte `at`, or before the head (at=None),
    until open(), or up to the byte given to open(to)."""

    def __init__(self, origin, at=None):
        self._origin = origin
        self._at = -1 if at is None else at
        self._is_open = False
        self._moved = []              # futures of the loop
        self.reached = 0              # answers that stood here, ever

    def open(self, to=None):
        """Lets all go, now and later; or all up to body byte `to`."""
        def opened():
            if to is None:
                self._is_open = True
            else:
                self._at = to
            moved, self._moved[:] = self._moved[:], []
            for future in moved:
                if not future.done():
                    future.set_result(None)
        self._origin.call(opened)

    def wait_reached(self, count=1, timeout_s=20):
        wait.until(lambda: self.reached >= count,
                   lambda: f'{self.reached} of {count} answers at the gate',
                   timeout_s)

    def room(self, at):
        """How many bytes from body byte `at` on may go; None: all."""
        return None if self._is_open else max(0, self._at - at)

    async def passed(self, at):
        """Loop: waits until byte `at` (-1: the head) may go."""
        seen = False
        while not self._is_open and at >= self._at:
            if not seen:
                self.reached += 1
                seen = True
            future = asyncio.get_running_loop().create_future()
            self._moved.append(future)
            await future


@dataclasses.dataclass
class Rule:
    """Which requests, and what happens to them. All of "what" may be joined
    as far as it makes sense."""

    # which
    bucket: str = None
    key: str = None
    method: str = None
    nth: int = 1               # the first that it holds for, counted from 1
    times: int = None          # for how many; None: for all from then on
    when: object = None        # or any function of the Request

    # while the body of a request comes: for all requests that are meant,
    # whatever `nth` and `times` say
    no_continue: bool = False  # Expect is left alone
    early: bool = False        # answered before any of it is read; then read
    body_gate: Gate = None     # it is read up to byte `at`, then not
    body_cut_at: int = None    # closed after so many bytes of it

    # before an answer
    before: object = None      # a function of the Request, called first
    hang: bool = False         # never answer, keep the connection
    drop: bool = False         # close without an answer
    reset: bool = False        # closing, by this rule, is an RST
    head_delay_s: float = 0
    gate: Gate = None
    reply_delay_s: float = 0   # between what is done or read and its answer

    # another answer
    raw: bytes = None          # sent as it is, then closed
    malformed: str = None      # a name in MALFORMED
    error: tuple = None        # (status, code) as XML
    redirect: str = None       # Location of a 307
    object: Object = None      # served instead of what is stored
    status: int = None         # instead of the right one
    headers: tuple = ()        # (name, value) set; value None: taken away
    interim: int = None        # a 1xx sent before
    ignore_range: bool = False
    ignore_if_match: bool = False

    # the body
    framing: str = 'length'    # or 'chunked', 'close' (ends by closing)
    length_by: int = 0         # declare so many bytes more (or fewer)
    extra: bytes = b''         # sent after the declared body
    cut_at: int = None         # close after so many body bytes
    rate: int = None           # body bytes a second
    piece: int = PIECE         # body bytes a write (and a chunk)
    head_body: bool = False    # send the body in answer to HEAD, too
    flip_at: int = None        # one body byte is wrong

    # after
    close: bool = False        # with "Connection: close"
    close_silently: bool = False

    seen: int = dataclasses.field(default=0, repr=False)

    @property
    def uploads(self):
        """Is it about the body of requests?"""
        return bool(self.no_continue or self.early or self.body_gate
                    or self.body_cut_at is not None)

    def means(self, request):
        return (self.bucket in (None, request.bucket)
                and self.key in (None, request.key)
                and self.method in (None, request.method)
                and (not self.when or self.when(request)))

    def holds(self, request):
        if not self.means(request):
            return False
        self.seen += 1
        return (self.seen >= self.nth and (
            self.times is None or self.seen < self.nth + self.times))


@dataclasses.dataclass
class Request:
    number: int                # counted from 0 over all connections
    connection: int            # which connection
    method: str
    target: str                # as it was sent
    headers: list              # (name, value) as they were sent
    head: bytes                # the whole head as it was sent
    body: bytes = b''
    body_bytes: int = 0        # of it, read so far
    bucket: str = ''
    key: str = ''
    query: dict = dataclasses.field(default_factory=dict)
    signer: str = None         # access key of a signature that is right
    refused: str = None        # why the signature is wrong
    status: int = None
    sent_bytes: int = 0        # of the body
    done: bool = False         # answered as it was meant
    came_s: float = 0          # time.monotonic() of the head's end
    head_s: float = 0          # of our head
    done_s: float = 0

    def header(self, name):
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ', '.join(values) if values else None

    def as_dict(self):
        found = dataclasses.asdict(self)
        found['head'] = self.head.decode('latin-1')
        found['body'] = base64.b64encode(self.body).decode()
        return found
