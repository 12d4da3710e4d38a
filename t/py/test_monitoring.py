# SPDX-License-Identifier: Apache-2.0
"""What is said to Prometheus passes its own check; the rules for alerts do what
they should; and whatever metric, label or value the rules, the board and the
documents name is one that the module prints."""

import json
import os
import re
import subprocess

import pytest
import yaml

from lib import unpacked
from lib.nginx import REPO, module
from peer_reads import make_cluster

__all__ = ['make_cluster']

FOLDER = f'{REPO}/conf-examples/prometheus'
KEYS = '[default]\naws_access_key_id = A\naws_secret_access_key = S\n'
# of the server that scrapes, and of what has no fixed values
FREE = {'instance', 'job', 'zone', 'bucket', 'store', 'node', 'source', 'le'}


def text_of(*path):
    with open(os.path.join(REPO, *path), encoding='utf-8') as f:
        return f.read()


@pytest.fixture(scope='module')
def promtool():
    """promtool(words, stdin=None): what it says; it must be content."""
    try:
        path = unpacked.promtool()
    except unpacked.Unavailable as e:
        pytest.skip(f'promtool (Debian: prometheus) cannot be had: {e}')

    def run(*words, stdin=None):
        done = subprocess.run([path, *words], input=stdin, text=True,
                              stdout=subprocess.PIPE, timeout=100,
                              stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout
    return run


@pytest.fixture
def printed(origin, make_cluster, tmp_path):
    """The text of a node in a ring, with a store, that was used."""
    keys = tmp_path / 'keys'
    keys.write_text(KEYS, encoding='ascii')
    keys.chmod(0o600)
    cluster = make_cluster(
        origin, nodes=2, http='s3_cache_store @dir@/store size=64m;\n',
        location=f's3_cache_origin_credentials file={keys};')
    node = cluster.nodes[0]
    for i in range(8):
        origin.put('bucket', f'k{i}', b'x' * 100_000)
        for _ in range(2):
            assert node.get(f'/bucket/k{i}').status == 200
    return node.metrics()


# --- what is printed ------------------------------------------------------------

def test_prometheus_has_nothing_to_say_about_the_metrics(promtool, printed):
    assert 's3_cache_store_hits_total{' in printed
    assert 's3_cache_node_first_byte_seconds_bucket{' in printed
    assert 's3_cache_origin_keys_valid{' in printed
    assert 's3_cache_bucket_requests_total{' in printed
    assert promtool('check', 'metrics', stdin=printed) == ''


# --- what is asked for -------------------------------------------------------------

class Printed:
    """Families, and of each which label has which values."""

    def __init__(self, text):
        self.labels = {}
        self.histograms = set()
        for line in text.splitlines():
            if line.startswith('# TYPE'):
                _, _, name, kind = line.split()
                self.labels[name] = {}
                if kind == 'histogram':
                    self.histograms.add(name)
            elif not line.startswith('#'):
                name, labels = re.match(r'(\w+)\{(.*)\} ', line).groups()
                of = self.labels[self.family(name)]
                for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"',
                                               labels):
                    of.setdefault(label, set()).add(value)

    def family(self, name):
        base = re.sub(r'_(bucket|sum|count)$', '', name)
        return base if base in self.histograms else name

    def wrong(self, expr):
        """What an expression asks for, and is not printed."""
        rest = re.sub(r'\b(?:by|ignoring|without|on) *\([^)]*\)', ' ', expr)
        for name, labels in re.findall(r'\b(s3_cache_\w+)(\{[^}]*\})?', rest):
            has = self.labels.get(self.family(name))
            if has is None or name in self.histograms:
                yield name
                continue
            for label, sign, value in re.findall(
                    r'(\w+) *(=~|!~|!=|=) *"([^"]*)"', labels):
                if has and label not in has and label not in ('instance',
                                                              'job'):
                    yield f'{name}: {label}'
                elif has and label not in FREE:
                    yield from (f'{name}: {label}="{word}"'
                                for word in value.split('|')
                                if word not in has[label])


def board():
    return json.loads(text_of('conf-examples/grafana/s3-cache.json'))


def panels():
    return [p for p in board()['panels'] if p['type'] != 'row']


def alerts():
    return [rule for group in yaml.safe_load(
        text_of('conf-examples/prometheus/alerts.yml'))['groups']
        for rule in group['rules']]


def queries():
    """(where, expression)"""
    found = [(rule['alert'], rule['expr']) for rule in alerts()]
    found += [(panel['title'], target['expr'])
              for panel in panels() for target in panel['targets']]
    for name in ('docs/metrics.md', 'docs/operations.md'):
        found += [(name, block) for block in re.findall(
            r'```promql\n(.*?)```', text_of(name), re.S)]
    return found


def test_rules_board_and_documents_ask_for_what_is_printed(printed):
    known = Printed(printed)
    found = queries()
    assert len(found) > 60
    assert not [(where, wrong) for where, expr in found
                for wrong in known.wrong(expr)]
    names = [v['query'] for v in board()['templating']['list'][1:]]
    assert [re.sub(r'\{.*\}', '', q) for q in names] == [
        'label_values(s3_cache_zone_entries, instance)',
        'label_values(s3_cache_zone_entries, zone)']


