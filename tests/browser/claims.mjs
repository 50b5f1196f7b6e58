// SPDX-License-Identifier: LGPL-2.1-or-later
// What must hold for a page: each claim asks inpage.js, axe-core or the view's log, and gets a list of faults.
import { gunzipSync } from 'node:zlib';

// The least sizes in CSS px. On paper 96 of them are an inch: 12 are 9 points, 9.3 are 7.
const SIZES = {
  screen: { text: 14, table: 12, raised: 10, svg: 11 },
  paper: { text: 12, table: 10.6, raised: 8, svg: 9.3 },
};
const AXE_TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];

const sizes = (view) => (view.paper ? SIZES.paper : SIZES.screen);
const asks = (question) => ({ ask, view }) => ask(`duetLook.${typeof question === 'string' ? question : question(view)}`);

export const claims = [
  {
    name: 'overflow',
    says: 'nothing is wider than the view',
    holds: asks((view) => `overflow(${view.width})`),
  },
  {
    name: 'clipped',
    says: 'no text is cut off',
    holds: asks((view) => `clipped(${Boolean(view.paper)})`),
  },
  {
    name: 'text-size',
    says: 'text is large enough to read',
    holds: asks((view) => `textSize(${JSON.stringify(sizes(view))})`),
  },
  {
    name: 'charts',
    says: 'each figure has a chart and a caption',
    holds: ({ ask, options }) => ask(`duetLook.charts(${options.figures})`),
  },
  {
    name: 'svg-size',
    says: 'words in charts are large enough to read',
    holds: asks((view) => `svgSize(${sizes(view).svg})`),
  },
  {
    name: 'svg-inside',
    says: 'words in charts stay inside',
    holds: asks('svgInside()'),
  },
  {
    name: 'svg-overlap',
    says: 'words in charts are not written over each other',
    holds: asks('svgOverlap()'),
  },
  {
    name: 'svg-contrast',
    says: 'words in charts stand out',
    only: (view) => view.script,
    holds: asks('svgContrast()'),
  },
  {
    name: 'complete',
    says: 'it tells all without script',
    only: (view) => !view.script,
    holds: complete,
  },
  {
    name: 'downloads',
    says: 'what it has to download is whole',
    only: (view) => !view.script,
    holds: downloads,
  },
  {
    name: 'console',
    says: 'nothing on the console',
    holds: async ({ log }) => [...log.console],
  },
  {
    name: 'requests',
    says: 'it asks for nothing but itself',
    holds: async ({ log, ask }) => [...log.requests, ...(await ask('duetLook.ahead()'))],
  },
  // Last: it has a life of its own in the page.
  {
    name: 'axe',
    says: 'axe-core finds no violation',
    only: (view, { axe: views = /./ }) => view.script && views.test(view.name),
    holds: axe,
  },
];

async function complete({ ask, seen }) {
  if (!seen['light-820']) return ['the view light-820 is needed to compare with'];
  const left = await ask('duetLook.contents()');
  return seen['light-820'].filter((told) => {
    const at = left.indexOf(told);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  }).map((told) => `only a script shows ${told}`);
}

async function downloads({ ask, options }) {
  const links = await ask('duetLook.downloads()');
  const faults = links.length < options.downloads ? [`${links.length} links with download, not ${options.downloads}`] : [];
  for (const { name, href } of links) {
    try {
      opened(name, href);
    } catch (error) {
      faults.push(`'${name}': ${error.message}`);
    }
  }
  return faults;
}

// What a person gets who follows the link. Buffer would read around what is no base64.
function opened(name, href) {
  const parts = /^data:([^,;]*)((?:;[^,;]*)*),(.*)$/s.exec(href);
  if (!parts) throw new Error(`its link is no data: URI but ${href.slice(0, 60)}`);
  const [, type, parameters, text] = parts;
  let bytes = decodeURIComponent(text.replace(/#.*$/s, ''));
  if (/;base64$/i.test(parameters)) {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(bytes) || bytes.length % 4 !== 0) throw new Error('is no base64');
    bytes = Buffer.from(bytes, 'base64');
  } else bytes = Buffer.from(bytes);
  if (bytes.length === 0) throw new Error('is empty');
  if (/gzip/.test(type)) bytes = gunzipSync(bytes);
  if (!/json|^text\//.test(type) && !/\.json$/.test(name)) return;
  const content = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  if (/json/.test(type) || /\.json$/.test(name)) JSON.parse(content);
}

async function axe({ ask, axe: source }) {
  await ask(source);
  const run = `axe.run(document, { runOnly: { type: 'tag', values: ${JSON.stringify(AXE_TAGS)} }, resultTypes: ['violations'] })`;
  const violations = await ask(`${run}.then(({ violations }) => violations.map(({ id, help, nodes }) => ({
    id, help, count: nodes.length,
    first: nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 200) + ' ' + failureSummary),
  })))`);
  return violations.map(({ id, help, count, first }) =>
    [`${id}: ${help} (${count})`, ...first.map((node) => `  ${node.replace(/\s+/g, ' ')}`)].join('\n'));
}
