// The sequence diagram of each template, arrow by arrow. What arrives by LiveQuery is fetched here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Parse, people, readableBy, register, rejection, save, sendMessage, writableBy } from './people.mjs';

async function profileOf(patient) {
  return new Parse.Query('PatientProfile').equalTo('user', patient.user).first(patient.session);
}

for (const template of ['patient portal', 'medical concierge']) {
  test(`${template}: labs, treatment plan, message, finalized result`, async () => {
    const { patient, other, clinician } = await people();
    const profile = await register(patient, clinician);
    const acl = readableBy(patient, clinician);
    for (const [testName, status, publishedAt] of [
      ['CRP', 'final', new Date('2026-01-01')],
      ['TSH', 'pending', new Date('2026-02-01')],
    ]) {
      await save('LabResult', { patient: profile, orderedBy: clinician.user, testName, status, publishedAt }, acl, clinician);
    }
    for (const [summary, status] of [['Rest', 'completed'], ['Walk daily', 'active']]) {
      await save('TreatmentPlan', { patient: profile, createdBy: clinician.user, summary, status }, acl, clinician);
    }

    assert.equal((await profileOf(patient)).get('displayName'), 'Mia Wong');
    const labs = await new Parse.Query('LabResult').equalTo('patient', profile).descending('publishedAt').find(patient.session);
    assert.deepEqual(labs.map(lab => lab.get('testName')), ['TSH', 'CRP']);
    const plans = new Parse.Query('TreatmentPlan').equalTo('patient', profile).equalTo('status', 'active');
    assert.equal((await plans.first(patient.session)).get('summary'), 'Walk daily');
    await sendMessage(patient, clinician, profile);

    const pending = Parse.Object.fromJSON({ className: 'LabResult', objectId: labs[0].id });
    await pending.save({ status: 'final', resultValue: '2.1' }, clinician.session);
    assert.equal((await labs[0].fetch(patient.session)).get('status'), 'final');

    assert.equal(await profileOf(other), undefined);
    assert.equal(await rejection(labs[0].fetch(other.session)), Parse.Error.OBJECT_NOT_FOUND);
    assert.equal(await rejection(labs[0].destroy(clinician.session)), Parse.Error.OPERATION_FORBIDDEN);
  });
}

test('wound care: assessments, message, updated assessment', async () => {
  const { patient, other, clinician } = await people();
  const profile = await register(patient, clinician);
  const wound = { patient: profile, assessedBy: patient.user, location: 'left heel', woundType: 'ulcer', size: '2 cm', status: 'open' };

  assert.equal((await profileOf(patient)).id, profile.id);
  const assessments = () => new Parse.Query('WoundAssessment').equalTo('patient', profile).find(patient.session);
  assert.deepEqual(await assessments(), []);
  const created = await save('WoundAssessment', wound, writableBy(patient, clinician), patient);
  assert.deepEqual((await assessments()).map(found => found.id), [created.id]);
  await sendMessage(patient, clinician, profile);

  const seen = await new Parse.Query('WoundAssessment').get(created.id, clinician.session);
  await seen.save({ status: 'healing' }, clinician.session);
  assert.equal((await assessments())[0].get('status'), 'healing');
  assert.equal(await rejection(created.fetch(other.session)), Parse.Error.OBJECT_NOT_FOUND);
});

test('cardiology suite: ECG reports, rehab log, message, finalized report', async () => {
  const { patient, other, clinician } = await people();
  const profile = await register(patient, clinician);
  const file = new Parse.File('ecg.txt', { base64: Buffer.from('25 mm/s').toString('base64') }, 'text/plain');
  await file.save(clinician.session);
  const report = { patient: profile, orderedBy: clinician.user, reportData: file, status: 'draft', publishedAt: new Date('2026-02-01') };
  const saved = await save('ECGReport', report, readableBy(patient, clinician), clinician);

  assert.equal((await profileOf(patient)).get('isActive'), true);
  const reports = new Parse.Query('ECGReport').equalTo('patient', profile).descending('publishedAt');
  const [found] = await reports.find(patient.session);
  assert.equal(found.id, saved.id);
  assert.ok(found.get('reportData').url());
  const activity = { patient: profile, exerciseType: 'walking', duration: 30, caloriesBurned: 120, date: new Date('2026-02-02') };
  const logged = await save('CardiacRehabLog', activity, writableBy(patient, clinician), patient);
  assert.equal((await new Parse.Query('CardiacRehabLog').get(logged.id, clinician.session)).get('duration'), 30);
  await sendMessage(patient, clinician, profile);

  await saved.save({ status: 'final' }, clinician.session);
  assert.equal((await reports.first(patient.session)).get('status'), 'final');
  assert.equal((await reports.find(other.session)).length, 0);
  assert.equal(await rejection(save('ECGReport', report, writableBy(patient, clinician), patient)), Parse.Error.OPERATION_FORBIDDEN);
});

test('oncology care planner: cycles, side effect, lab trends, access log', async () => {
  const { patient, other, clinician } = await people();
  const cycle = await save(
    'ChemoCycle',
    { cycleNumber: 1, startDate: new Date('2026-01-05'), endDate: new Date('2026-01-26'), patient: patient.user },
    readableBy(patient, clinician),
    clinician
  );
  for (const [result, day] of [[1.4, '2026-01-12'], [0.9, '2026-01-19']]) {
    const trend = { labTestName: 'ANC', result, date: new Date(day), patient: patient.user };
    await save('LabTrend', trend, readableBy(patient, clinician), clinician);
  }

  const cycles = new Parse.Query('ChemoCycle');
  assert.deepEqual((await cycles.find(patient.session)).map(found => found.id), [cycle.id]);
  const effect = { description: 'nausea', severity: 'mild', chemoCycle: cycle, recordedAt: new Date() };
  const logged = await save('SideEffect', effect, writableBy(patient, clinician), patient);
  const read = await new Parse.Query('SideEffect').include('chemoCycle').get(logged.id, clinician.session);
  assert.equal(read.get('chemoCycle').get('cycleNumber'), 1);
  const trends = await new Parse.Query('LabTrend').ascending('date').find(patient.session);
  assert.deepEqual(trends.map(trend => trend.get('result')), [1.4, 0.9]);
  const access = await new Parse.Object('AccessLog', { user: patient.user, accessTime: new Date() }).save(null, patient.session);
  assert.equal((await new Parse.Query('AccessLog').first(patient.session)).id, access.id);

  assert.equal((await cycles.find(other.session)).length, 0);
  assert.equal(await rejection(access.destroy(patient.session)), Parse.Error.OPERATION_FORBIDDEN);
});
