/**
 * The demo in real Chromium against the real demo server: what a visitor is promised in his first
 * ten seconds, with the keyboard too, and at the width of a phone.
 *
 * DRAFTWIRE_DEMO_BIN names the server, CHROMIUM the browser; the page must be built.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const PAGE = fileURLToPath(new URL('../dist', import.meta.url));
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

let server;
let browser;
let context;
let page;
let tablet;
let phone;
let url;
const errors = [];

/** A new visitor, who sees both devices with a draft open. */
async function visit() {
  context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(10_000);
  context.on('weberror', (error) => errors.push(String(error.error())));
  context.on('console', (message) => {
    // A device that is offline by the page's own switch asks nothing of the browser's network.
    if (message.type() === 'error') errors.push(message.text());
  });
  page = await context.newPage();
  await page.goto(url);
  [tablet, phone] = ['Tablet', 'Phone'].map((name) => page.getByRole('region', { name }));
  for (const device of [tablet, phone]) {
    await device.getByText('Live', { exact: true }).waitFor();
    await device.getByLabel('Note').waitFor();
  }
}

const note = (device) => device.getByLabel('Note');
const customers = (device) => device.locator('.side .row-name').allTextContents();

/** Waits until `look` gives what is expected. */
async function shows(look, expected) {
  let seen;
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    seen = await look();
    if (JSON.stringify(seen) === JSON.stringify(expected)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(seen, expected);
}

before(async () => {
  const binary = process.env.DRAFTWIRE_DEMO_BIN;
  assert.ok(binary, 'DRAFTWIRE_DEMO_BIN must name the demo server');
  const flags = ['--listen', '127.0.0.1:0', '--page', PAGE, '--warehouse-step-ms', '150'];
  server = spawn(binary, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await once(server.stdout, 'data');
  [url] = String(said).match(/http:\S+/);
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  browser = await chromium.launch({ executablePath, args: ARGUMENTS });
});

after(async () => {
  await browser?.close();
  server?.kill('SIGTERM');
  if (server) assert.equal((await once(server, 'exit'))[0], 0);
});

beforeEach(visit);
afterEach(async () => {
  await context.close();
  assert.deepEqual(errors.splice(0), []);
});

test('what is typed on one device moves on the other, both ways, and is measured', async () => {
  await note(tablet).fill('');
  await note(tablet).pressSequentially('from the tablet');
  await shows(() => note(phone).inputValue(), 'from the tablet');
  await note(phone).fill('from the phone');
  await shows(() => note(tablet).inputValue(), 'from the phone');
  await phone
    .getByRole('button', { name: /^One more of/ })
    .first()
    .click();
  await shows(() => tablet.getByLabel('Total').textContent(), '£103.35');
  await shows(async () => /^[\d.]+ ms$/.test(await page.locator('.meter .last').innerText()), true);
  const median = await page.locator('.meter .median').innerText();
  assert.ok(Number.parseFloat(median) < 2_000, `the median is ${median}`);
});

test('offline the queue grows, online it settles, and both edits are kept', async () => {
  await phone.getByRole('button', { name: 'Go offline' }).click();
  await phone.getByText('Offline', { exact: true }).waitFor();
  await note(phone).fill('typed in a tunnel');
  const more = phone.getByRole('button', { name: /^One more of/ });
  await more.first().click();
  await more.first().click();
  await phone.getByText('3 waiting').waitFor();
  await phone.locator('.order-head').getByText('not sent yet').waitFor();
  // Meanwhile the tablet works on another line of the same draft.
  await tablet
    .getByRole('button', { name: /^One less of/ })
    .nth(1)
    .click();
  await tablet.getByText('All sent').waitFor();
  assert.notEqual(await note(tablet).inputValue(), 'typed in a tunnel');
  await phone.getByRole('button', { name: 'Go online' }).click();
  await phone.getByText('Live', { exact: true }).waitFor();
  await phone.getByText('All sent').waitFor();
  for (const device of [tablet, phone]) {
    await shows(() => note(device).inputValue(), 'typed in a tunnel');
    // 24 + 2 cake cases at 0.55, 6 − 1 lights at 8.50.
    await shows(() => device.getByLabel('Total').textContent(), '£95.40');
  }
});

test('an order is written with the keyboard alone', async () => {
  await tablet.getByRole('button', { name: 'New draft' }).press('Enter');
  const customer = tablet.getByRole('combobox', { name: 'Customer' });
  await customer.pressSequentially('austral');
  await customer.press('ArrowDown');
  await customer.press('Enter');
  await shows(() => customer.inputValue(), 'Customer 12431 · Australia');
  const add = tablet.getByRole('combobox', { name: 'Add an article' });
  await add.pressSequentially('chocolate hot water');
  await add.press('Enter');
  await add.pressSequentially('no such thing');
  await tablet.getByText('Nothing found').waitFor();
  await add.press('Escape');
  const quantity = tablet.getByLabel(/^Quantity of/);
  await quantity.fill('12');
  await quantity.fill('12x');
  await tablet.getByLabel(/^Price of/).fill('4.5');
  await shows(() => tablet.getByLabel('Total').textContent(), '£54.00');
  await shows(() => customers(phone), await customers(tablet));
});

test('a placed order goes through the phases on both devices', async () => {
  await tablet.getByRole('button', { name: 'Place order' }).click();
  const step = (device) => device.locator('.tracker [aria-current=step]').allTextContents();
  const seen = new Set();
  await shows(async () => {
    for (const name of await step(phone)) seen.add(name);
    return (await step(phone)).join();
  }, 'shipped');
  await shows(() => step(tablet), ['shipped']);
  assert.ok(seen.size >= 3, `seen on the phone: ${[...seen]}`);
  // Who comes later is told by the order itself.
  await page.reload();
  await shows(() => tablet.locator('.row .phase').allTextContents(), ['shipped', 'shipped']);
});

test('what was deleted stays deleted, whoever was offline', async () => {
  await phone.getByRole('button', { name: 'Go offline' }).click();
  await note(phone).fill('too late');
  await tablet.getByRole('button', { name: 'Delete draft' }).click();
  await tablet.getByText('All sent').waitFor();
  const left = ['Customer 14911', 'Customer 17850'];
  await shows(() => customers(tablet), left);
  await phone.getByRole('button', { name: 'Go online' }).click();
  await phone.getByText('was deleted on another device meanwhile').waitFor();
  await phone.getByText('All sent').waitFor();
  await shows(() => customers(phone), left);
  await phone.getByRole('button', { name: 'Dismiss' }).first().click();
  await page.reload();
  for (const device of [tablet, phone]) await shows(() => customers(device), left);
});

test('one device alone has the same orders after a reload too, and fits a phone', async () => {
  const link = await phone.getByRole('link', { name: /alone/ }).getAttribute('href');
  await page.setViewportSize({ width: 390, height: 844 });
  const widths = () => page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.deepEqual(await widths(), [390, 390], 'both devices, one under the other');
  await page.goto(url + link);
  const row = page.getByRole('button', { name: /^Customer 12471/ });
  await row.waitFor();
  assert.deepEqual(await widths(), [390, 390], 'the list');
  await row.press('Enter');
  await page.keyboard.press('Tab');
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  assert.equal(await focused(), '‹ Orders', 'the keyboard follows');
  await note(page).fill('from my pocket');
  await page.getByText('All sent').waitFor();
  assert.deepEqual(await widths(), [390, 390], 'a draft');
  await page.reload();
  await row.click();
  await shows(() => note(page).inputValue(), 'from my pocket');
  await page.getByRole('button', { name: 'Place order' }).click();
  await page.locator('.tracker').waitFor();
  assert.deepEqual(await widths(), [390, 390], 'a pending order');
});

test('visitors do not see each other', async () => {
  await note(tablet).fill('mine');
  const mine = context;
  await visit();
  assert.notEqual(await note(tablet).inputValue(), 'mine');
  await mine.close();
  const answer = await fetch(`${url}/demo/token?user=ann`);
  assert.equal(answer.status, 400);
});