def test_the_guide_names_what_there_is(printed):
    """Metrics with the labels that they have; directives; variables."""
    known = Printed(printed)
    guide = text_of('docs/operations.md')
    directives = set(re.findall(r'^### (s3_cache\w*)$',
                                text_of('docs/directives.md'), re.M))
    variables = set(re.findall(r'\$(s3_cache_\w+)',
                               text_of('docs/directives.md')))
    wrong = [name for name, labels in re.findall(
        r'\b(s3_cache_\w+)(\{[^}]*\})?', guide)
        if name not in directives | variables
        and list(known.wrong(name + labels))
        and name not in known.histograms]
    assert not wrong


def test_what_is_not_printed_is_found(printed):
    known = Printed(printed)
    assert not list(known.wrong('s3_cache_zone_entries{zone="x"} > 1'))
    for wrong in ('s3_cache_zone_entrie', 's3_cache_first_byte_seconds',
                  's3_cache_zone_entries_bucket', 'rate(s3_cache_x_total[5m])',
                  's3_cache_requests_total{results="hit"}',
                  's3_cache_requests_total{result=~"hit|mis"}'):
        assert list(known.wrong(f'sum by (zone) ({wrong})')), wrong


def test_each_expression_is_promql(promtool, tmp_path):
    rules = []
    for i, (_, expr) in enumerate(queries()):
        for variable, value in (('$__rate_interval', '5m'),
                                ('$instance', '.*'), ('$zone', '.*')):
            expr = expr.replace(variable, value)
        assert '$' not in expr
        rules.append({'record': f'q:{i}', 'expr': expr})
    path = tmp_path / 'rules.yml'
    path.write_text(json.dumps({'groups': [{'name': 'q', 'rules': rules}]}),
                    encoding='utf-8')
    promtool('check', 'rules', str(path))


# --- the board --------------------------------------------------------------------------

def test_the_board_is_laid_out():
    taken = set()
    ids = [panel['id'] for panel in board()['panels']]
    assert len(ids) == len(set(ids))
    for panel in board()['panels']:
        at = panel['gridPos']
        assert at['x'] + at['w'] <= 24
        cells = {(at['x'] + dx, at['y'] + dy) for dx in range(at['w'])
                 for dy in range(at['h'])}
        assert not cells & taken, panel['title']
        taken |= cells
    for panel in panels():
        assert panel['fieldConfig']['defaults']['unit']
        refs = [target['refId'] for target in panel['targets']]
        assert len(set(refs)) == len(refs)
        for target in panel['targets']:
            selectors = re.findall(r's3_cache_\w+(\S*?[\[})])',
                                   target['expr'])
            assert selectors and all(
                '{instance=~"$instance",zone=~"$zone"' in s
                for s in selectors), target['expr']


# --- spans ---------------------------------------------------------------------------

def test_spans_name_variables_that_there_are(make_nginx, tmp_path):
    """The module that makes them is not in Debian: in place of what it reads
    stands the log."""
    text = text_of('conf-examples/opentelemetry/nginx.conf')
    attributes = re.findall(r'otel_span_attr +\S+ +(\$\w+);', text)
    assert len(attributes) >= 9
    text, n = re.subn(r'(?s)\n *otel_exporter \{.*?\}|\n *otel_\w+ [^;]*;'
                      r'|\nload_module modules/ngx_otel_module\.so;', '', text)
    assert n == 6 + len(attributes)
    text = re.sub(r'\$otel_\w+', '$request_id', text)
    text = re.sub(r'(?m)^(user|pid|error_log|worker_\w+) .*;\n', '', text)
    text = text.replace('modules/ngx_http_s3_cache_module.so', module())
    for name in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'):
        text = text.replace('http {', f'http {{ {name}_temp_path @dir@/{name};',
                            1)
    text = text.replace('access_log off;', f'log_format spans "$traced '
                        f'{" ".join(attributes)}";\n    '
                        'access_log @dir@/spans.log spans;')
    secret = tmp_path / 's3-credentials'
    secret.write_text(KEYS, encoding='ascii')
    secret.chmod(0o600)
    text = text.replace('/etc/nginx/s3-credentials', str(secret))
    status, said = make_nginx(
        conf='@user@\npid @dir@/nginx.pid;\n' + text.replace(
            '127.0.0.1:8080', '127.0.0.1:@port@'), status=False).test_conf()
    assert status == 0 and '[warn]' not in said, said


# --- the alerts -----------------------------------------------------------------------------

def test_the_rules_are_sound(promtool):
    promtool('check', 'rules', f'{FOLDER}/alerts.yml')
    for rule in alerts():
        assert rule['labels']['severity'] in ('page', 'ticket')
        assert set(rule['annotations']) == {'summary', 'action'}


def test_each_alert_fires_and_clears(promtool):
    promtool('test', 'rules', f'{FOLDER}/alerts_test.yml')


def test_each_alert_has_a_test_of_both():
    tests = {test['name']: test['promql_expr_test'] for test
             in yaml.safe_load(text_of(
                 'conf-examples/prometheus/alerts_test.yml'))['tests']}
    assert sorted(tests) == sorted(rule['alert'] for rule in alerts())
    for name, evals in tests.items():
        assert all(f'"{name}"' in each['expr'] for each in evals)
        assert evals[-2]['exp_samples'] and not evals[-1]['exp_samples'], name


def test_the_configuration_is_one_of_prometheus(promtool):
    promtool('check', 'config', f'{FOLDER}/prometheus.yml')
