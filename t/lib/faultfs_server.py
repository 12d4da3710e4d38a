#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The process behind lib.faultfs: a file system that fails when told to.

It speaks the kernel's FUSE protocol itself (linux/fuse.h, 7.31), because what
tests want to know is what the kernel was asked: every read and write as it
came, up to 1 MiB in one piece, direct I/O in parallel, and answers that are
late or never given, for which no library has a place. One flat folder of
plain files, passed through to another folder.

  faultfs_server.py FOLDER MOUNT_POINT CONTROL_FD

CONTROL_FD is one end of a socket pair: a JSON object a line, answered by one.
When it is closed by the other side, or that process dies, the mount goes and
this process ends; what is in flight then fails.
"""

import ctypes
import errno
import json
import os
import random
import signal
import socket
import stat
import struct
import sys
import threading
import time

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))

from lib import process                      # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
MAX_WRITE = 1 << 20
MINOR = 31

ASYNC_READ, BIG_WRITES, ASYNC_DIO, MAX_PAGES = 1, 1 << 5, 1 << 15, 1 << 22
OPEN_DIRECT_IO, OPEN_PARALLEL_WRITES = 1, 1 << 6
SET_MODE, SET_SIZE = 1, 1 << 3
ROOT = 1
HEAD, REPLY = struct.Struct('<IIQQIIII'), struct.Struct('<IiQ')
ATTR = struct.Struct('<6Q10I')
# these have no answer
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42
OPCODES = {
    1: 'lookup', 3: 'getattr', 4: 'setattr', 10: 'unlink', 14: 'open',
    15: 'read', 16: 'write', 17: 'statfs', 18: 'release', 20: 'fsync',
    25: 'flush', 26: 'init', 27: 'opendir', 28: 'readdir', 29: 'releasedir',
    34: 'access', 35: 'create', 43: 'fallocate'}


def unmount(point):
    """Takes the mount away, whoever uses it; False: there was none."""
    return LIBC.umount2(os.fsencode(point), MNT_DETACH) == 0


class Request:
    def __init__(self, unique, node, kind, words):
        self.unique, self.node, self.kind = unique, node, kind
        self.words = words
        self.name, self.off, self.size = '', 0, 0


class Rules:
    """Which requests fail, and the record of all of them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rules = {}            # number: what the client said
        self.seen = []             # [kind, name, offset, bytes, outcome]
        self.held = []             # [(rule's number, what to do then)]
        self.count = 0

    def add(self, rule):
        with self.lock:
            self.count += 1
            rule.setdefault('nth', 1)
            rule.update(number=self.count, met=0,
                        random=random.Random(rule.get('seed', 0)))
            self.rules[self.count] = rule
            return self.count

    def off(self, number=None):
        """Takes one rule, or all, away; what it holds may go."""
        with self.lock:
            if number is None:
                self.rules.clear()
            else:
                self.rules.pop(number, None)
            freed = [go for n, go in self.held if number in (None, n)]
            self.held = [(n, go) for n, go in self.held
                         if number not in (None, n)]
        for go in freed:
            go()
        return len(freed)

    def match(self, request):
        """The newest rule that holds for it, or {}."""
        with self.lock:
            for rule in reversed(list(self.rules.values())):
                if self._holds(rule, request):
                    return rule
        return {}

    @staticmethod
    def _holds(rule, request):
        first, last = rule.get('at') or (0, 1 << 62)
        if (request.kind not in rule['kinds']
                or rule.get('name') not in (None, request.name)
                or request.off > last
                or request.off + max(1, request.size) <= first):
            return False
        if rule.get('share') is not None \
                and rule['random'].random() >= rule['share']:
            return False
        rule['met'] += 1
        times = rule.get('times')
        return rule['met'] >= rule['nth'] and (
            times is None or rule['met'] < rule['nth'] + times)

    def note(self, request):
        row = [request.kind, request.name, request.off, request.size, None]
        with self.lock:
            self.seen.append(row)
        return row

    def hold(self, rule, go):
        with self.lock:
            if rule['number'] in self.rules:
                self.held.append((rule['number'], go))
                return
        go()


