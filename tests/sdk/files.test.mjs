import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Parse, master, rejection, signUp, stranger, unique } from './support.mjs';

const CONTENT = 'Grüße aus Station 7';
const BASE64 = Buffer.from(CONTENT).toString('base64');

async function contentOf(url) {
  const answer = await fetch(url);
  return [answer.status, await answer.text(), answer.headers.get('content-type')];
}

test('base64, bytes and a data URI become files', async () => {
  await signUp();
  const files = [
    new Parse.File('a.txt', { base64: BASE64 }),
    new Parse.File('b.txt', [...Buffer.from(CONTENT)]),
    new Parse.File('c.txt', { base64: `data:text/plain;base64,${BASE64}` }),
  ];
  for (const file of files) {
    await file.save();
    assert.match(file.name(), /^[0-9a-f]{32}_[abc]\.txt$/);
    assert.deepEqual(await contentOf(file.url()), [200, CONTENT, 'text/plain; charset=utf-8']);
  }
});

test('the type completes a name without extension', async () => {
  await signUp();
  const file = await new Parse.File('scan', { base64: BASE64 }, 'application/pdf').save();
  assert.match(file.name(), /_scan\.pdf$/);
});

test('metadata and tags go with a file', async () => {
  await signUp();
  const file = new Parse.File('a.txt', { base64: BASE64 }, 'text/plain', { ward: '7' }, { kind: 'lab' });
  await file.save();
  const [status, text] = await contentOf(file.url().replace('/files/tests/', '/files/tests/metadata/'));
  assert.deepEqual([status, JSON.parse(text)], [200, { metadata: { ward: '7' } }]);
});

test('an object saves its files, finds them again and is found by them', async () => {
  await signUp();
  const Note = Parse.Object.extend(unique('Note'));
  const file = new Parse.File('a.txt', { base64: BASE64 });
  const note = await new Note({ file, list: [file] }).save();
  const found = await new Parse.Query(Note).get(note.id);
  assert.equal(found.get('file').name(), file.name());
  assert.equal(found.get('file').url(), file.url());
  assert.equal(Buffer.from(await found.get('file').getData(), 'base64').toString(), CONTENT);
  assert.equal(found.get('list')[0].name(), file.name());
  assert.equal(await new Parse.Query(Note).equalTo('file', file).count(), 1);
});

test('who may not upload or delete is told why', async () => {
  const { sessionToken } = await stranger();
  const visitor = new Parse.File('a.txt', { base64: BASE64 });
  assert.equal(await rejection(visitor.save()), Parse.Error.FILE_SAVE_ERROR);
  const page = new Parse.File('a.html', { base64: BASE64 });
  assert.equal(await rejection(page.save({ sessionToken })), Parse.Error.FILE_SAVE_ERROR);
  const odd = new Parse.File('../a.txt', { base64: BASE64 });
  await assert.rejects(odd.save({ sessionToken }));
});

test('the master key deletes', async () => {
  await signUp();
  const file = await new Parse.File('a.txt', { base64: BASE64 }).save();
  await assert.rejects(file.destroy({ useMasterKey: false }));
  assert.equal((await contentOf(file.url()))[0], 200);
  await file.destroy(master);
  assert.equal((await contentOf(file.url()))[0], 404);
});
