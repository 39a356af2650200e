// The browser of all tests: Chromium without a window, with an empty profile each time.
import { chromium } from 'playwright-core';
import { join } from 'node:path';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

// Opens the browser; whoever opens it closes it.
export function openBrowser() {
  return chromium.launch({ executablePath: process.env.BROWSER, args: FLAGS, headless: true });
}

// Opens a page that collects what it complains about in `page.complaints`.
export async function openPage(browser) {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  page.setDefaultTimeout(20_000);
  page.complaints = [];
  page.on('pageerror', error => page.complaints.push(`error: ${error.message}`));
  page.on('console', message => {
    if (message.type() === 'error') page.complaints.push(`console: ${message.text()}`);
  });
  page.on('response', answer => {
    if (answer.status() >= 400 && answer.url().startsWith(process.env.PARSE_SERVER_URL)) {
      page.complaints.push(`${answer.status()} ${answer.request().method()} ${answer.url()}`);
    }
  });
  return page;
}

// Takes a picture for people to look at; nothing is compared with it.
export function takePicture(page, name) {
  return page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
}

// Calls REST with the master key, to see what the browser did.
export async function rest(method, path, body) {
  const answer = await fetch(process.env.PARSE_SERVER_URL + path, {
    method,
    headers: {
      'X-Parse-Application-Id': process.env.PARSE_APP_ID,
      'X-Parse-Master-Key': process.env.PARSE_MASTER_KEY,
      'Content-Type': 'application/json',
    },
    body: body && JSON.stringify(body),
  });
  return answer.json();
}
