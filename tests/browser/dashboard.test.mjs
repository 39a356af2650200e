// The unchanged parse-dashboard manages this server: what a click did is asked over REST afterwards.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser, openPage, rest, takePicture } from './browser.mjs';

const BROWSER_PAGE = `${process.env.DASHBOARD_URL}/apps/tests/browser`;
const PAGES = ['jobs', 'config', 'webhooks', 'push/audiences', 'settings/security'];
const CLASSES = ['Song', '_User', '_Role'];

let browser, page;

before(async () => {
  for (let plays = 0; plays < 5; plays++) {
    await rest('POST', '/classes/Song', { title: `Song ${plays}`, plays, place: geoPoint(plays) });
  }
  browser = await openBrowser();
  page = await openPage(browser);
});

after(() => browser.close());

test('a class is browsed', async () => {
  await openClass('Song');
  await page.getByText('5 objects', { exact: false }).first().waitFor();
  for (let plays = 0; plays < 5; plays++) await page.getByText(`Song ${plays}`, { exact: true }).waitFor();
  await picture('browse');
});

test('a cell is edited', async () => {
  await openClass('Song');
  await page.getByText('Song 3', { exact: true }).dblclick();
  await page.locator('textarea, input:focus').last().waitFor();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('Renamed');
  await page.keyboard.press('Enter');
  await page.getByText(/Song with id .* updated/).waitFor();
  await picture('edit');
  const { results } = await rest('GET', '/classes/Song?order=plays');
  assert.deepEqual(results.map(song => song.title), ['Song 0', 'Song 1', 'Song 2', 'Renamed', 'Song 4']);
});

test('a query with a filter shows what matches, and nothing else', async () => {
  await openClass('Song');
  await page.getByText('Filter', { exact: true }).click();
  const popover = page.locator('#browserFilterPopover');
  await popover.getByRole('combobox').nth(1).fill('plays');
  await page.keyboard.press('Enter');
  await popover.getByText('Condition', { exact: true }).click(); // closes the list of fields
  await popover.getByText('exists', { exact: true }).click();
  await page.getByText('greater than', { exact: true }).click();
  await popover.locator('input').last().fill('2');
  await picture('filter');
  await popover.getByRole('button', { name: 'Apply' }).click();
  await page.getByText('Song 2', { exact: true }).waitFor({ state: 'detached' });
  await page.getByText('Song 4', { exact: true }).waitFor();
  await page.getByText('2 objects', { exact: false }).first().waitFor();
  await picture('filtered');
});

test('a class is created', async () => {
  await openClass('Song');
  await page.getByText('Create a class').click();
  await page.getByPlaceholder(/name/i).fill('Album');
  await picture('create');
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.waitForURL(/browser\/Album/);
  const { fields } = await rest('GET', '/schemas/Album');
  assert.deepEqual(Object.keys(fields).sort(), ['ACL', 'createdAt', 'objectId', 'updatedAt']);
});

test('class-level permissions are edited', async () => {
  await openClass('Album');
  await page.getByText('Security', { exact: true }).click();
  await page.getByText('Class Level Permissions').first().click();
  const dialog = page.locator('[data-modal=true]');
  await dialog.getByText('Write', { exact: true }).last().waitFor();
  await publicBox(dialog, 1).click();
  await picture('permissions');
  await dialog.getByRole('button', { name: 'Save CLP' }).click();
  await dialog.waitFor({ state: 'detached' });
  const { classLevelPermissions } = await rest('GET', '/schemas/Album');
  assert.deepEqual(classLevelPermissions.find, { '*': true });
  for (const operation of ['create', 'update', 'delete']) {
    assert.deepEqual(classLevelPermissions[operation], {}, operation);
  }
});

test('nothing on the way was refused', async () => {
  for (const name of CLASSES) await openClass(name);
  for (const name of PAGES) {
    await page.goto(`${process.env.DASHBOARD_URL}/apps/tests/${name}`);
    await page.waitForLoadState('networkidle');
    await picture(name.replace('/', '-'));
  }
  // Its fonts and badges live on other hosts, which a test does not reach.
  assert.deepEqual(page.complaints.filter(text => !text.includes('net::ERR_')), []);
});

function geoPoint(longitude) {
  return { __type: 'GeoPoint', latitude: 47, longitude };
}

// The box of the row "Public" in the dialog of permissions: read, write, add field.
function publicBox(dialog, column) {
  return dialog.getByText('Public', { exact: true }).locator('xpath=following-sibling::div').nth(column).locator('span').first();
}

async function openClass(name) {
  await page.goto(`${BROWSER_PAGE}/${name}`);
  await page.getByText('objectId', { exact: true }).first().waitFor();
  await page.waitForLoadState('networkidle');
}

function picture(name) {
  return takePicture(page, `dashboard-${name}`);
}
