# SPDX-License-Identifier: Apache-2.0
"""The kustomize set: it renders, is what the API takes (types and fields by the
models of Debian's python3-kubernetes), fits together, and what its pods run with
serves."""

import datetime
import re
import subprocess

import pytest
import yaml

from lib import s3client, unpacked, wait
from lib.nginx import REPO, module
from origin.objects import pattern

models = pytest.importorskip('kubernetes.client.models',
                             reason='python3-kubernetes: make deps')

FOLDER = f'{REPO}/conf-examples/kubernetes'
KINDS = {'ConfigMap': 'V1ConfigMap', 'Service': 'V1Service',
         'StatefulSet': 'V1StatefulSet', 'Deployment': 'V1Deployment',
         'PodDisruptionBudget': 'V1PodDisruptionBudget',
         'NetworkPolicy': 'V1NetworkPolicy'}
IDENTITIES = '''{"identities": [{"name": "job", "keys": [
    {"access_key": "JOBKEY", "secret_key": "JOBSECRET"}],
    "policy": [{"effect": "allow", "actions": ["*"],
                "resources": ["*"]}]}]}'''


@pytest.fixture(scope='module')
def rendered():
    try:
        kubectl = unpacked.kubectl()
    except unpacked.Unavailable as e:
        pytest.skip(f'kubectl (Debian: kubernetes-client) cannot be had: {e}')
    done = subprocess.run([kubectl, 'kustomize', FOLDER],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    return {(one['kind'], one['metadata']['name']): one
            for one in yaml.safe_load_all(done.stdout)}


def the(rendered, kind, name='s3-cache'):
    """The object of that name; of a ConfigMap the hash behind it is ignored."""
    found, = [one for (k, n), one in rendered.items() if k == kind and (
        n == name or kind == 'ConfigMap' and n.startswith(f'{name}-'))]
    return found


# --- what the API takes -----------------------------------------------------------

def wrong(value, kind, path):
    """Where a value is not of a type as the models name it: 'V1Pod', 'str',
    'list[V1Container]', 'dict(str, str)'. Fields that do not exist, and those
    that are missing, are wrong."""
    inner = re.fullmatch(r'list\[(.*)\]|dict\(str, (.*)\)', kind)
    if inner and inner.group(1):
        if not isinstance(value, list):
            return [f'{path}: no list']
        return [w for i, one in enumerate(value)
                for w in wrong(one, inner.group(1), f'{path}[{i}]')]
    if inner:
        if not isinstance(value, dict):
            return [f'{path}: no map']
        return [w for key, one in value.items()
                for w in wrong(one, inner.group(2), f'{path}.{key}')]
    types = {'str': str, 'int': int, 'bool': bool, 'float': (int, float),
             'object': (str, int, dict), 'datetime': datetime.datetime}
    if kind in types:
        right = isinstance(value, types[kind]) and (
            kind in ('bool', 'object') or not isinstance(value, bool))
        return [] if right else [f'{path}: {value!r} is no {kind}']
    model = getattr(models, kind)
    if not isinstance(value, dict):
        return [f'{path}: no {kind}']
    names = {there: here for here, there in model.attribute_map.items()}
    found = [f'{path}.{name}: unknown' for name in value if name not in names]
    try:
        model(**{names[name]: one for name, one in value.items()
                 if name in names})
    except ValueError as e:              # a field that must be there is not
        found.append(f'{path}: {e}')
    for name, one in value.items():
        if name in names:
            found += wrong(one, model.openapi_types[names[name]],
                           f'{path}.{name}')
    return found


def test_each_object_is_one_of_the_api(rendered):
    assert len(rendered) == 9
    for (kind, name), one in rendered.items():
        assert wrong(one, KINDS[kind], f'{kind} {name}') == []


@pytest.mark.parametrize('change', [
    lambda pod: pod.update(containerz=[]),
    lambda pod: pod['containers'][0].pop('name'),
    lambda pod: pod['containers'][0]['ports'][0].update(containerPort='http'),
    lambda pod: pod['containers'][0]['securityContext'].update(
        readOnlyRootFilesystem='yes'),
    lambda pod: pod.update(volumes={})])
def test_what_the_api_would_refuse_is_found(rendered, change):
    one = yaml.safe_load(yaml.safe_dump(the(rendered, 'StatefulSet')))
    change(one['spec']['template']['spec'])
    assert wrong(one, 'V1StatefulSet', 'x')


# --- that it fits together -----------------------------------------------------------

def pod_of(one):
    return one['spec']['template']


def selected(selector, labels):
    return all(labels.get(k) == v for k, v in selector.items())


def test_selectors_and_ports_meet_pods(rendered):
    workloads = [the(rendered, 'StatefulSet'),
                 the(rendered, 'Deployment', 's3-cache-redis')]
    for one in workloads:
        assert selected(one['spec']['selector']['matchLabels'],
                        pod_of(one)['metadata']['labels'])

    def pods(selector):
        found = [w for w in workloads if selected(
            selector, pod_of(w)['metadata']['labels'])]
        assert len(found) == 1, selector
        return {port['name']: port['containerPort'] for port
                in pod_of(found[0])['spec']['containers'][0]['ports']}

    for (kind, _), one in rendered.items():
        spec = one.get('spec', {})
        if kind == 'Service':
            ports = pods(spec['selector'])
            assert all(port['targetPort'] in ports for port in spec['ports'])
        elif kind == 'NetworkPolicy':
            ports = pods(spec['podSelector']['matchLabels'])
            for rule in spec['ingress']:
                assert all(port['port'] in ports for port in rule['ports'])
                for peer in rule.get('from', []):
                    pods(peer['podSelector']['matchLabels'])
        elif kind == 'PodDisruptionBudget':
            pods(spec['selector']['matchLabels'])
            assert spec['maxUnavailable'] == 1


def test_the_stateful_set_is_what_it_should_be(rendered):
    one = the(rendered, 'StatefulSet')
    spec, pod = one['spec'], pod_of(one)['spec']
    service = the(rendered, 'Service', spec['serviceName'])
    assert service['spec']['clusterIP'] == 'None'
    container, = pod['containers']
    assert pod['securityContext']['runAsNonRoot'] is True
    assert container['securityContext'] == {
        'allowPrivilegeEscalation': False, 'readOnlyRootFilesystem': True,
        'capabilities': {'drop': ['ALL']}}
    ports = {p['name']: p['containerPort'] for p in container['ports']}
    for probe in ('startupProbe', 'readinessProbe', 'livenessProbe'):
        assert container[probe]['httpGet'] == {'path': '/alive',
                                               'port': 'metrics'}
    places = {v['name'] for v in pod['volumes']} | {
        v['metadata']['name'] for v in spec['volumeClaimTemplates']}
    assert {m['name'] for m in container['volumeMounts']} == places
    mounted, = [v['configMap']['name'] for v in pod['volumes']
                if 'configMap' in v]
    assert mounted == the(rendered, 'ConfigMap')['metadata']['name']
    # it must not be killed while it hands over and its clients are served
    said = ' '.join(container['lifecycle']['preStop']['exec']['command'])
    nginx = open_conf('container/nginx.conf')
    drain_s = int(re.search(r'sleep (\d+)', said).group(1))
    leave_s = 60 * int(re.search(r'worker_shutdown_timeout (\d+)m',
                                 nginx).group(1))
    assert pod['terminationGracePeriodSeconds'] > drain_s + leave_s
    conf = the(rendered, 'ConfigMap')['data']['s3-cache.conf']
    for name, text in (('s3', conf), ('peers', conf), ('metrics', nginx)):
        assert re.search(rf'listen {ports[name]}[ ;]', text), name


def test_the_zone_and_the_store_fit(rendered):
    one = the(rendered, 'StatefulSet')
    conf = the(rendered, 'ConfigMap')['data']['s3-cache.conf']
    zone = int(re.search(r's3_cache_zone \w+:(\d+)g', conf).group(1))
    store = int(re.search(r'size=(\d+)g', conf).group(1))
    limit = pod_of(one)['spec']['containers'][0]['resources']['limits']
    assert zone + 1 + store / 1024 <= int(limit['memory'].rstrip('Gi'))
    volume, = one['spec']['volumeClaimTemplates']
    assert store < int(volume['spec']['resources']['requests'][
        'storage'].rstrip('Gi'))


# --- that it runs --------------------------------------------------------------------

def open_conf(name):
    with open(f'{REPO}/conf-examples/{name}', encoding='utf-8') as f:
        return f.read()


def change(text, *pairs):
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def as_here(text, folder, redis, origin, name):
    """What a pod runs with, moved to this machine: paths, ports, sizes, the
    names of Redis and of the origin; and the name of the pod, which is that
    of its host."""
    text = change(
        text,
        ('include /etc/nginx/modules-enabled/*.conf;',
         f'load_module {module()};\nmaster_process on; daemon off;\n'
         'worker_processes 2;\n@user@'),
        ('error_log stderr', 'error_log @dir@/error.log'),
        ('/run/nginx/nginx.pid', '@dir@/nginx.pid'),
        ('worker_connections 16384', 'worker_connections 512'),
        ('/run/nginx/', '@dir@/'), ('/dev/stdout', '@dir@/access.log'),
        ('listen 9145', 'listen 127.0.0.1:@port:status@'),
        ('listen 8080', 'listen 127.0.0.1:@port@'),
        ('listen 9100', 'listen 127.0.0.1:@port:peers@'),
        ('member 9100', f'self {name};\n    member 127.0.0.1:@port:peers@'),
        ('s3-cache-redis;', f'127.0.0.1:{redis.port};'),
        ('/etc/nginx/secrets', str(folder)),
        ('https://s3.eu-central-1.amazonaws.com', origin.url),
        ('hot:8g', 'hot:64m'), ('/var/cache/s3/', '@dir@/'),
        ('size=90g', 'size=64m'))
    return text


@pytest.fixture
def secrets(tmp_path):
    folder = tmp_path / 'secrets'
    folder.mkdir()
    for name, text in (
            ('peers-secret', 'what the nodes know each other by\n'),
            ('redis-password', 'of redis\n'), ('identities.json', IDENTITIES),
            ('origin-credentials', '[default]\naws_access_key_id = A\n'
                                   'aws_secret_access_key = S\n')):
        (folder / name).write_text(text, encoding='ascii')
        (folder / name).chmod(0o440)
    return folder


def test_pods_make_a_ring_and_serve(rendered, make_nginx, make_redis, origin,
                                    secrets):
    conf = the(rendered, 'ConfigMap')['data']['s3-cache.conf']
    text = change(open_conf('container/nginx.conf'),
                  ('include /etc/nginx/conf.d/*.conf;', conf))
    redis = make_redis('requirepass "of redis"\n')
    nodes = [make_nginx(conf=as_here(text, secrets, redis, origin,
                                     f's3-cache-{i}')).start()
             for i in range(2)]
    for node in nodes:
        assert node.request(target='/alive', name='status').status == 204
        # who is still joining owns nothing
        wait.until(lambda n=node: [
            m['state'] for m in (n.zone()['ring'] or {'members': ()})[
                'members']] == ['ready'] * 2 and n.zone()['ring']['vouched'],
            node.log, 30, 0.05)
    wait.until(lambda: len({n.zone()['ring']['digest'] for n in nodes}) == 1,
               'one ring')
    body = pattern(200_000)
    origin.put('bucket', 'k', body)
    for node in nodes:
        s3 = s3client.client(node.url(), 'JOBKEY', 'JOBSECRET')
        assert s3.get_object(Bucket='bucket', Key='k')['Body'].read() == body
    assert sum(r.method == 'GET' for r in origin.requests) == 1
    assert nodes[0].get('/bucket/k').status == 403       # nobody
    # what preStop does
    answer = nodes[0].request('POST', '/admin?drain=on', name='status')
    assert answer.status == 200, answer.body
    wait.until(lambda: [m['share'] for m in nodes[1].zone()['ring'][
        'members'] if m['name'] == 's3-cache-1'] == [1], nodes[1].log, 30, .05)
