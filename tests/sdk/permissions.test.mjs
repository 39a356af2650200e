import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Parse, master, rejection, stranger, unique } from './support.mjs';

test('ACL: who may not read does not see, who may not write does not change', async () => {
  const Secret = Parse.Object.extend(unique('Secret'));
  const mia = await stranger();
  const tom = await stranger();
  const secret = new Secret({ text: 'x' });
  const acl = new Parse.ACL(mia.user);
  secret.setACL(acl);
  await secret.save(null, { sessionToken: mia.sessionToken });

  const as = who => ({ sessionToken: who.sessionToken });
  assert.equal((await new Parse.Query(Secret).find(as(mia))).length, 1);
  assert.equal((await new Parse.Query(Secret).find(as(tom))).length, 0);
  assert.equal((await new Parse.Query(Secret).find()).length, 0);
  assert.equal(await rejection(new Parse.Query(Secret).get(secret.id, as(tom))), Parse.Error.OBJECT_NOT_FOUND);

  acl.setReadAccess(tom.user, true);
  secret.setACL(acl);
  await secret.save(null, as(mia));
  const read = await new Parse.Query(Secret).get(secret.id, as(tom));
  assert.equal(read.getACL().getWriteAccess(mia.user), true);
  assert.equal(await rejection(read.save({ text: 'y' }, as(tom))), Parse.Error.OBJECT_NOT_FOUND);
  assert.equal(await rejection(read.destroy(as(tom))), Parse.Error.OBJECT_NOT_FOUND);
});

test('roles grant, and inherit upwards', async () => {
  const Chart = Parse.Object.extend(unique('Chart'));
  const nurse = await stranger();
  const visitor = await stranger();
  const open = new Parse.ACL();
  open.setPublicReadAccess(true);
  const staff = new Parse.Role(unique('staff'), open);
  const nurses = new Parse.Role(unique('nurses'), open);
  nurses.getUsers().add(nurse.user);
  await nurses.save(null, master);
  staff.getRoles().add(nurses);
  await staff.save(null, master);

  const acl = new Parse.ACL();
  acl.setRoleReadAccess(staff, true);
  const chart = new Chart({ bed: 4 });
  chart.setACL(acl);
  await chart.save(null, master);

  assert.equal((await new Parse.Query(Chart).find({ sessionToken: nurse.sessionToken })).length, 1);
  assert.equal((await new Parse.Query(Chart).find({ sessionToken: visitor.sessionToken })).length, 0);

  nurses.getUsers().remove(nurse.user);
  await nurses.save(null, master);
  assert.equal((await new Parse.Query(Chart).find({ sessionToken: nurse.sessionToken })).length, 0);
  assert.equal(await rejection(nurses.save({ extra: 1 }, { sessionToken: nurse.sessionToken })), Parse.Error.OBJECT_NOT_FOUND);
});

test('relations', async () => {
  const Ward = Parse.Object.extend(unique('Ward'));
  const Patient = Parse.Object.extend(unique('Patient'));
  const patients = ['Ada', 'Ben', 'Cid'].map(name => new Patient({ name }));
  await Parse.Object.saveAll(patients, master);
  const ward = new Ward({ name: 'A' });
  ward.relation('patients').add(patients);
  await ward.save(null, master);
  const names = async () =>
    (await ward.relation('patients').query().ascending('name').find(master)).map(one => one.get('name'));
  assert.deepEqual(await names(), ['Ada', 'Ben', 'Cid']);

  ward.relation('patients').remove(patients[1]);
  await ward.save(null, master);
  assert.deepEqual(await names(), ['Ada', 'Cid']);
  assert.equal(await ward.relation('patients').query().equalTo('name', 'Cid').count(master), 1);
  const owner = await new Parse.Query(Ward).equalTo('patients', patients[0]).first(master);
  assert.equal(owner.id, ward.id);
  assert.equal(await new Parse.Query(Ward).equalTo('patients', patients[1]).first(master), undefined);
});

test('schemas: create, change, permissions, purge, delete', async () => {
  const name = unique('Lab');
  const schema = new Parse.Schema(name);
  schema
    .addString('code', { required: true })
    .addNumber('value', { defaultValue: 1 })
    .addPointer('user', '_User')
    .addRelation('reviewers', '_User')
    .addIndex('by_code', { code: 1 });
  schema.setCLP({ find: { requiresAuthentication: true }, get: {}, create: { '*': true } });
  await schema.save();

  const read = await schema.get();
  assert.deepEqual(read.fields.code, { type: 'String', required: true });
  assert.deepEqual(read.fields.value, { type: 'Number', defaultValue: 1 });
  assert.equal(read.fields.user.targetClass, '_User');
  assert.deepEqual(read.indexes.by_code, { code: 1 });
  assert.deepEqual(read.classLevelPermissions.delete, {});

  const lab = await new Parse.Object(name).save({ code: 'CRP' });
  assert.equal(lab.get('value'), 1);
  assert.equal(await rejection(new Parse.Object(name).save({ value: 2 })), Parse.Error.VALIDATION_ERROR);
  assert.equal(await rejection(new Parse.Query(name).find()), Parse.Error.OBJECT_NOT_FOUND);
  assert.equal(await rejection(lab.destroy()), Parse.Error.OPERATION_FORBIDDEN);
  assert.equal(await rejection(schema.delete()), 255);

  const change = new Parse.Schema(name);
  change.addBoolean('final').deleteField('user').deleteIndex('by_code');
  const changed = await change.update();
  assert.equal(changed.fields.final.type, 'Boolean');
  assert.equal(changed.fields.user, undefined);
  await schema.purge();
  assert.equal(await new Parse.Query(name).count(master), 0);
  await schema.delete();
  assert.equal(await rejection(schema.get()), Parse.Error.INVALID_CLASS_NAME);
  assert.ok(Array.isArray(await Parse.Schema.all()));
});

test('global config', async () => {
  const open = unique('open');
  const hidden = unique('hidden');
  await Parse.Config.save({ [open]: { levels: [1, 2] }, [hidden]: 'x' }, { [hidden]: true });
  const config = await Parse.Config.get();
  assert.deepEqual(config.get(open), { levels: [1, 2] });
  assert.equal(config.get(hidden), undefined);
  assert.equal((await Parse.Config.get(master)).get(hidden), 'x');
});
