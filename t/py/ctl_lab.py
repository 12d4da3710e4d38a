# SPDX-License-Identifier: Apache-2.0
"""A node that is played, for what no real one does when a test wants it."""

import http.server
import json
import threading
import urllib.parse

import pytest


class Node:
    """Answers what is asked next by the next of `answers`, (status, JSON); the
    last one stays."""

    def __init__(self):
        self.answers, self.asked = [], []
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                size = int(self.headers.get('Content-Length', 0))
                path, _, query = self.path.partition('?')
                node.asked.append((self.command, path, dict(
                    urllib.parse.parse_qsl(query, keep_blank_values=True)),
                    self.rfile.read(size), dict(self.headers)))
                status, document = (node.answers.pop(0)
                                    if len(node.answers) > 1
                                    else node.answers[0])
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header('Content-Length', str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                                      Handler)
        self.server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def say(self, *answers):
        self.asked.clear()
        self.answers[:] = answers

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def node():
    made = Node()
    yield made
    made.close()
