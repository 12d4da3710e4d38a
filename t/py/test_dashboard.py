# SPDX-License-Identifier: Apache-2.0
"""s3_cache_dashboard: the page as it is sent, and as a browser shows it."""

import base64
import hashlib
import itertools
import json
import re
import threading
from urllib.parse import quote

import pytest

from lib import browser, wait
from lib.nginx import s3_zone
from origin.objects import pattern

DASH = '''
    location = /dash {{ s3_cache_dashboard {}; }}
    location = /shut {{ s3_cache_dashboard; deny all; }}
'''
HOSTILE = '<img src=x onerror="window.pwned=1">'
# what another part of the status may say, put into each answer
ALERTS = '''
    const real = window.fetch;
    window.fetch = async (...args) => {
        const answer = await real(...args);
        if (!String(args[0]).includes('format=json')) return answer;
        const said = await answer.json();
        said.alerts = [{name: 'x', severity: 'critical', since: 1700000000,
            text: '%s', advice: 'look <b>there</b>'}];
        return new Response(JSON.stringify(said));
    };
''' % HOSTILE.replace("'", "\\'")


@pytest.fixture
def make_dash(make_gateway, origin):
    def make(words='', server='', **more):
        return make_gateway(origin, server=DASH.format(words) + server, **more)
    return make


@pytest.fixture
def page(tmp_path):
    if not browser.is_installed():
        pytest.fail('Chromium is not installed: make deps')
    with browser.Browser(tmp_path) as started:
        yield started


