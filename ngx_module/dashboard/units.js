/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers with their units, and the few ways in which elements are made. Names
 * of buckets, keys and nodes are foreign: they become text nodes, never markup.
 */
'use strict';

const BLANK = '\u2013';

function digits(v) {
  const a = Math.abs(v);
  return v.toLocaleString('en', { maximumFractionDigits: a >= 100 ? 0 : a >= 10 ? 1 : 2 });
}

function scaled(v, step, names) {
  if (!Number.isFinite(v)) return [BLANK, ''];
  let i = 0, n = v;
  while (Math.abs(n) >= (step === 1024 ? 1000 : 999.5) && i < names.length - 1) { n /= step; i++; }
  return [digits(n), names[i]];
}

const UNITS = {
  count: v => v < 10000 ? [digits(v), ''] : scaled(v, 1000, ['', 'k', 'M', 'G', 'T']),
  rate: v => { const [n, u] = scaled(v, 1000, ['', 'k', 'M', 'G']); return [n, u + '/s']; },
  bytes: v => scaled(v, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']),
  byterate: v => { const [n, u] = scaled(v, 1000, ['B', 'kB', 'MB', 'GB']); return [n, u + '/s']; },
  seconds: v => v < 0.001 ? [digits(v * 1e6), '\u00b5s'] : v < 1 ? [digits(v * 1e3), 'ms']
    : v < 120 ? [digits(v), 's'] : v < 7200 ? [digits(v / 60), 'min'] : [digits(v / 3600), 'h'],
  percent: v => [(100 * v).toLocaleString('en', { maximumFractionDigits: v > 0.9995 || v < 0.1 ? 2 : 1 }), '%'],
};

function parts(v, unit) {
  return v === null || v === undefined || !Number.isFinite(v) ? [BLANK, ''] : UNITS[unit](v);
}

function say(v, unit) {
  const [n, u] = parts(v, unit);
  return u === '' ? n : unit === 'count' || u.startsWith('/') || u === '%' ? n + u : n + '\u00a0' + u;
}

function money(v, currency) {
  if (!Number.isFinite(v)) return BLANK;
  const fine = Math.abs(v) < 1 && v !== 0;
  try {
    return v.toLocaleString('en', { style: 'currency', currency, maximumFractionDigits: fine ? 4 : 2 });
  } catch {
    return digits(v) + ' ' + currency;
  }
}

function clock(ms, seconds) {
  return new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
    second: seconds ? '2-digit' : undefined });
}

/* el('p', 'class', child, ...): strings become text. */
function el(tag, cls, ...children) {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  for (const c of children) e.append(c);
  return e;
}

function attr(e, attributes) {
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

function byId(id) {
  return document.getElementById(id);
}

function dot(color) {
  const d = el('span', 'dot');
  d.style.background = color;
  return d;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const sum = list => list.reduce((a, b) => a + b, 0);
