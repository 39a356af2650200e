// What every SDK test file needs: the SDK set up for the running server, and names nobody else uses.
import Parse from 'parse/node';

Parse.initialize(process.env.PARSE_APP_ID, process.env.PARSE_JAVASCRIPT_KEY, process.env.PARSE_MASTER_KEY);
Parse.serverURL = process.env.PARSE_SERVER_URL;
Parse.User.enableUnsafeCurrentUser();

const run = Date.now().toString(36);
let count = 0;

// A name that no other test, file or run uses.
export function unique(prefix) {
  count += 1;
  return `${prefix}_${run}${process.pid}x${count}`;
}

// Signs a new user up; he is the current user afterwards.
export async function signUp(fields = {}) {
  const user = new Parse.User();
  user.set('username', unique('user'));
  user.set('password', 'correct horse 9');
  for (const [name, value] of Object.entries(fields)) user.set(name, value);
  await user.signUp();
  return user;
}

// Signs a new user up and leaves nobody logged in; calls for him name his session token.
export async function stranger(fields) {
  const user = await signUp(fields);
  const sessionToken = user.getSessionToken();
  Parse.User._clearCache();
  await Parse.Storage.removeItemAsync?.(Parse.Storage.generatePath('currentUser'));
  return { user, sessionToken };
}

// The code of the error that a promise must be rejected with.
export async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error.code;
  }
  throw new Error('should have been refused');
}

export { Parse };
export const master = { useMasterKey: true };
