// SPDX-License-Identifier: LGPL-2.1-or-later
// A browser, and the views of a page in it.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { claims } from './claims.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const INPAGE = readFileSync(join(here, 'inpage.js'), 'utf8');
const SCREENS = [360, 820, 1440];
// An A4 page at 96 px per inch.
const PAPER = 794;
const HEIGHT = 900;

// `noscript` is last: what it shows is compared with what `light-820` did.
const VIEWS = [
  ...['light', 'dark'].flatMap((scheme) =>
    SCREENS.map((width) => ({ name: `${scheme}-${width}`, scheme, width, script: true }))),
  { name: 'print', scheme: 'light', width: PAPER, script: true, paper: true },
  { name: 'noscript', scheme: 'light', width: 820, script: false },
];

// Modules that npm installed: they are not beside this file.
function modules() {
  const place = process.env.DUET_BROWSER_MODULES ?? join(here, '../../build/browser');
  const require = createRequire(join(resolve(place), 'look.mjs'));
  try {
    return { chromium: require('playwright-core').chromium, axe: require('axe-core').source };
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    throw new Error(`no modules in ${place}; run tests/browser/install`);
  }
}

export async function launch() {
  const { chromium, axe } = modules();
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Root's can have none.
    chromiumSandbox: process.getuid() !== 0,
    args: ['--host-resolver-rules=MAP * ~NOTFOUND'],
  });
  return { browser, axe };
}

// One view of a page in a browser that knows nothing of the others.
async function open(browser, url, view) {
  const context = await browser.newContext({
    viewport: { width: view.width, height: HEIGHT },
    colorScheme: view.scheme,
    javaScriptEnabled: view.script,
    // A phone is one that heeds <meta name="viewport">.
    isMobile: view.width < 600,
    hasTouch: view.width < 600,
    reducedMotion: 'reduce',
    locale: 'en-GB',
    timezoneId: 'UTC',
  });
  const page = await context.newPage();
  const log = { console: [], requests: [] };
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) log.console.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => log.console.push(`uncaught: ${error.message}`));
  page.on('crash', () => log.console.push('the page crashed'));
  page.on('dialog', (dialog) => {
    log.console.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  const elsewhere = (other) => other !== url && !/^(data|blob|about):/.test(other);
  page.on('request', (request) => {
    if (elsewhere(request.url())) log.requests.push(`${request.resourceType()} ${request.url()}`);
  });
  page.on('websocket', (socket) => log.requests.push(`websocket ${socket.url()}`));
  // Answered with nothing: what is not there would be told of on the console too.
  await page.route((other) => elsewhere(other.href), (route) => route.fulfill({ status: 204 }));
  await page.emulateMedia({ media: view.paper ? 'print' : 'screen', colorScheme: view.scheme });
  // Not by the page's own means: its policy and a browser without scripts forbid them.
  const devtools = await context.newCDPSession(page);
  const ask = async (expression) => {
    const how = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails: thrown } = await devtools.send('Runtime.evaluate', how);
    if (thrown) throw new Error(thrown.exception?.description ?? thrown.text);
    return result.value;
  };
  return { context, page, log, ask };
}

async function shoot(page, view, shots) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${view.name}.png`), fullPage: true });
  if (!view.paper) return;
  await page.pdf({ path: join(shots, 'page.pdf'), format: 'A4', printBackground: true, preferCSSPageSize: true });
}

// look BROWSER FILE OPTIONS TOLD: calls told({ view, claim, says, faults }) for each claim in each view.
export async function look({ browser, axe }, file, options, told) {
  const url = pathToFileURL(resolve(file)).href;
  const seen = {};
  for (const { ...view } of VIEWS.filter(({ name }) => options.views.test(name))) {
    const { context, page, log, ask } = await open(browser, url, view);
    try {
      await page.goto(url, { waitUntil: 'load' });
      await ask(INPAGE);
      if (view.paper) {
        // What is printed is as wide as its margins leave.
        view.width = Math.floor(PAPER - (await ask('duetLook.margins()')));
        await page.setViewportSize({ width: view.width, height: HEIGHT });
      }
      await ask(`duetLook.unfold(${Boolean(view.paper)})`);
      seen[view.name] = await ask('duetLook.contents()');
      if (options.shots) await shoot(page, view, options.shots);
      const question = { view, ask, log, axe, options, seen };
      for (const { name, says, only, holds } of claims) {
        if (only && !only(view, options)) continue;
        const faults = await holds(question).catch((error) => [`could not be asked: ${error.message}`]);
        told({ view: view.name, claim: name, says, faults });
      }
    } finally {
      await context.close();
    }
  }
}
