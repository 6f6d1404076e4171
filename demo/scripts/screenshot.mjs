/**
 * Makes docs/demo.png from a running demo: the tablet types, the phone is offline and has edits that
 * wait.
 *
 *     node scripts/screenshot.mjs http://127.0.0.1:3000 ../docs/demo.png
 */

import { chromium } from 'playwright-core';

const [, , url, file] = process.argv;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu'],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
await page.goto(url);
const [tablet, phone] = ['Tablet', 'Phone'].map((name) => page.getByRole('region', { name }));
await phone.getByLabel('Note').waitFor();
const note = tablet.getByLabel('Note');
await note.press('Control+End');
await note.pressSequentially(' Ring at the back door.', { delay: 60 });
await phone.getByRole('button', { name: 'Go offline' }).click();
const more = phone.getByRole('button', { name: /^One more of/ });
for (const line of [0, 0, 2]) await more.nth(line).click();
await page.waitForTimeout(300);
await page.screenshot({ path: file });
await browser.close();
