// SPDX-License-Identifier: LGPL-2.1-or-later
// Looks at a page of `duet report` as its readers' browsers do, and prints what it claims as TAP.
import { parseArgs } from 'node:util';

import { selfTest } from './selftest.mjs';
import { launch, look } from './views.mjs';

const USAGE = `Usage: node look.mjs PAGE.html [--figures N] [--downloads N] [--views REGEXP] [--shots DIR]
       node look.mjs --selftest [NAME...]

Prints a TAP case for each claim in each view of a page; exits with 1 where one does not hold.

  --figures N     the page has that many figures at least (1)
  --downloads N   ... and links to download something of it (0)
  --views REGEXP  only the views whose names match: light-360, dark-1440, print, noscript, ...
  --shots DIR     write a picture of each view there, and page.pdf
  --selftest      whether good.html passes and each fault put into it is found, and no other

$CHROMIUM is the browser (/usr/bin/chromium); $DUET_BROWSER_MODULES is where ./install put its modules.
`;

// A case of TAP, and what is wrong as its comments.
function tapCase(number, what, faults) {
  const lines = [`${faults.length === 0 ? 'ok' : 'not ok'} ${number} - ${what}`];
  const most = 12;
  for (const fault of faults.slice(0, most)) lines.push(...`${fault}`.split('\n').map((line) => `#   ${line}`));
  if (faults.length > most) lines.push(`#   ... and ${faults.length - most} more`);
  return lines.join('\n');
}

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      figures: { type: 'string', default: '1' },
      downloads: { type: 'string', default: '0' },
      views: { type: 'string', default: '' },
      shots: { type: 'string' },
      selftest: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const numbers = { figures: Number(values.figures), downloads: Number(values.downloads) };
  if (!Object.values(numbers).every((n) => Number.isInteger(n) && n >= 0)) {
    throw new Error('--figures and --downloads take a number');
  }
  if (!values.help && !values.selftest && positionals.length !== 1) throw new Error('which page?');
  return { ...values, ...numbers, views: new RegExp(values.views), positionals };
}

async function main() {
  const given = options();
  if (given.help) {
    process.stdout.write(USAGE);
    return;
  }
  let cases = 0;
  const tell = (what, faults) => {
    if (faults.length > 0) process.exitCode = 1;
    console.log(tapCase(++cases, what, faults));
  };
  const place = await launch();
  try {
    if (given.selftest) await selfTest(place, given, tell);
    else {
      await look(place, given.positionals[0], given, ({ view, claim, says, faults }) =>
        tell(`${view} ${claim}: ${says}`, faults));
    }
  } finally {
    await place.browser.close();
  }
  if (cases === 0) throw new Error('nothing has such a name');
  console.log(`1..${cases}`);
}

main().catch((error) => {
  console.error(`look.mjs: ${error.message}`);
  process.exitCode = 2;
});
