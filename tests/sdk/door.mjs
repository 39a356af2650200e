// One line of JSON in, one out: lets tests in Python act through the SDK.
// In: {op, className, id, body, token}. Out: {ok, id, count, error}.
import readline from 'node:readline';
import { Parse } from './support.mjs';

const doors = {
  async get({ className, id }, options) {
    return { id: (await new Parse.Query(className).get(id, options)).id };
  },
  async find({ className, id }, options) {
    return { count: (await new Parse.Query(className).equalTo('objectId', id).find(options)).length };
  },
  async count({ className, id }, options) {
    return { count: await new Parse.Query(className).equalTo('objectId', id).count(options) };
  },
  async create({ className, body }, options) {
    return { id: (await decoded(className, undefined, body).save(null, options)).id };
  },
  async update({ className, id, body }, options) {
    return { id: (await decoded(className, id, body).save(null, options)).id };
  },
  async delete({ className, id }, options) {
    await decoded(className, id, {}).destroy(options);
    return {};
  },
};

function decoded(className, id, body) {
  const object = className === '_User' ? new Parse.User() : new Parse.Object(className);
  if (id) object.id = id;
  for (const [name, value] of Object.entries(body)) object.set(name, Parse._decode(undefined, value));
  return object;
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const options = request.token ? { sessionToken: request.token } : {};
  let answer;
  try {
    answer = { ok: true, ...(await doors[request.op](request, options)) };
  } catch (error) {
    answer = { ok: false, error: error.code ?? String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
