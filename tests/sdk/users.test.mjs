import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Parse, master, rejection, signUp, unique } from './support.mjs';

afterEach(async () => {
  if (Parse.User.current()) await Parse.User.logOut().catch(() => {});
});

test('sign up, log out, log in, become', async () => {
  const user = await signUp({ email: `${unique('mail')}@example.org`, phone: '+49 30 1234' });
  assert.ok(user.id);
  assert.match(user.getSessionToken(), /^r:[0-9a-f]{32}$/);
  assert.equal(Parse.User.current().id, user.id);
  const first = user.getSessionToken();

  await Parse.User.logOut();
  assert.equal(Parse.User.current(), null);
  assert.equal(await rejection(Parse.User.become(first)), Parse.Error.INVALID_SESSION_TOKEN);

  const again = await Parse.User.logIn(user.getUsername(), 'correct horse 9');
  assert.equal(again.id, user.id);
  assert.equal(again.get('phone'), '+49 30 1234');
  assert.notEqual(again.getSessionToken(), first);

  const token = again.getSessionToken();
  const same = await Parse.User.become(token);
  assert.equal(same.id, user.id);
});

test('wrong passwords and unknown users are refused alike', async () => {
  const user = await signUp();
  await Parse.User.logOut();
  assert.equal(await rejection(Parse.User.logIn(user.getUsername(), 'wrong')), Parse.Error.OBJECT_NOT_FOUND);
  assert.equal(await rejection(Parse.User.logIn(unique('nobody'), 'wrong')), Parse.Error.OBJECT_NOT_FOUND);
});

test('usernames and e-mail addresses are taken once', async () => {
  const email = `${unique('mail')}@example.org`;
  const user = await signUp({ email });
  await Parse.User.logOut();
  assert.equal(await rejection(signUp({ username: user.getUsername() })), Parse.Error.USERNAME_TAKEN);
  assert.equal(await rejection(signUp({ email })), Parse.Error.EMAIL_TAKEN);
  assert.equal(await rejection(signUp({ username: '' })), Parse.Error.OTHER_CAUSE);
});

test('a user changes himself and nobody else', async () => {
  const other = await signUp();
  await Parse.User.logOut();
  const user = await signUp();
  await user.save({ nickname: 'Mia' });
  assert.equal((await new Parse.Query(Parse.User).get(user.id)).get('nickname'), 'Mia');

  const foreign = Parse.User.createWithoutData(other.id);
  assert.equal(await rejection(foreign.save({ nickname: 'Eve' })), Parse.Error.SESSION_MISSING);
  assert.equal(await rejection(new Parse.Query(Parse.User).get(other.id)), Parse.Error.OBJECT_NOT_FOUND);
});

test('a new password ends the other sessions', async () => {
  const user = await signUp();
  const first = user.getSessionToken();
  const name = user.getUsername();
  await user.save({ password: 'another horse 9' });
  assert.notEqual(Parse.User.current().getSessionToken(), first);
  assert.equal(await rejection(Parse.User.become(first)), Parse.Error.INVALID_SESSION_TOKEN);
  assert.equal(await rejection(Parse.User.logIn(name, 'correct horse 9')), Parse.Error.OBJECT_NOT_FOUND);
  assert.equal((await Parse.User.logIn(name, 'another horse 9')).id, user.id);
});

test('current session and verifyPassword', async () => {
  const user = await signUp();
  const session = await Parse.Session.current();
  assert.equal(session.getSessionToken(), user.getSessionToken());
  assert.equal(session.get('user').id, user.id);
  assert.deepEqual(session.get('createdWith'), { action: 'signup', authProvider: 'password' });
  const verified = await Parse.User.verifyPassword(user.getUsername(), 'correct horse 9');
  assert.equal(verified.objectId, user.id);
  assert.equal(await rejection(Parse.User.verifyPassword(user.getUsername(), 'no')), Parse.Error.OBJECT_NOT_FOUND);
});

test('anonymous users become real ones', async () => {
  const user = await Parse.AnonymousUtils.logIn();
  assert.ok(Parse.AnonymousUtils.isLinked(user));
  const { id } = user;
  user.set('username', unique('user'));
  user.set('password', 'correct horse 9');
  await user.signUp();
  assert.equal(user.id, id);
  assert.equal((await Parse.User.logIn(user.getUsername(), 'correct horse 9')).id, id);
});

test('a user deletes himself', async () => {
  const user = await signUp();
  await user.destroy();
  Parse.User._clearCache();
  assert.equal(await rejection(new Parse.Query(Parse.User).get(user.id, master)), Parse.Error.OBJECT_NOT_FOUND);
});
