// The patient's app, a page with the unchanged SDK, hears of new messages and of changed results, and then
// fetches them; another patient's app hears of his own row only.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';

const { PARSE_SERVER_URL, PARSE_APP_ID, PARSE_JAVASCRIPT_KEY } = process.env;
const story = JSON.parse(process.env.STORY);
const SDK = await readFile(new URL('node_modules/parse/dist/parse.min.js', import.meta.url));
const APP = `<!doctype html><title>The patient's app</title><script src="/parse.min.js"></script><script>
  Parse.initialize('${PARSE_APP_ID}', '${PARSE_JAVASCRIPT_KEY}');
  Parse.serverURL = '${PARSE_SERVER_URL}';
  window.heard = [];
  async function watch(username, password, classNames) {
    await Parse.User.logIn(username, password);
    for (const name of classNames) {
      const subscription = await new Parse.Query(name).subscribe();
      for (const event of ['create', 'enter', 'update', 'leave', 'delete']) {
        subscription.on(event, async object => {
          const fetched = await new Parse.Query(name).get(object.id);
          window.heard.push({ event, className: name, id: object.id, shown: object.toJSON(), fetched: fetched.toJSON() });
        });
      }
    }
  }
</script>`;

let browser, site, patient, other;

before(async () => {
  site = createServer((request, answer) => {
    const isSdk = request.url === '/parse.min.js';
    answer.setHeader('Content-Type', isSdk ? 'text/javascript' : 'text/html');
    answer.end(isSdk ? SDK : APP);
  });
  await new Promise(resolve => site.listen(0, '127.0.0.1', resolve));
  browser = await openBrowser();
  patient = await openApp('patient');
  other = await openApp('other_patient');
});

after(async () => {
  await browser.close();
  site.close();
});

test(`the patient hears of a new ${story.newClass} and fetches it`, async () => {
  const { objectId } = await write(story.author, 'POST', `/classes/${story.newClass}`, story.newObject);
  const heard = await hears(patient, story.newClass, objectId, 'create');
  assert.equal(heard.shown[story.newField], story.newObject[story.newField]);
  assert.equal(heard.fetched[story.newField], story.newObject[story.newField]);
});

test(`the patient hears of a changed ${story.className} and fetches it`, async () => {
  await write(story.provider, 'PUT', `/classes/${story.className}/${story.record}`, story.change);
  const heard = await hears(patient, story.className, story.record, 'update');
  for (const [name, value] of Object.entries(story.change)) {
    assert.equal(heard.shown[name], value);
    assert.equal(heard.fetched[name], value);
  }
});

test('the other patient heard of his own row only', async () => {
  const [className, objectId] = story.otherRow;
  const path = className === '_User' ? 'users' : `classes/${className}`;
  await write(story.otherPatient, 'PUT', `/${path}/${objectId}`, story.rowChange);
  await hears(other, className, objectId, 'update');
  const all = await other.evaluate(() => window.heard);
  assert.deepEqual(all.map(event => [event.className, event.id]), [[className, objectId]]);
});

async function openApp(username) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  const classNames = [story.newClass, story.className, story.otherRow[0]];
  await page.evaluate(([...who]) => window.watch(...who), [username, story.password, classNames]);
  return page;
}

async function hears(page, className, id, event) {
  const found = await page.waitForFunction(
    ([name, objectId, kind]) =>
      window.heard.find(one => one.className === name && one.id === objectId && one.event === kind),
    [className, id, event],
  );
  return found.jsonValue();
}

async function write(sessionToken, method, path, body) {
  const answer = await fetch(PARSE_SERVER_URL + path, {
    method,
    headers: {
      'X-Parse-Application-Id': PARSE_APP_ID,
      'X-Parse-Javascript-Key': PARSE_JAVASCRIPT_KEY,
      'X-Parse-Session-Token': sessionToken,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify(body),
  });
  const written = await answer.json();
  assert.ok(answer.ok, JSON.stringify(written));
  return written;
}
