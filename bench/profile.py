#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""profile.py FILE [N [ROWS]]: the functions of a callgrind profile by their
own instructions, divided by N requests. (callgrind_annotate of Debian 12 gives
all to main() when a dump began in mid-run.)"""

import collections
import os
import re
import sys


def own(path):
    """{(object, function): instructions}."""
    names, cost = {}, collections.Counter()
    where, skip = {}, False
    with open(path, encoding='utf-8', errors='replace') as f:
        for line in f:
            found = re.match(r'(c?)(ob|fn)=\((\d+)\)(?: (.*))?', line)
            if found:
                called, kind, number, name = found.groups()
                if name is not None:
                    names[kind, number] = name
                if not called:
                    where[kind] = names[kind, number]
            elif line.startswith('calls='):
                skip = True          # the next line is what was called
            elif line[0] in '0123456789+-*':
                if not skip:
                    cost[os.path.basename(where['ob']),
                         where['fn']] += int(line.split()[1])
                skip = False
    return cost


def main():
    path, n, rows = (sys.argv[1:] + [200, 40][len(sys.argv) - 2:])[:3]
    cost, n = own(path), int(n)
    total = sum(cost.values())
    objects = collections.Counter()
    for (obj, _), c in cost.items():
        objects[obj] += c
    print(f'{total / n:10.0f}  all')
    for obj, c in objects.most_common():
        print(f'{c / n:10.0f}  {c / total:6.1%}  {obj}')
    print()
    for (obj, fn), c in cost.most_common(int(rows)):
        print(f'{c / n:10.0f}  {c / total:6.1%}  {fn}  [{obj}]')


if __name__ == '__main__':
    main()
