# SPDX-License-Identifier: Apache-2.0
"""What test_peers_edges.py and test_peers_links.py share."""

from peer_reads import STRIPE, get

SMALL, BIG = 20_000, 3 * STRIPE + 5
OFF = '    mirror off;\n'
# no clock helps: what is not answered is waited for
PATIENT = '    timeout 1h;\n    hedge 0;\n'


def asked_of(origin, since=0):
    """[(method, range)] that the origin was asked for."""
    return [(r.method, r.header('range'))
            for r in list(origin.requests)[since:]]


def connected(cluster):
    """There is a link between any two nodes, in both directions."""
    for i, node in enumerate(cluster.nodes):
        for other in range(len(cluster.nodes)):
            if other != i:
                key = cluster.key_of(other, prefix='link')
                assert get(node, f'/bkt/{key}').status == 404