def sha256(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# --- as it is sent ------------------------------------------------------------

def test_the_page_is_sent_whole_and_lets_nothing_else_run(make_dash):
    nginx = make_dash()
    answer = nginx.get('/dash')
    text = answer.body.decode()
    assert answer.status == 200
    assert answer.headers['Content-Type'] == 'text/html; charset=utf-8'
    assert answer.headers['Cache-Control'] == 'no-store'
    assert answer.headers['X-Content-Type-Options'] == 'nosniff'
    policy = dict(part.split(' ', 1) for part in
                  answer.headers['Content-Security-Policy'].split('; '))
    style, = re.findall(r'<style>(.*?)</style>', text, re.S)
    script, = re.findall(r'<script>(.*?)</script>', text, re.S)
    assert policy == {
        'default-src': "'none'", 'script-src': f"'sha256-{sha256(script)}'",
        'style-src': f"'sha256-{sha256(style)}'", 'connect-src': "'self'",
        'img-src': 'data:', 'base-uri': "'none'", 'form-action': "'none'",
        'frame-ancestors': "'none'", 'require-trusted-types-for': "'script'",
        'trusted-types': "'none'"}
    # nothing is fetched from elsewhere, and no attribute is code or style
    assert set(re.findall(r'https?://[^\s\'"]+', text)) == {
        'http://www.w3.org/2000/svg'}
    markup = text.replace(script, '').replace(style, '')
    assert not re.search(r'\s(on\w+|style|src)=', markup.replace(
        "href=\"data:", ''))
    assert text.startswith('<!doctype html>') and len(text) < 128 * 1024
    head = nginx.request('HEAD', '/dash')
    assert head.headers['Content-Length'] == str(len(answer.body))
    assert nginx.request('POST', '/dash', body=b'x').status == 405
    assert nginx.request('DELETE', '/dash?settings').status == 405


def test_one_location_tells_all_that_the_page_needs(make_dash):
    nginx = make_dash('price_requests=0.0004 price_gb=12 currency=EUR')
    said = json.loads(nginx.get('/dash?settings').body)
    assert said.pop('host')
    assert said == {'price_requests': 0.0004, 'price_gb': 12,
                    'currency': 'EUR'}
    assert json.loads(nginx.get('/dash?format=json').body)['zones']
    assert json.loads(nginx.get('/dash?history=seconds').body)['zones']
    assert b's3_cache_requests_total' in nginx.get(
        '/dash?format=prometheus').body
    assert nginx.get('/dash?format=xml').status == 400
    # and what guards it guards all of it
    for query in ('', '?settings', '?format=json', '?history=hot'):
        assert nginx.get('/shut' + query).status == 403


def test_without_prices_there_are_none(make_dash):
    said = json.loads(make_dash().get('/dash?settings').body)
    assert (said['price_requests'], said['price_gb'], said['currency']) == (
        None, None, 'USD')


@pytest.mark.parametrize('directive, complaint', [
    ('s3_cache_dashboard price=1;', 'unknown parameter "price=1"'),
    ('s3_cache_dashboard on;', 'unknown parameter "on"'),
    ('s3_cache_dashboard price_gb=;', 'invalid parameter "price_gb="'),
    ('s3_cache_dashboard price_gb=-1;', 'invalid parameter "price_gb=-1"'),
    ('s3_cache_dashboard price_gb=1.;', 'invalid parameter "price_gb=1."'),
    ('s3_cache_dashboard price_gb=.5;', 'invalid parameter "price_gb=.5"'),
    ('s3_cache_dashboard price_gb=01;', 'invalid parameter "price_gb=01"'),
    ('s3_cache_dashboard price_gb=1e3;', 'invalid parameter "price_gb=1e3"'),
    ('s3_cache_dashboard price_gb=1.2.3;', 'a decimal number is needed'),
    ('s3_cache_dashboard price_gb=0.1234567890;', 'a decimal number'),
    ('s3_cache_dashboard price_gb=1234567890;', 'a decimal number'),
    ('s3_cache_dashboard price_requests=x;', 'a decimal number is needed'),
    ('s3_cache_dashboard price_gb=1 price_gb=2;',
     'duplicate parameter "price_gb=2"'),
    ('s3_cache_dashboard currency=eur;', 'three capital letters'),
    ('s3_cache_dashboard currency=EURO;', 'three capital letters'),
    ('s3_cache_dashboard currency=;', 'three capital letters'),
    ('s3_cache_dashboard; s3_cache_dashboard;', 'is duplicate'),
])
def test_what_it_refuses(make_nginx, directive, complaint):
    status, said = make_nginx(http=s3_zone(), status=False, server=(
        f'location / {{\n{directive}\n}}')).test_conf()
    assert status == 1
    assert re.search(rf'\[emerg\] .*{re.escape(complaint)}.* in \S+:\d+', said)


def test_it_belongs_in_a_location(make_nginx):
    status, said = make_nginx(http='s3_cache_dashboard;',
                              status=False).test_conf()
    assert status == 1 and 'not allowed here' in said


# --- in a browser ------------------------------------------------------------

def opened(page, nginx, query=''):
    page.open(nginx.url('/dash' + query))
    page.wait(lambda: page.text('#live') == 'live',
              lambda: (page.text('#live'), page.errors()))


def row(page, label, name):
    """Cells of the table `label` in the row that begins so."""
    return page.run('''
        for (const tr of document.querySelectorAll(
                `[aria-label="${arguments[0]}"] tbody tr`)) {
            const cells = Array.from(tr.children, c => c.textContent);
            if (cells[0] === arguments[1]) return cells;
        }
        return null;''', label, name)


def tile(page, title):
    return page.run('''
        for (const t of document.querySelectorAll('.tile')) {
            if (t.querySelector('h2').textContent === arguments[0])
                return t.querySelector('.big').textContent;
        }''', title)


def pressed(page):
    return page.texts('[aria-pressed="true"]')


def test_it_is_live_and_answers_to_clicks_and_keys(origin, make_dash, page):
    from selenium.webdriver.common.keys import Keys
    nginx = make_dash('price_requests=0.5 price_gb=0.1',
                      http=s3_zone('cold'))
    opened(page, nginx)
    origin.put('bkt', 'key', pattern(30_000))
    for _ in range(21):
        nginx.get('/bkt/key')
    page.wait(lambda: row(page, 'First byte by tier', 'memory')[1] == '20',
              lambda: row(page, 'First byte by tier', 'memory'))
    assert row(page, 'First byte by tier', 'origin')[1] == '1'
    page.wait(lambda: row(page, 'Buckets', 'bkt'), 'the bucket')
    page.wait(lambda: row(page, 'Hot keys', 'bkt/key'), 'the key')
    assert tile(page, 'Hit ratio') == '95.2%'
    assert tile(page, 'Saved').startswith('$')
    # without reading anew: what comes is shown
    for _ in range(30):
        nginx.get('/bkt/key')
    page.wait(lambda: row(page, 'First byte by tier', 'memory')[1] == '50',
              lambda: row(page, 'First byte by tier', 'memory'))

    # the other range, another tier, a line less
    page.click('#range-minutes')
    assert '24 hours' in pressed(page) and '10 minutes' not in pressed(page)
    page.click('#range-seconds')
    page.click('.tabs button:nth-child(3)')
    assert 'flash' in pressed(page)
    page.click('.legend li:nth-child(2) button')
    assert page.text('.legend [aria-pressed="false"]').startswith('flash')

    # by keyboard: a chart is reached and read
    page.run('document.querySelector(".legend button").focus()')
    page.keys(Keys.SHIFT, Keys.TAB)
    assert page.run('return document.activeElement.tagName') == 'CANVAS'
    page.keys(Keys.ARROW_LEFT)
    assert page.run('return !document.getElementById("tip").hidden')
    assert 'memory' in page.text('#tip')
    page.keys(Keys.ESCAPE)
    assert page.run('return document.getElementById("tip").hidden')

    # another zone has numbers of its own
    page.run('''const z = document.getElementById("zone");
                z.value = "cold"; z.dispatchEvent(new Event("change"))''')
    page.wait(lambda: row(page, 'First byte by tier', 'memory')[1] == '0',
              'the other zone')

    # paused it asks nothing more
    page.click('#pause')
    assert page.text('#live').startswith('paused')

    def asked():
        with open(nginx.access_log, encoding='utf-8') as f:
            return f.read().count('GET /dash?')
    wait.until(lambda: page.run('return polls.every(p => !p.busy)'), 'rest')
    before = asked()
    nginx.get('/dash?settings')
    page.run('return beat()')
    assert asked() == before + 1
    page.click('#pause')
    page.wait(lambda: page.text('#live') == 'live', 'it goes on')
    assert not page.errors()


def test_foreign_names_are_text(origin, make_dash, page):
    nginx = make_dash()
    origin.put('bkt', HOSTILE, b'x' * 100)
    for _ in range(40):
        assert nginx.get('/bkt/' + quote(HOSTILE)).status == 200
    page.driver.execute_cdp_cmd('Page.addScriptToEvaluateOnNewDocument',
                                {'source': ALERTS})
    opened(page, nginx)
    page.wait(lambda: row(page, 'Hot keys', 'bkt/' + HOSTILE), 'the key')
    assert page.text('.alert.critical b') == HOSTILE
    assert page.text('.alert p') == 'look <b>there</b>'
    assert page.run('return document.images.length') == 0
    assert page.run('return window.pwned') is None
    assert not page.errors()


def test_an_alert_is_seen_as_long_as_it_is_raised(origin, make_dash, page):
    nginx = make_dash(http='s3_cache_alerts on window=1s;')
    opened(page, nginx)
    assert page.run('return document.getElementById("alerts").hidden')
    rule = origin.on(error=(503, 'SlowDown'))
    stop = threading.Event()
    numbers = itertools.count()

    def read():
        while not stop.is_set():
            nginx.get(f'/bkt/k{next(numbers)}')
            stop.wait(0.005)
    client = threading.Thread(target=read)
    client.start()
    try:
        page.wait(lambda: page.texts('.alert.critical b'),
                  lambda: nginx.zone()['alerts'], 40)
        assert 'requests to the origin failed' in page.text('.alert b')
        assert page.text('.alert .sev').lower() == 'critical'
        assert page.text('.alert .when').startswith('since ')
        assert 'stale_if_error' in page.text('.alert p')
        assert page.run('return document.querySelector(".alert").role'
                        ' || document.querySelector(".alert")'
                        '.getAttribute("role")') == 'alert'
        assert page.run('return !document.getElementById("alerts").hidden')
        origin.off(rule)
    finally:
        stop.set()
        client.join()
    page.wait(lambda: page.run(
        'return document.getElementById("alerts").hidden'),
        lambda: nginx.zone()['alerts'], 40)
    assert not page.errors()


def test_a_warm_up_is_seen_while_it_runs(origin, make_dash, page):
    nginx = make_dash(http='s3_cache_warmup @dir@/warmup;\n',
                      server='location = /-/admin { s3_cache_admin; }\n')
    for i in range(40):
        origin.put('bkt', f'set/k{i}', b'x' * 1000)
    gate = origin.gate()
    origin.on('bkt', 'set/k7', gate=gate)
    opened(page, nginx)
    hidden = 'return document.querySelector(".warm").hidden'
    assert page.run(hidden)
    assert nginx.request('POST', '/-/admin?warmup=prefix&bucket=bkt'
                         '&prefix=set/').status == 202
    page.wait(lambda: row(page, 'Warm-up jobs', 'bkt/set/'),
              lambda: nginx.zone()['warmup_jobs'], 40)
    assert row(page, 'Warm-up jobs', 'bkt/set/')[1] == 'warm'
    gate.open()
    page.wait(lambda: page.run(hidden), lambda: nginx.zone()['warmup_jobs'],
              40)
    assert not page.errors()


def test_bytes_that_were_checked_are_seen(origin, make_dash, page):
    nginx = make_dash(location='s3_cache_verify 100%;')
    origin.put('bkt', 'good', b'g' * 3000)
    origin.put('bkt', 'bad', b'x' * 3000, etag='"one"', last_modified=1)
    opened(page, nginx)
    hidden = 'return document.querySelector(".checked").hidden'
    assert page.run(hidden)
    for key in ('good', 'bad'):
        nginx.get(f'/bkt/{key}')
    # other bytes of the same version, as of a cache that is wrong
    origin.put('bkt', 'bad', b'y' * 3000, etag='"one"', last_modified=1)
    for key in ('good', 'bad'):
        nginx.get(f'/bkt/{key}')

    def cells():
        return row(page, 'Bytes that were checked',
                   'answers, compared with the origin')
    page.wait(lambda: cells() and cells()[1:3] == ['1', '1'],
              lambda: (cells(), nginx.zone()['verify']), 40)
    assert not page.run(hidden) and not page.errors()


def test_nothing_that_is_slipped_in_runs(make_dash, page):
    nginx = make_dash()
    opened(page, nginx)
    page.run('''
        const s = document.createElement("div");
        document.body.append(s);
        try { s.innerHTML = "<b>x</b>"; window.markup = 1; } catch {}
        const e = document.createElement("script");
        try { e.textContent = "window.pwned = 1"; } catch {}
        try { e.append("window.pwned = 1"); document.body.append(e); } catch {}
        s.setAttribute("style", "color: red");
        window.coloured = getComputedStyle(s).color;
        const t = document.createElement("style");
        t.append("#main { display: none }");
        document.head.append(t);''')
    assert page.run('return [window.markup, window.pwned]') == [None, None]
    assert page.run('return window.coloured') != 'rgb(255, 0, 0)'
    assert page.run('return getComputedStyle('
                    'document.getElementById("main")).display') != 'none'
    assert page.run('return fetch(arguments[0]).then(() => 1, () => 0)',
                    nginx.url('/status', name='status')) == 0
    assert page.errors()                # that is what they are about


def test_light_dark_and_narrow(origin, make_dash, page, tmp_path):
    nginx = make_dash(stores=[{}])
    origin.put('bkt', 'a/very/long/' + 'x' * 200, pattern(1000))
    for _ in range(40):
        nginx.get('/bkt/a/very/long/' + 'x' * 200)

    def background():
        return page.run('return getComputedStyle(document.body)'
                        '.backgroundColor.match(/\\d+/g).map(Number)')
    page.size(390, 844)
    page.scheme('light')
    opened(page, nginx)
    page.wait(lambda: len(page.texts('[aria-label="Hot keys"] tbody tr')) == 1
              and 'xxx' in page.text('[aria-label="Hot keys"] tbody'),
              'the key')
    assert page.run('return document.documentElement.scrollWidth') <= 390
    assert min(background()) > 200
    page.scheme('dark')
    page.wait(lambda: max(background()) < 60, 'a dark page')
    assert page.run('return document.documentElement.scrollWidth') <= 390
    assert page.text('.store .state') == 'serving'
    # all that can be used has a name and is large enough for a finger
    assert page.run('''
        return Array.from(document.querySelectorAll(
            "button, select, canvas[tabindex], [role=region], section"), e =>
                [e.tagName, e.getAttribute("aria-label") || e.textContent
                 || (e.labels && e.labels[0].textContent)])
            .filter(([, name]) => !name)''') == []
    page.screenshot(tmp_path / 'narrow.png')
    assert not page.errors()


def test_it_says_when_nobody_answers_and_goes_on_afterwards(make_dash, page):
    nginx = make_dash()
    opened(page, nginx)
    nginx.kill_all()
    page.wait(lambda: page.text('#live').startswith('no answer since'),
              lambda: page.text('#live'))
    nginx.start()
    page.wait(lambda: page.text('#live') == 'live',
              lambda: page.text('#live'), 40)
    nginx.get('/bkt/none')
    page.wait(lambda: row(page, 'First byte by tier', 'origin') is not None,
              'new numbers')
