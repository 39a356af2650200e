import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Parse, master, unique } from './support.mjs';

const City = Parse.Object.extend(unique('City'));
const Country = Parse.Object.extend(unique('Country'));
const names = found => found.map(city => city.get('name'));
const query = () => new Parse.Query(City).ascending('name');

before(async () => {
  const [de, fr] = await Parse.Object.saveAll(
    [new Country({ name: 'Germany', area: 357 }), new Country({ name: 'France', area: 643 })],
    master
  );
  const city = (name, people, country, latitude, longitude, tags, founded) =>
    new City({ name, people, country, place: new Parse.GeoPoint(latitude, longitude), tags, founded: new Date(founded) });
  await Parse.Object.saveAll(
    [
      city('Berlin', 3.6, de, 52.52, 13.405, ['capital', 'river'], '1237-01-01T00:00:00Z'),
      city('Hamburg', 1.8, de, 53.551, 9.993, ['harbour', 'river'], '0808-01-01T00:00:00Z'),
      city('Munich', 1.5, de, 48.137, 11.575, ['river'], '1158-01-01T00:00:00Z'),
      city('Paris', 2.1, fr, 48.857, 2.352, ['capital', 'river'], '0250-01-01T00:00:00Z'),
      new City({ name: 'Atlantis' }),
    ],
    master
  );
});

test('comparisons', async () => {
  assert.deepEqual(names(await query().equalTo('name', 'Paris').find(master)), ['Paris']);
  assert.deepEqual(names(await query().greaterThan('people', 1.8).find(master)), ['Berlin', 'Paris']);
  assert.deepEqual(names(await query().lessThanOrEqualTo('people', 1.8).find(master)), ['Hamburg', 'Munich']);
  assert.deepEqual(names(await query().notEqualTo('people', 1.8).find(master)), ['Atlantis', 'Berlin', 'Munich', 'Paris']);
  assert.deepEqual(names(await query().containedIn('name', ['Paris', 'Rome']).find(master)), ['Paris']);
  assert.deepEqual(names(await query().notContainedIn('name', ['Paris', 'Berlin']).find(master)), ['Atlantis', 'Hamburg', 'Munich']);
  assert.deepEqual(names(await query().doesNotExist('people').find(master)), ['Atlantis']);
  assert.deepEqual(names(await query().greaterThan('founded', new Date('1000-01-01')).find(master)), ['Berlin', 'Munich']);
});

test('texts and arrays', async () => {
  assert.deepEqual(names(await query().startsWith('name', 'Mu').find(master)), ['Munich']);
  assert.deepEqual(names(await query().endsWith('name', 'burg').find(master)), ['Hamburg']);
  assert.deepEqual(names(await query().matches('name', '^b', 'i').find(master)), ['Berlin']);
  assert.deepEqual(names(await query().equalTo('tags', 'harbour').find(master)), ['Hamburg']);
  assert.deepEqual(names(await query().containsAll('tags', ['river', 'capital']).find(master)), ['Berlin', 'Paris']);
});

test('or, and, nor', async () => {
  const small = new Parse.Query(City).lessThan('people', 1.6);
  const big = new Parse.Query(City).greaterThan('people', 3);
  assert.deepEqual(names(await Parse.Query.or(small, big).ascending('name').find(master)), ['Berlin', 'Munich']);
  assert.deepEqual(names(await Parse.Query.nor(small, big).ascending('name').find(master)), ['Atlantis', 'Hamburg', 'Paris']);
  const capital = new Parse.Query(City).equalTo('tags', 'capital');
  assert.deepEqual(names(await Parse.Query.and(capital, big).find(master)), ['Berlin']);
});

test('order, skip, limit, count, withCount, select, first', async () => {
  const sorted = new Parse.Query(City).exists('people').descending('people');
  assert.deepEqual(names(await sorted.find(master)), ['Berlin', 'Paris', 'Hamburg', 'Munich']);
  assert.deepEqual(names(await sorted.skip(1).limit(2).find(master)), ['Paris', 'Hamburg']);
  assert.equal(await query().count(master), 5);
  const { results, count } = await query().withCount().limit(2).find(master);
  assert.deepEqual([results.length, count], [2, 5]);
  const [selected] = await query().equalTo('name', 'Berlin').select('people').find(master);
  assert.deepEqual([selected.get('people'), selected.get('name')], [3.6, undefined]);
  const excluded = await query().equalTo('name', 'Berlin').exclude('people').first(master);
  assert.deepEqual([excluded.get('people'), excluded.get('name')], [undefined, 'Berlin']);
  assert.equal(await query().equalTo('name', 'Rome').first(master), undefined);
});

test('include and pointers', async () => {
  const berlin = await query().equalTo('name', 'Berlin').include('country').first(master);
  assert.equal(berlin.get('country').get('name'), 'Germany');
  assert.deepEqual(
    names(await query().equalTo('country', berlin.get('country')).find(master)),
    ['Berlin', 'Hamburg', 'Munich']
  );
  const big = new Parse.Query(Country).greaterThan('area', 500);
  assert.deepEqual(names(await query().matchesQuery('country', big).find(master)), ['Paris']);
  assert.deepEqual(names(await query().doesNotMatchQuery('country', big).find(master)), ['Atlantis', 'Berlin', 'Hamburg', 'Munich']);
  const germany = new Parse.Query(Country).equalTo('name', 'Germany');
  assert.equal((await query().matchesKeyInQuery('country.name', 'name', germany).find(master)).length, 0);
});

test('geography', async () => {
  const here = new Parse.GeoPoint(52.4, 13.1);
  const near = new Parse.Query(City).near('place', here);
  assert.deepEqual(names(await near.find(master)), ['Berlin', 'Hamburg', 'Munich', 'Paris']);
  const close = new Parse.Query(City).withinKilometers('place', here, 300);
  assert.deepEqual(names(await close.find(master)), ['Berlin', 'Hamburg']);
  const box = query().withinGeoBox('place', new Parse.GeoPoint(48, 1), new Parse.GeoPoint(49, 12));
  assert.deepEqual(names(await box.find(master)), ['Munich', 'Paris']);
  const triangle = [new Parse.GeoPoint(54, 9), new Parse.GeoPoint(54, 14), new Parse.GeoPoint(52, 13.5), new Parse.GeoPoint(52, 9)];
  assert.deepEqual(names(await query().withinPolygon('place', triangle).find(master)), ['Berlin', 'Hamburg']);
});

test('each and eachBatch see every row', async () => {
  const seen = [];
  await new Parse.Query(City).each(city => void seen.push(city.get('name')), { ...master, batchSize: 2 });
  assert.deepEqual(seen.sort(), ['Atlantis', 'Berlin', 'Hamburg', 'Munich', 'Paris']);
});

test('aggregate and distinct', async () => {
  const groups = await new Parse.Query(City).aggregate([
    { $match: { people: { $exists: true } } },
    { $group: { _id: '$country', people: { $sum: '$people' }, cities: { $sum: 1 } } },
    { $sort: { cities: 1 } },
  ]);
  assert.deepEqual(groups.map(group => group.cities), [1, 3]);
  assert.ok(Math.abs(groups[1].people - 6.9) < 1e-9);
  const tags = await new Parse.Query(City).distinct('tags');
  assert.deepEqual(tags.sort(), ['capital', 'harbour', 'river']);
});
