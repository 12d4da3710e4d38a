# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of a test, and certificates by it."""

import os
import ssl
import subprocess


class Authority:
    def __init__(self, folder, name='test-ca'):
        self.dir = str(folder)
        self.cert = os.path.join(self.dir, f'{name}.pem')
        self.key = os.path.join(self.dir, f'{name}.key')
        self._openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
                      'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
                      '-subj', f'/CN={name}', '-keyout', self.key,
                      '-out', self.cert)

    def _openssl(self, *args):
        subprocess.run(('openssl',) + args, check=True, timeout=30,
                       capture_output=True)

    def issue(self, names=('localhost', '127.0.0.1'), days=30):
        """(certificate, key) files for these DNS names and addresses."""
        stem = os.path.join(self.dir, f'{names[0]}.{len(os.listdir(self.dir))}')
        san = ','.join(('IP:' if n.replace('.', '').isdigit() else 'DNS:') + n
                       for n in names)
        with open(f'{stem}.ext', 'w', encoding='ascii') as f:
            f.write(f'subjectAltName={san}\n')
        self._openssl('req', '-newkey', 'ec', '-pkeyopt',
                      'ec_paramgen_curve:P-256', '-nodes', '-subj',
                      f'/CN={names[0]}', '-keyout', f'{stem}.key',
                      '-out', f'{stem}.csr')
        self._openssl('x509', '-req', '-in', f'{stem}.csr', '-CA', self.cert,
                      '-CAkey', self.key, '-CAcreateserial', '-days',
                      str(days), '-extfile', f'{stem}.ext',
                      '-out', f'{stem}.pem')
        return f'{stem}.pem', f'{stem}.key'

    def server_context(self, *names, **more):
        """An SSLContext for a server of these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(names or ('localhost',
                                                      '127.0.0.1'), **more))
        return context
