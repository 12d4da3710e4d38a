# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 client that sends the frames that a test wants, when it wants
them, and hides nothing of what comes: an answer says whether it ended and by
which code its stream was reset."""

import contextlib
import dataclasses
import socket

import h2.config
import h2.connection
import h2.events

TIMEOUT_S = 30
NO_ERROR = 0


@dataclasses.dataclass
class Answer:
    status: int = 0
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b''
    ended: bool = False          # by END_STREAM: all of it is here
    reset: int = None            # the code of RST_STREAM, if there was one


class Connection:
    """One, by prior knowledge; its streams may overlap."""

    def __init__(self, port, host='127.0.0.1'):
        self.sock = socket.create_connection((host, port), TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding='latin-1'))
        self.answers = {}
        self.h2.initiate_connection()
        # answers in full, whatever is read of them
        self.h2.increment_flow_control_window(1 << 30)
        self._flush()
        self._settled = False
        while not self._settled:
            self._read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def _read(self):
        data = self.sock.recv(1 << 18)
        assert data, 'the connection was closed'
        for event in self.h2.receive_data(data):
            self._event(event)
        self._flush()

    def _event(self, event):
        answer = self.answers.get(getattr(event, 'stream_id', None))
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self._settled = True
        elif isinstance(event, h2.events.ResponseReceived):
            answer.headers = dict(event.headers)
            answer.status = int(answer.headers.pop(':status'))
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            self.h2.acknowledge_received_data(
                event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = event.error_code
        else:
            assert not isinstance(event, h2.events.ConnectionTerminated), event

    def request(self, method, target, headers=(), end=True, body=b''):
        """The head of one, and in the same write a body that flow control
        lets go: the number of its stream."""
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.h2.send_headers(stream, [
            (':method', method), (':scheme', 'http'), (':path', target),
            (':authority', 'localhost'),
            *(headers.items() if isinstance(headers, dict) else headers)],
            end_stream=end and not body)
        view, most = memoryview(body), self.h2.max_outbound_frame_size
        while len(view):
            piece, view = view[:most], view[most:]
            self.h2.send_data(stream, bytes(piece),
                              end_stream=end and not len(view))
        self._flush()
        return stream

    @contextlib.contextmanager
    def patience(self, seconds):
        """How long has_room() waits for some."""
        self.sock.settimeout(seconds)
        yield
        self.sock.settimeout(TIMEOUT_S)

    def has_room(self, stream):
        """Waits until flow control lets bytes go: whether it does."""
        try:
            while not self.h2.local_flow_control_window(stream):
                self._read()
                assert self.answers[stream].reset is None
        except TimeoutError:
            return False
        return True

    def send_some(self, stream, data, end=False):
        """One frame of a body: how many bytes it has taken."""
        count = min(len(data), self.h2.local_flow_control_window(stream),
                    self.h2.max_outbound_frame_size)
        self.h2.send_data(stream, bytes(data[:count]),
                          end_stream=end and count == len(data))
        self._flush()
        return count

    def send(self, stream, data=b'', end=False):
        """A piece of a body, as flow control lets it go."""
        view = memoryview(data)
        if end and not data:
            self.send_some(stream, b'', end=True)
        while len(view):
            assert self.has_room(stream), 'held back for too long'
            view = view[self.send_some(stream, view, end):]

    def reset(self, stream, code):
        self.h2.reset_stream(stream, code)
        self._flush()

    def answer(self, stream):
        """What it is when it has ended, or its stream was reset."""
        found = self.answers[stream]
        while not found.ended and found.reset is None:
            self._read()
        return found

    def wait_reset(self, stream):
        """By which code the stream was reset."""
        while self.answers[stream].reset is None:
            self._read()
        return self.answers[stream].reset

    def ask(self, method, target, headers=(), body=None):
        stream = self.request(method, target, headers, end=body is None)
        if body is not None:
            self.send(stream, body, end=True)
        return self.answer(stream)
