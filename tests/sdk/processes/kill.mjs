// Under load, one of the server's processes is killed: the SDK's clients come back by themselves, and from
// then on receive everything, once.
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Parse } from '../support.mjs';

const CLIENTS = 12;
const workers = process.env.WORKERS.split(',').map(Number);

test('clients of a killed process miss nothing after they are back, and hear nothing twice', async () => {
  const listeners = await Promise.all(Array.from({ length: CLIENTS }, listen));
  const load = startLoad();
  await sleep(500);
  process.kill(busiest(workers), 'SIGKILL');
  await until(() => listeners.some(listener => listener.closed), 'a connection was lost');
  await sleep(100); // until all of them have noticed
  await until(() => listeners.every(listener => listener.isOpen), 'everybody is back');
  const first = load.saved.length + 1;
  await sleep(1000);
  const last = (await load.stop()).length;
  const missed = listener => load.saved.slice(first, last).filter(id => !listener.heard.includes(id));
  await until(() => listeners.every(listener => missed(listener).length === 0), 'everything has arrived');
  assert.ok(last - first > 10, 'there was load');
  for (const { heard } of listeners) assert.equal(new Set(heard).size, heard.length, 'heard twice');
  for (const { client } of listeners) client.close();
});

async function listen() {
  const client = new Parse.LiveQueryClient({
    applicationId: process.env.PARSE_APP_ID,
    serverURL: process.env.PARSE_SERVER_URL.replace('http', 'ws'),
    javascriptKey: process.env.PARSE_JAVASCRIPT_KEY,
  });
  const listener = { client, heard: [], closed: 0, isOpen: false };
  client.on('error', () => {});
  client.on('close', () => {
    listener.closed += 1;
    listener.isOpen = false;
  });
  client.open();
  const subscription = client.subscribe(new Parse.Query('LiveMessage'));
  subscription.on('open', () => (listener.isOpen = true));
  subscription.on('create', object => listener.heard.push(object.id));
  await until(() => listener.isOpen, 'the subscription is open');
  return listener;
}

// Saves one object after the other; a save that nobody answers is passed over.
function startLoad() {
  const saved = [];
  let goesOn = true;
  const work = (async () => {
    while (goesOn) {
      const object = new Parse.Object('LiveMessage', { number: saved.length });
      await object.save().then(() => saved.push(object.id), () => {});
      await sleep(5);
    }
  })();
  return {
    saved,
    async stop() {
      goesOn = false;
      await work;
      return saved;
    },
  };
}

function busiest(pids) {
  const sockets = pid => readdirSync(`/proc/${pid}/fd`).filter(fd => isSocket(`/proc/${pid}/fd/${fd}`)).length;
  return pids.sort((one, other) => sockets(other) - sockets(one))[0];
}

function isSocket(path) {
  try {
    return readlinkSync(path).startsWith('socket:');
  } catch {
    return false;
  }
}

async function until(isSo, what) {
  for (let waited = 0; !isSo(); waited += 20) {
    assert.ok(waited < 30_000, `waited in vain: ${what}`);
    await sleep(20);
  }
}
