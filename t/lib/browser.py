# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by chromedriver, for tests of the dashboard.

    with Browser(tmp_path) as page:
        page.open(url)
        page.wait(lambda: page.text('#live') == 'live', 'the first numbers')

What the browser says of errors is in .errors(): of scripts, of what the
content security policy has refused, of what could not be loaded.
"""

import os
import shutil

from lib import wait

BINARY = '/usr/bin/chromium'
DRIVER = '/usr/bin/chromedriver'


def is_installed():
    try:
        import selenium                      # noqa: F401
    except ImportError:
        return False
    return os.path.exists(BINARY) and os.path.exists(DRIVER)


class Browser:
    def __init__(self, folder):
        self.folder = str(folder)
        self.driver = None
        self.seen = []

    def __enter__(self):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        options = webdriver.ChromeOptions()
        options.binary_location = BINARY
        for word in ('--headless=new', '--no-sandbox', '--disable-gpu',
                     '--disable-dev-shm-usage', '--no-proxy-server',
                     '--disable-background-networking',
                     f'--user-data-dir={self.folder}/profile'):
            options.add_argument(word)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        self.driver = webdriver.Chrome(
            options=options,
            service=Service(DRIVER, log_output=f'{self.folder}/driver.log'))
        self.driver.set_page_load_timeout(30)
        self.driver.set_script_timeout(30)
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(f'{self.folder}/profile', ignore_errors=True)

    def open(self, url):
        self.driver.get(url)

    def size(self, width, height):
        self.driver.execute_cdp_cmd(
            'Emulation.setDeviceMetricsOverride',
            {'width': width, 'height': height, 'deviceScaleFactor': 1,
             'mobile': False})

    def scheme(self, name):
        """light or dark, as the user's system prefers."""
        self.driver.execute_cdp_cmd(
            'Emulation.setEmulatedMedia',
            {'features': [{'name': 'prefers-color-scheme', 'value': name}]})

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def text(self, selector):
        return self.run('const e = document.querySelector(arguments[0]);'
                        'return e ? e.textContent : null', selector)

    def texts(self, selector):
        return self.run('return Array.from(document.querySelectorAll('
                        'arguments[0]), e => e.textContent)', selector)

    def click(self, selector):
        self.driver.find_element('css selector', selector).click()

    def keys(self, *keys):
        """Typed where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def wait(self, condition, what, timeout_s=20):
        return wait.until(condition, what, timeout_s, 0.05)

    def errors(self):
        self.seen += [f'{e["level"]}: {e["message"]}'
                      for e in self.driver.get_log('browser')]
        return self.seen

    def screenshot(self, path):
        self.driver.save_screenshot(str(path))
