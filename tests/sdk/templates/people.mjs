// The people of the sequence diagrams, and the ACLs that cloud code gives clinical objects in an application.
import { Parse, master, stranger, unique } from '../support.mjs';

export { Parse, master, unique };
export { rejection } from '../support.mjs';

async function providerRole() {
  const found = await new Parse.Query(Parse.Role).equalTo('name', 'provider').first(master);
  return found ?? new Parse.Role('provider', new Parse.ACL()).save(null, master);
}

// Signs up, logs in with the password (the first arrow of every diagram), forgets the session locally.
async function person(role) {
  const { user } = await stranger({ email: `${unique('mail')}@example.org`, role });
  const loggedIn = await Parse.User.logIn(user.getUsername(), 'correct horse 9');
  const sessionToken = loggedIn.getSessionToken();
  Parse.User._clearCache();
  return { user: Parse.User.createWithoutData(user.id), session: { sessionToken } };
}

// A patient, another patient, and a clinician of the role `provider`.
export async function people() {
  const [patient, other, clinician] = [await person('patient'), await person('patient'), await person('provider')];
  const role = await providerRole();
  role.getUsers().add(clinician.user);
  await role.save(null, master);
  return { patient, other, clinician };
}

export function readableBy(reader, writer) {
  const acl = new Parse.ACL(writer.user);
  acl.setReadAccess(reader.user, true);
  return acl;
}

export function writableBy(one, other) {
  const acl = readableBy(one, other);
  acl.setWriteAccess(one.user, true);
  return acl;
}

export async function save(className, fields, acl, who) {
  const object = new Parse.Object(className, fields);
  object.setACL(acl);
  return object.save(null, who.session);
}

export async function register(patient, clinician) {
  return save(
    'PatientProfile',
    { user: patient.user, medicalRecordNumber: unique('MRN'), displayName: 'Mia Wong', isActive: true },
    readableBy(patient, clinician),
    clinician
  );
}

export async function sendMessage(patient, clinician, profile) {
  const conversationId = unique('conversation');
  const fields = { conversationId, from: patient.user, to: clinician.user, patient: profile, body: 'Is it in?', isRead: false };
  const message = await save('Message', fields, writableBy(patient, clinician), patient);
  const [received] = await new Parse.Query('Message').equalTo('conversationId', conversationId).find(clinician.session);
  if (received.id !== message.id) throw new Error('the clinician does not see the message');
  received.set('isRead', true);
  await received.save(null, clinician.session);
  return message;
}
