# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy before one port that sees, delays and damages what goes through
it. Offsets count from the end of the first HTTP head in that direction, so
that byte 0 is the first of a link."""

import contextlib
import socket
import threading

UP, DOWN = 'up', 'down'          # towards the port, and back


class Wire:
    """One connection through a tap; what has come, in both directions."""

    def __init__(self, client, server):
        self.sockets = {UP: (client, server), DOWN: (server, client)}
        self.bytes = {UP: bytearray(), DOWN: bytearray()}

    def head(self, way):
        """The HTTP head, or as much of it as has come."""
        head, mark, _ = bytes(self.bytes[way]).partition(b'\r\n\r\n')
        return head + mark

    def body(self, way):
        return bytes(self.bytes[way]).partition(b'\r\n\r\n')[2]

    def close(self):
        for sock, _ in self.sockets.values():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Tap:
    """flip: one byte arrives with another value; cut: the connection ends
    before that byte; both are (way, offset) and hold for `times` connections.
    piece: so many bytes are sent on at a time. Between hold() and go_on()
    nothing is."""

    def __init__(self, port):
        self.to = port
        self.flip = self.cut = self.piece = None
        self.times = 10 ** 9
        self.damaged = 0
        self.wires = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._over = False
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self):
        self._flowing.clear()

    def go_on(self):
        self._flowing.set()

    def drop_all(self):
        for wire in list(self.wires):
            wire.close()

    def close(self):
        self._over = True
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_all()

    def _accept(self):
        while not self._over:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(('127.0.0.1', self.to), 10)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.settimeout(None)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(client, server)
            self.wires.append(wire)
            left = [2]
            for way in (UP, DOWN):
                threading.Thread(target=self._pump, args=(wire, way, left),
                                 daemon=True).start()

    def _pump(self, wire, way, left):
        source, sink = wire.sockets[way]
        seen, begin = wire.bytes[way], None
        try:
            while True:
                data = bytearray(source.recv(256 * 1024))
                if not data:
                    break
                at = len(seen)
                seen += data
                if begin is None:
                    found = seen.find(b'\r\n\r\n')
                    begin = found + 4 if found >= 0 else None
                ends = False
                if begin is not None:
                    ends = self._damage(way, data, at - begin)
                step = self.piece or len(data) or 1
                for i in range(0, len(data), step):
                    self._flowing.wait()
                    sink.sendall(data[i:i + step])
                if ends:
                    break
        except OSError:
            pass
        wire.close()
        left[0] -= 1
        if left[0] == 0:
            for sock in (source, sink):
                sock.close()

    def _damage(self, way, data, at):
        """`at`: the offset of data[0]. Whether the connection ends."""
        for what, kind in ((self.flip, 'flip'), (self.cut, 'cut')):
            if not what or what[0] != way or self.times <= 0:
                continue
            i = what[1] - at
            if 0 <= i < len(data):
                self.times -= 1
                self.damaged += 1
                if kind == 'flip':
                    data[i] ^= 0x40
                else:
                    del data[i:]
                    return True
        return False
