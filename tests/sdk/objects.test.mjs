import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Parse, master, rejection, unique } from './support.mjs';

async function reread(object) {
  return new Parse.Query(object.className).get(object.id, master);
}

test('every type comes back as it was saved', async () => {
  const Note = Parse.Object.extend(unique('Note'));
  const taken = new Date('2026-01-05T10:00:00.123Z');
  const target = await new Note({ title: 'target' }).save(null, master);
  const note = new Note({
    text: 'Grüße, 世界 🌍',
    number: 3.25,
    negative: -7,
    flag: false,
    nothing: null,
    taken,
    list: [1, 'two', { three: 3 }, [4]],
    nested: { a: { b: [1, { c: taken.toISOString() }] } },
    place: new Parse.GeoPoint(52.52, 13.405),
    area: new Parse.Polygon([[0, 0], [0, 1], [1, 1], [1, 0]]),
    target,
  });
  await note.save(null, master);
  assert.match(note.id, /^[A-Za-z0-9]{10}$/);
  assert.ok(note.createdAt instanceof Date);

  const found = await reread(note);
  assert.equal(found.get('text'), 'Grüße, 世界 🌍');
  assert.equal(found.get('number'), 3.25);
  assert.equal(found.get('flag'), false);
  assert.equal(found.get('nothing'), null);
  assert.deepEqual(found.get('taken'), taken);
  assert.deepEqual(found.get('list'), [1, 'two', { three: 3 }, [4]]);
  assert.deepEqual(found.get('nested'), { a: { b: [1, { c: taken.toISOString() }] } });
  assert.equal(found.get('place').latitude, 52.52);
  assert.deepEqual(found.get('area').coordinates, [[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]);
  assert.equal(found.get('target').id, target.id);
  assert.equal(found.get('target').isDataAvailable(), false);
  assert.deepEqual(found.createdAt, note.createdAt);
});

test('update, unset, dirty fields, fetch', async () => {
  const Note = Parse.Object.extend(unique('Note'));
  const note = await new Note({ a: 1, b: 2 }).save(null, master);
  note.set('a', 10);
  note.unset('b');
  await note.save(null, master);
  assert.ok(note.updatedAt >= note.createdAt);
  assert.equal(note.dirty(), false);

  const copy = Note.createWithoutData(note.id);
  await copy.fetch(master);
  assert.equal(copy.get('a'), 10);
  assert.equal(copy.has('b'), false);
});

test('increments count atomically', async () => {
  const Counter = Parse.Object.extend(unique('Counter'));
  const counter = await new Counter({ n: 0 }).save(null, master);
  await Promise.all(
    Array.from({ length: 20 }, () => {
      const one = Counter.createWithoutData(counter.id);
      one.increment('n', 2);
      return one.save(null, master);
    })
  );
  assert.equal((await reread(counter)).get('n'), 40);
  counter.decrement('n', 5);
  await counter.save(null, master);
  assert.equal(counter.get('n'), 35);
});

test('arrays: add, addUnique, remove', async () => {
  const List = Parse.Object.extend(unique('List'));
  const list = await new List({ tags: ['a'] }).save(null, master);
  list.addAll('tags', ['b', 'b']);
  await list.save(null, master);
  assert.deepEqual((await reread(list)).get('tags'), ['a', 'b', 'b']);
  list.addAllUnique('tags', ['b', 'c']);
  await list.save(null, master);
  assert.deepEqual((await reread(list)).get('tags'), ['a', 'b', 'b', 'c']);
  list.remove('tags', 'b');
  await list.save(null, master);
  assert.deepEqual((await reread(list)).get('tags'), ['a', 'c']);
});

test('nested keys change alone', async () => {
  const Doc = Parse.Object.extend(unique('Doc'));
  const doc = await new Doc({ meta: { lot: 7, qc: true } }).save(null, master);
  doc.set('meta.lot', 8);
  await doc.save(null, master);
  doc.increment('meta.lot');
  await doc.save(null, master);
  assert.deepEqual((await reread(doc)).get('meta'), { lot: 9, qc: true });
});

test('saveAll and destroyAll', async () => {
  const Row = Parse.Object.extend(unique('Row'));
  const rows = Array.from({ length: 45 }, (_, n) => new Row({ n }));
  await Parse.Object.saveAll(rows, master);
  assert.equal(new Set(rows.map(row => row.id)).size, 45);
  assert.equal(await new Parse.Query(Row).count(master), 45);

  await Parse.Object.destroyAll(rows.slice(0, 40), master);
  const left = await new Parse.Query(Row).ascending('n').find(master);
  assert.deepEqual(left.map(row => row.get('n')), [40, 41, 42, 43, 44]);
});

test('saveAll saves children first and reports what fails', async () => {
  const Parent = Parse.Object.extend(unique('Parent'));
  const Child = Parse.Object.extend(unique('Child'));
  const child = new Child({ name: 'c' });
  const parent = new Parent({ child, children: [child] });
  await parent.save(null, master);
  assert.ok(child.id);
  assert.equal((await reread(parent)).get('child').id, child.id);

  const good = new Child({ name: 'good' });
  const bad = new Child({ name: 5 });
  await assert.rejects(Parse.Object.saveAll([good, bad], master));
  assert.equal(await rejection(bad.save(null, master)), Parse.Error.INCORRECT_TYPE);
});

test('unknown objects are not found', async () => {
  const Note = Parse.Object.extend(unique('Note'));
  const note = await new Note().save(null, master);
  await note.destroy(master);
  assert.equal(await rejection(new Parse.Query(Note).get(note.id, master)), Parse.Error.OBJECT_NOT_FOUND);
  assert.equal(await rejection(note.destroy(master)), Parse.Error.OBJECT_NOT_FOUND);
});
