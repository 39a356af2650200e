// A clinician uploads an ECG by the unchanged SDK; the patient's page shows it by its signed URL, the page of
// another patient does not; a report that another one has replaced is seen by who may read the former version.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';

const { PARSE_SERVER_URL, PARSE_APP_ID, PARSE_JAVASCRIPT_KEY } = process.env;
const story = JSON.parse(process.env.STORY);
const SDK = await readFile(new URL('node_modules/parse/dist/parse.min.js', import.meta.url));
const APP = `<!doctype html><title>An app</title><script src="/parse.min.js"></script><script>
  Parse.initialize('${PARSE_APP_ID}', '${PARSE_JAVASCRIPT_KEY}');
  Parse.serverURL = '${PARSE_SERVER_URL}';
  function show(url) {
    return new Promise(resolve => {
      const image = new Image();
      image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
      image.onerror = () => resolve(null);
      image.src = url;
      document.body.append(image);
    });
  }
  async function download(url) {
    const answer = await fetch(url, { headers: {
      'X-Parse-Application-Id': '${PARSE_APP_ID}',
      'X-Parse-Javascript-Key': '${PARSE_JAVASCRIPT_KEY}',
      'X-Parse-Session-Token': Parse.User.current().getSessionToken(),
    }});
    return answer.status;
  }
  async function find(id) {
    const report = await new Parse.Query('ECGReport').get(id);
    return report.get('reportData').url();
  }
  async function findFormer(id) {
    const former = await new Parse.Query('RecordVersion').equalTo('entityId', id).first();
    return former ? former.get('snapshot').reportData.url() : null;
  }
</script>`;
// A picture of 3 by 2 points.
const ECG = 'R0lGODdhAwACAIAAAAAAAP///ywAAAAAAwACAAACAoRRADs=';

let browser, site, clinician, patient, other, id, plain, signed;

before(async () => {
  site = createServer((request, answer) => {
    const isSdk = request.url === '/parse.min.js';
    answer.setHeader('Content-Type', isSdk ? 'text/javascript' : 'text/html');
    answer.end(isSdk ? SDK : APP);
  });
  await new Promise(resolve => site.listen(0, '127.0.0.1', resolve));
  browser = await openBrowser();
  clinician = await openApp(story.provider);
  patient = await openApp(story.patient);
  other = await openApp(story.other);
});

after(async () => {
  await browser.close();
  site.close();
});

test('the clinician uploads the report', async () => {
  [id, plain] = await clinician.evaluate(async ([fields, content]) => {
    const file = await new Parse.File('ecg.gif', { base64: content }, 'image/gif').save();
    const report = new Parse.Object('ECGReport');
    for (const [name, value] of Object.entries(fields)) {
      report.set(name, value.__type === 'Pointer' ? Parse.Object.fromJSON(value) : value);
    }
    report.set('reportData', file);
    await report.save();
    return [report.id, file.url()];
  }, [story.report, ECG]);
  assert.ok(!plain.includes('access='));
});

test('the patient sees it', async () => {
  signed = await patient.evaluate(report => find(report), id);
  assert.deepEqual(await patient.evaluate(url => show(url), signed), [3, 2]);
  assert.equal(await patient.evaluate(url => download(url), plain), 200);
});

test('another patient sees nothing, even with the same URL', async () => {
  assert.equal(await other.evaluate(report => find(report).catch(error => error.code), id), 101);
  assert.equal(await other.evaluate(url => show(url), plain), null);
  assert.equal(await other.evaluate(url => download(url), plain), 404);
  assert.equal(await other.evaluate(url => download(url), signed), 404);
});

test('the former report is seen by who reads the former version, once it is amended', async () => {
  await clinician.evaluate(async ([report, content]) => {
    const file = await new Parse.File('amended.gif', { base64: content }, 'image/gif').save();
    const amended = await new Parse.Query('ECGReport').get(report);
    await amended.save({ reportData: file, status: 'amended' });
  }, [id, ECG]);
  const current = await patient.evaluate(report => find(report), id);
  assert.deepEqual(await patient.evaluate(url => show(url), current), [3, 2]);
  const former = await patient.evaluate(report => findFormer(report), id);
  assert.equal(former.split('?')[0], plain);
  assert.ok(former.includes('access='));
  assert.deepEqual(await patient.evaluate(url => show(url), former), [3, 2]);
  assert.equal(await other.evaluate(report => findFormer(report), id), null);
  for (const url of [plain, signed, former]) {
    assert.equal(await other.evaluate(url => download(url), url), 404);
  }
  assert.equal(await other.evaluate(url => show(url), plain), null);
});

async function openApp(username) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await page.evaluate(([...who]) => Parse.User.logIn(...who), [username, story.password]);
  return page;
}
