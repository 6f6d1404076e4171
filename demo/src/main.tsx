/**
 * The page's beginning: who visits, on which devices. `?device=phone` or `?device=tablet` shows one
 * device alone, for a real one; `?user=` makes it a device of a user who is there already.
 */

import './style.css';
import { render } from 'preact';
import { Alone, SideBySide } from './app';
import { Device, type Kind } from './device';
import { Meter } from './meter';
import { firstOrders } from './order';

const USER = /^demo-[a-z0-9]{8,32}$/;
const USER_KEY = 'draftwire-demo-user';

/** A name that nobody guesses: it is all that keeps visitors apart. */
function newUser(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `demo-${Array.from(bytes, (byte) => (byte % 36).toString(36)).join('')}`;
}

const query = new URLSearchParams(location.search);
const given = query.get('user') ?? sessionStorage.getItem(USER_KEY) ?? '';
const isNew = !USER.test(given);
const user = isNew ? newUser() : given;
sessionStorage.setItem(USER_KEY, user);

const page = document.getElementById('page');
if (!page) throw new Error('the page has no place to be shown at');

/** Gives a new visitor something to look at. Not measured: the page is still being painted. */
async function fill({ client }: Device): Promise<void> {
  await client.ready();
  const { drafts, pending } = client;
  if (drafts.list().length + pending.list().length > 0) return;
  const changes = firstOrders().map((order) => drafts.create(order));
  const id = changes.at(-1)?.id;
  if (id) drafts.convert(id, { pendingId: id });
}

const asked = query.get('device');
if (asked === 'phone' || asked === 'tablet') {
  const kind: Kind = asked;
  const device = new Device(kind, user, true);
  device.connect();
  // A reload is the same device of the same user, also where the address is passed on.
  history.replaceState(null, '', `?device=${kind}&user=${user}`);
  if (isNew) void fill(device).catch(() => {});
  document.body.classList.add('alone');
  render(<Alone device={device} />, page);
} else {
  const tablet = new Device('tablet', user, false);
  const phone = new Device('phone', user, false);
  const meter = new Meter([tablet, phone]);
  for (const device of [tablet, phone]) device.connect();
  if (isNew) void fill(tablet).catch(() => {});
  render(<SideBySide devices={[tablet, phone]} meter={meter} user={user} />, page);
}
