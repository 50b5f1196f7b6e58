// SPDX-License-Identifier: LGPL-2.1-or-later
// The test of the test: good.html has no fault, and each fault that is put into it is found where it is, and no other.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { look } from './views.mjs';

const here = dirname(fileURLToPath(import.meta.url));

const POLICY = /<meta http-equiv.*\n/;
const LEAD = '<p id="lead">';
const MAIN = '<main id="results">';
const END = '</body>';
const STYLE = '</style>';
const before = (place, what) => [place, `${what}${place}`];
const style = (rules) => before(STYLE, `${rules}\n`);
// A picture of one pixel that is not there.
const IMAGE = '<img src="https://pictures.invalid/a.png" alt="A" width="9" height="9">';

// Each width, each scheme, paper, no script: for faults these are enough.
const SOME = /^(light-360|light-820|dark-1440|print|noscript)$/;

// For each fault: what of good.html is replaced by what, and which claims it breaks: in which views is after an @, a
// regular expression, else in all.
const faults = {
  'overflow': [['overflow@360'], before(LEAD, '<p style="width: 500px">too wide a paragraph</p>\n')],
  'overflow-paper': [['overflow@print'], style('@media print { #lead { width: 720px } }')],
  'no-viewport': [['overflow@360'], [/<meta name="viewport".*\n/, '']],
  'clipped': [['clipped'], style('#lead { width: 9em; overflow: hidden; white-space: nowrap; text-overflow: ellipsis }')],
  'clipped-height': [['clipped'],
    style('h1 { height: 1em; overflow: clip } h1::before { content: ""; display: block; height: 2em }')],
  'clipped-paper': [['clipped@print'], style('.scroll { width: 200px } @media print { th, td { white-space: nowrap } }')],
  'outside': [['clipped'], style('#lead { margin-left: -30em }')],
  'small-text': [['text-size'], style('#lead { font-size: 11px }')],
  'small-cell': [['text-size'], style('#cell { font-size: 10px }')],
  'hidden-chart': [['charts@dark'], style('@media (prefers-color-scheme: dark) { figure svg { visibility: hidden } }')],
  'empty-chart': [['charts@(820|1440|print|noscript)'],
    [/<path class="line" d="M60,20.*\n<path.*\n/, ''],
    [/<rect width.*>/, '<rect width="800" height="300" style="fill: var(--paper)"></rect>']],
  'wordless-chart': [['charts@360'], [/<text x="200".*\n/, '']],
  'no-caption': [['charts'], [/<figcaption.*figcaption>/, '<figcaption> </figcaption>']],
  'no-figure': [['charts'], [/<figure>[^]*<\/figure>/, '']],
  'tiny-words': [['svg-size@360'], style('@media screen { .wide { display: block } .narrow { display: none } }')],
  'words-outside': [['svg-inside@(820|1440|print|noscript)'], ['x="60" y="270"', 'x="795" y="150"']],
  'words-overlap': [['svg-overlap@(820|1440|print|noscript)'], ['translate(330,200)', 'translate(305,205)']],
  'faint-words': [['svg-contrast@dark'], style('.wide text, .narrow text { fill: #1b1b1b }')],
  'words-on-a-shape': [['svg-contrast@(820|1440|print)'],
    [/<rect width.*>/, '<rect x="40" y="255" width="40" height="25" style="fill: var(--ink)"></rect>']],
  'script-only': [['complete'], before(END, '<script>document.getElementById("lead").append(" And more.")</script>')],
  'script-draws': [['complete'],
    before(END, '<script>document.querySelector(".wide").append(document.querySelector(".line").cloneNode())</script>')],
  'no-base64': [['downloads'], ['base64,eyJ', 'base64,*eyJ']],
  'no-json': [['downloads'], ['base64,eyJz', 'base64,eyJ6eyJz']],
  'no-data': [['downloads'], [/href="data:text\/csv[^"]*"/, 'href="run.csv"']],
  'warns': [['console@-|print'], before(END, '<script>console.warn("odd")</script>')],
  'throws': [['console@-|print'], before(END, '<script>setTimeout(() => { throw new Error("late") })</script>')],
  'forbidden': [['console', 'requests'], before(LEAD, IMAGE)],
  'image': [['requests'], [POLICY, ''], before(LEAD, IMAGE)],
  'file': [['requests'], [POLICY, ''], ['<style>', '<style>@import "other.css";']],
  'ahead': [['requests'], [POLICY, ''], before('<title>', '<link rel="preconnect" href="https://pictures.invalid">')],
  'socket': [['console@-|print', 'requests@-|print'], [POLICY, ''],
    before(END, '<script>new WebSocket("ws://pages.invalid/")</script>')],
  'no-language': [['axe@-|print'], ['<html lang="en">', '<html>']],
  'faint-in-light': [['axe@light|print'], style('@media (prefers-color-scheme: light) { #lead { color: #999 } }')],
  'faint-in-dark': [['axe@dark'], style('@media (prefers-color-scheme: dark) { #lead { color: #666 } }')],
  'headings': [['axe@-|print'],
    ['<h2>How they', '<h5 style="font-size: 1.2em">How they'], ['are spread</h2>', 'are spread</h5>']],
};

function changed(page, changes) {
  for (const [from, to] of changes) {
    const times = page.split(from).length - 1;
    if (times !== 1) throw new Error(`'${from}' is ${times} times in good.html, not once`);
    page = page.replace(from, () => to);
  }
  return page;
}

// All failures of a page as "VIEW CLAIM", and all cases it had.
async function failures(place, file, options) {
  const failed = new Map();
  const all = [];
  await look(place, file, { figures: 1, downloads: 2, ...options }, ({ view, claim, faults: found }) => {
    all.push({ view, claim });
    if (found.length > 0) failed.set(`${view} ${claim}`, found);
  });
  return { failed, all };
}

// What differs between the cases that were to fail and those that did.
function differences({ failed, all }, expected) {
  const lines = [];
  const due = new Set();
  for (const rule of expected) {
    const [claim, views = ''] = rule.split('@');
    const cases = all.filter((one) => one.claim === claim && new RegExp(views).test(one.view));
    if (cases.length === 0) lines.push(`no case is called ${rule}`);
    for (const { view } of cases) due.add(`${view} ${claim}`);
  }
  for (const name of due) if (!failed.has(name)) lines.push(`not found by ${name}`);
  for (const [name, found] of failed) if (!due.has(name)) lines.push(`found by ${name}:`, ...found.map((fault) => `  ${fault}`));
  return lines;
}

export async function selfTest(place, { positionals }, tell) {
  const wanted = (name) => positionals.length === 0 || positionals.includes(name);
  const good = join(here, 'good.html');
  const folder = mkdtempSync(join(tmpdir(), 'duet-look.'));
  try {
    if (wanted('good')) tell('good.html has no fault', differences(await failures(place, good, { views: /./ }), []));
    const source = readFileSync(good, 'utf8');
    for (const [name, [expected, ...changes]] of Object.entries(faults)) {
      if (!wanted(name)) continue;
      const file = join(folder, `${name}.html`);
      // It is what takes longest: where it has nothing to find, it is asked once.
      const axe = expected.some((rule) => rule.startsWith('axe')) ? /./ : /^light-360$/;
      writeFileSync(file, changed(source, changes));
      tell(`${name} is found: ${expected.join(', ')}`, differences(await failures(place, file, { views: SOME, axe }), expected));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