class FileSystem:
    def __init__(self, folder, point, control):
        self.folder, self.point, self.control = folder, point, control
        self.rules = Rules()
        self.names = {ROOT: ''}        # node: name
        self.nodes = {'': ROOT}
        self.files = {}                # handle: descriptor
        self.fd = os.open('/dev/fuse', os.O_RDWR | os.O_CLOEXEC)
        text = (f'fd={self.fd},rootmode=40000,user_id={os.getuid()},'
                f'group_id={os.getgid()},allow_other')
        if LIBC.mount(b'faultfs', os.fsencode(point), b'fuse',
                      MS_NOSUID | MS_NODEV, text.encode()) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f'mount: {os.strerror(code)}')

    # --- life ---------------------------------------------------------------

    def end(self, *_):
        unmount(self.point)
        os._exit(0)

    def run(self):
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGINT, self.end)
        for target in (self.obey, self.watch):
            threading.Thread(target=target, daemon=True).start()
        while True:
            try:
                raw = os.read(self.fd, MAX_WRITE + 4096)
            except OSError as e:
                if e.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                self.end()             # ENODEV: unmounted
            self.take(raw)

    def obey(self):
        """Words of the client, until it goes away."""
        with self.control.makefile('rw', encoding='utf-8') as pipe:
            try:
                for line in pipe:
                    word = json.loads(line)
                    answer = getattr(self, 'do_' + word.pop('do'))(**word)
                    pipe.write(json.dumps(answer) + '\n')
                    pipe.flush()
            except OSError:
                pass
        self.end()

    def watch(self):
        """A client that died while it waited for us keeps its sockets, and
        gets no death signal sent, until we answer."""
        client = os.getppid()
        while process.is_alive(client):
            time.sleep(0.2)
        self.end()

    def do_on(self, **rule):
        return self.rules.add(rule)

    def do_off(self, number=None):
        return self.rules.off(number)

    def do_seen(self, clear=False):
        with self.rules.lock:
            seen = list(self.rules.seen)
            if clear:
                self.rules.seen.clear()
        return seen

    def do_held(self):
        with self.rules.lock:
            return len(self.rules.held)

    def do_met(self, number):
        with self.rules.lock:
            rule = self.rules.rules.get(number)
            return rule['met'] if rule else None

    # --- a request ----------------------------------------------------------

    def take(self, raw):
        _, code, unique, node, *_ = HEAD.unpack_from(raw)
        if code in (FORGET, INTERRUPT, BATCH_FORGET):
            return
        request = Request(unique, node, OPCODES.get(code, ''),
                          memoryview(raw)[HEAD.size:])
        request.name = self.names.get(node, '')
        if not request.kind:
            self.reply(request, error=errno.ENOSYS)
            return
        if request.kind in ('read', 'write'):
            request.off, request.size = struct.unpack_from(
                '<QI', request.words, 8)
        elif request.kind in ('lookup', 'unlink'):
            request.name = self.text(request.words)
        elif request.kind == 'create':
            request.name = self.text(request.words[16:])
        rule = self.rules.match(request)
        row = self.rules.note(request)

        def go():
            self.perform(request, rule, row)

        if rule.get('hold'):
            self.rules.hold(rule, go)
        elif rule.get('delay_s'):
            timer = threading.Timer(rule['delay_s'], go)
            timer.daemon = True
            timer.start()
        else:
            go()

    def perform(self, request, rule, row):
        """Does it, notes what became of it (bytes or -errno), answers."""
        code, data = rule.get('error', 0), b''
        if not code:
            try:
                data = getattr(self, request.kind)(request, rule)
            except OSError as e:
                code = e.errno or errno.EIO
        if code:
            row[4] = -code
        elif request.kind == 'write':
            row[4], _ = struct.unpack('<II', data)
        else:
            row[4] = len(data)
        self.reply(request, data, code)

    def reply(self, request, data=b'', error=0):
        head = REPLY.pack(REPLY.size + (0 if error else len(data)), -error,
                          request.unique)
        try:
            os.writev(self.fd, [head] if error else [head, data])
        except OSError as e:
            if e.errno != errno.ENOENT:        # nobody waits any more
                raise

    @staticmethod
    def text(words):
        return os.fsdecode(bytes(words).split(b'\0')[0])

    def path(self, name):
        return os.path.join(self.folder, name) if name else self.folder

    def node_of(self, name):
        if name not in self.nodes:
            self.nodes[name] = len(self.names) + 1
            self.names[self.nodes[name]] = name
        return self.nodes[name]

    def attr(self, name):
        st = os.stat(self.path(name))
        times = (st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns)
        return ATTR.pack(
            self.node_of(name), st.st_size, st.st_blocks,
            *(t // 10 ** 9 for t in times), *(t % 10 ** 9 for t in times),
            st.st_mode, st.st_nlink, st.st_uid, st.st_gid, 0, 4096, 0)

    def entry(self, name):
        attr = self.attr(name)
        return struct.pack('<4Q2I', self.node_of(name), 0, 0, 0, 0, 0) + attr

    # --- what it can do, by name: the answer's bytes, or OSError ------------

    def init(self, request, _):
        _, minor, readahead, flags = struct.unpack_from('<4I', request.words)
        flags &= ASYNC_READ | BIG_WRITES | ASYNC_DIO | MAX_PAGES
        return struct.pack('<4I2H2I2H8I', 7, min(minor, MINOR), readahead,
                           flags, 1024, 1024, MAX_WRITE, 1,
                           MAX_WRITE // 4096, 0, *[0] * 8)

    def lookup(self, request, _):
        return self.entry(request.name)

    def getattr(self, request, _):
        return struct.pack('<Q2I', 0, 0, 0) + self.attr(request.name)

    def setattr(self, request, _):
        valid, _, _, size = struct.unpack_from('<2I2Q', request.words)
        mode, = struct.unpack_from('<I', request.words, 68)
        path = self.path(request.name)
        if valid & SET_SIZE:
            os.truncate(path, size)
        if valid & SET_MODE:
            os.chmod(path, stat.S_IMODE(mode))
        return self.getattr(request, None)

    def unlink(self, request, _):
        os.unlink(self.path(request.name))
        return b''

    def opened(self, path, flags, mode=0o600):
        keep = flags & (os.O_ACCMODE | os.O_TRUNC | os.O_CREAT | os.O_EXCL)
        fd = os.open(path, keep | os.O_CLOEXEC, mode)
        self.files[fd] = fd
        return struct.pack('<Q2I', fd, OPEN_DIRECT_IO | OPEN_PARALLEL_WRITES,
                           0)

    def open(self, request, _):
        flags, = struct.unpack_from('<I', request.words)
        return self.opened(self.path(request.name), flags & ~os.O_CREAT)

    def create(self, request, _):
        flags, mode = struct.unpack_from('<2I', request.words)
        made = self.opened(self.path(request.name), flags | os.O_CREAT,
                           stat.S_IMODE(mode))
        return self.entry(request.name) + made

    def opendir(self, _request, _):
        return struct.pack('<Q2I', 0, 0, 0)

    def readdir(self, request, _):
        _, off, size = struct.unpack_from('<2QI', request.words)
        out = b''
        names = sorted(os.listdir(self.folder))
        for at, name in enumerate(names[off:], off + 1):
            raw = os.fsencode(name)
            row = struct.pack('<2Q2I', self.node_of(name), at, len(raw),
                              8) + raw
            row += b'\0' * (-len(row) % 8)
            if len(out) + len(row) > size:
                break
            out += row
        return out

    def read(self, request, rule):
        handle, = struct.unpack_from('<Q', request.words)
        data = os.pread(self.files[handle],
                        min(request.size, rule.get('short', 1 << 30)),
                        request.off)
        return self.flipped(data, request.off, rule)

    def write(self, request, rule):
        handle, = struct.unpack_from('<Q', request.words)
        size = min(request.size, rule.get('short', 1 << 30))
        data = self.flipped(request.words[40:40 + size], request.off, rule)
        done = os.pwrite(self.files[handle], data, request.off)
        return struct.pack('<2I', done, 0)

    @staticmethod
    def flipped(data, off, rule):
        """With one bit wrong, if the rule wants one in these bytes."""
        at = rule.get('flip')
        if at is None or not data:
            return data
        if at < 0:                       # of every piece, from its end
            at += off + len(data)
        if not off <= at < off + len(data):
            return data
        data = bytearray(data)
        data[at - off] ^= 1
        return bytes(data)

    def fallocate(self, request, _):
        handle, off, size, mode = struct.unpack_from('<3QI', request.words)
        if mode:
            raise OSError(errno.EOPNOTSUPP, '')
        os.posix_fallocate(self.files[handle], off, size)
        return b''

    def statfs(self, _request, _):
        st = os.statvfs(self.folder)
        return struct.pack('<5Q10I', st.f_blocks, st.f_bfree, st.f_bavail,
                           st.f_files, st.f_ffree, st.f_bsize, st.f_namemax,
                           st.f_frsize, *[0] * 7)

    def release(self, request, _):
        handle, = struct.unpack_from('<Q', request.words)
        os.close(self.files.pop(handle))
        return b''

    def fsync(self, request, _):
        handle, = struct.unpack_from('<Q', request.words)
        os.fdatasync(self.files[handle])
        return b''

    def nothing(self, _request, _):
        return b''

    flush = releasedir = access = nothing


def main():
    folder, point, number = sys.argv[1:]
    control = socket.socket(fileno=int(number))
    try:
        served = FileSystem(folder, point, control)
    except OSError as e:
        control.sendall((json.dumps({'failed': str(e)}) + '\n').encode())
        return
    control.sendall(b'{}\n')
    served.run()


if __name__ == '__main__':
    main()
