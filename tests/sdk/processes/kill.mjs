// Under load, one of the server's processes is killed: the SDK's clients come back by themselves, and from
// then on receive everything, once.
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Parse } from '../support.mjs';

const CLIENTS = 12;
const MORE = 30;
const workers = process.env.WORKERS.split(',').map(Number);

test('clients of a killed process miss nothing after they are back, and hear nothing twice', async () => {
  const listeners = Array.from({ length: CLIENTS }, listen);
  const load = startLoad();
  try {
    await until('everybody has subscribed', () => listeners.filter(isAway));
    await sleep(500);
    process.kill(busiest(workers), 'SIGKILL');
    await until('somebody has lost his connection', () => (listeners.some(hasLost) ? [] : listeners));
    await sleep(100); // until all of them have noticed
    await until('everybody is back', () => listeners.filter(isAway));
    const first = load.saved.length + 1; // the one that is being saved may have been told already
    await until(`${MORE} more are saved`, () => (load.saved.length < first + MORE ? listeners : []));
    await load.stop();
    const saved = load.saved.slice(first);
    const missing = ({ heard }) => saved.filter(id => !heard.includes(id));
    await until('everybody has heard everything', () => listeners.filter(one => missing(one).length > 0));
    for (const { heard } of listeners) assert.equal(new Set(heard).size, heard.length, 'heard twice');
  } finally {
    await load.stop();
    for (const { client } of listeners) client.close();
  }
});

function listen(_, number) {
  const client = new Parse.LiveQueryClient({
    applicationId: process.env.PARSE_APP_ID,
    serverURL: process.env.PARSE_SERVER_URL.replace('http', 'ws'),
    javascriptKey: process.env.PARSE_JAVASCRIPT_KEY,
  });
  const listener = { number, client, heard: [], isOpen: false, past: [] };
  const note = (what, detail = '') => listener.past.push(`${Math.round(performance.now())} ${what} ${detail}`);
  client.on('error', error => note('error', error?.message ?? error));
  client.on('open', () => note('connected'));
  client.on('close', () => {
    note('closed');
    listener.isOpen = false;
  });
  client.open();
  const subscription = client.subscribe(new Parse.Query('LiveMessage'));
  subscription.on('open', () => {
    note('subscribed');
    listener.isOpen = true;
  });
  subscription.on('create', object => listener.heard.push(object.id));
  return listener;
}

const isAway = ({ isOpen }) => !isOpen;
const hasLost = ({ past }) => past.some(entry => entry.includes('closed'));

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

// Waits until nobody is left of whom it is not so yet; else tells what happened to them.
async function until(what, others) {
  const deadline = performance.now() + 30_000;
  while (others().length > 0) {
    if (performance.now() > deadline) {
      const tell = one => `client ${one.number} (${one.client.state}, ${one.heard.length} heard): ${one.past.join('; ')}`;
      assert.fail([`waited in vain until ${what}`, ...others().map(tell)].join('\n  '));
    }
    await sleep(20);
  }
}
