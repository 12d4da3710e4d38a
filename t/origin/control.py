# SPDX-License-Identifier: Apache-2.0
"""The scripted origin by HTTP, for programs that are not its own."""

import base64
import http.server
import json
import threading

from origin.objects import pattern


class Control:
    """The origin by HTTP, for programs: one JSON object a POST.

    POST /put     {bucket, key, body (base64) or size and seed, headers, ...}
    POST /delete  {bucket, key}
    POST /on      {fields of Rule; gate: a name}
    POST /off     {}                    all rules
    POST /gate    {name, at}            made; later {name, open: true|byte}
    POST /reset   {}
    GET  /requests, GET /state
    """

    def __init__(self, origin, port=0):
        control = self
        self.origin, self.gates = origin, {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def _reply(self, what, status=200):
                text = json.dumps(what).encode()
                self.send_response(status)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                if self.path == '/requests':
                    self._reply([r.as_dict() for r in list(origin.requests)])
                else:
                    self._reply({'url': origin.url, 'open': origin.open,
                                 'accepted': origin.accepted,
                                 'requests': len(origin.requests)})

            def do_POST(self):
                size = int(self.headers.get('Content-Length', 0))
                given = json.loads(self.rfile.read(size) or b'{}')
                try:
                    self._reply(control.do(self.path.strip('/'), given))
                except (KeyError, TypeError, ValueError) as e:
                    self._reply({'error': repr(e)}, 400)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', port), Handler)
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever,
                                        daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def do(self, what, given):
        origin = self.origin
        if what == 'put':
            body = (base64.b64decode(given.pop('body')) if 'body' in given
                    else pattern(given.pop('size', 0), given.pop('seed', 0)))
            return {'etag': origin.put(body=body, **given).etag}
        if what == 'delete':
            origin.delete(given['bucket'], given['key'])
        elif what == 'on':
            if 'gate' in given:
                given['gate'] = self.gates[given['gate']]
            if 'raw' in given:
                given['raw'] = given['raw'].encode('latin-1')
            origin.on(**given)
        elif what == 'off':
            origin.off()
        elif what == 'gate':
            if 'open' in given:
                to = given['open']
                self.gates[given['name']].open(None if to is True else to)
            else:
                self.gates[given['name']] = origin.gate(given.get('at'))
            return {'reached': self.gates[given['name']].reached}
        elif what == 'reset':
            origin.reset()
        else:
            raise KeyError(what)
        return {}
