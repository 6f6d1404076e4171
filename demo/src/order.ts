/**
 * What an order is: its shape, its sums, its words. Owns no state. Lines live in an object keyed by
 * line id, so that lines added on two devices at the same time are both kept.
 */

import type { Document, JsonObject, JsonValue } from '@draftwire/client';
import { type Article, articles } from './catalogue';

/** One line. Prices are pounds, as the catalogue has them. */
export type Line = {
  readonly article: string;
  readonly description: string;
  readonly quantity: number;
  readonly price: number;
};

/** A draft or a pending order as this page writes it. */
export type Order = {
  readonly customer: string;
  readonly note: string;
  readonly lines: { readonly [id: string]: Line };
};

/** The same, read with care: other clients may have written anything. */
export interface ReadOrder {
  readonly customer: string;
  readonly note: string;
  readonly lines: readonly (Line & { readonly id: string })[];
  readonly pence: number;
  readonly shippedAt: string | undefined;
}

export const QUANTITY_MAX = 99_999;
export const PRICE_MAX = 99_999.99;
export const NOTE_CHARS_MAX = 2_000;

const text = (value: JsonValue | undefined): string => (typeof value === 'string' ? value : '');
const amount = (value: JsonValue | undefined): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : 0;
const members = (value: JsonValue | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

/** Pence of a line: pounds with binary fractions do not add up. */
export const pence = ({ quantity, price }: Pick<Line, 'quantity' | 'price'>): number =>
  Math.round(price * 100) * quantity;

const known = new WeakMap<object, ReadOrder>();

/** Reads a document's data; the same data gives the same order. */
export function read({ data }: Document): ReadOrder {
  const before = known.get(data);
  if (before) return before;
  const lines = Object.entries(members(data.lines))
    .map(([id, value]) => {
      const line = members(value);
      return {
        id,
        article: text(line.article),
        description: text(line.description),
        quantity: amount(line.quantity),
        price: amount(line.price),
      };
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const order: ReadOrder = {
    customer: text(data.customer),
    note: text(data.note),
    lines,
    pence: lines.reduce((sum, line) => sum + pence(line), 0),
    shippedAt: text(data.shippedAt) || undefined,
  };
  known.set(data, order);
  return order;
}

let lastLine = '';

/** A new line's id: those that were added later sort behind. */
export function lineId(): string {
  const random = Math.floor(Math.random() * 36 ** 4);
  const time = Date.now().toString(36).padStart(9, '0');
  const id = `${time}-${random.toString(36).padStart(4, '0')}`;
  // Two within a millisecond keep their order too.
  lastLine = id > lastLine ? id : `${lastLine}0`;
  return lastLine;
}

/** A line of an article, at its usual price. */
export const lineOf = ({ id, description, price }: Article, quantity = 1): Line => ({
  article: id,
  description,
  quantity,
  price,
});

const pounds = new Intl.NumberFormat('en-GB', { style: 'currency', currency: 'GBP' });

/** `£1,234.50`. */
export const money = (ofPence: number): string => pounds.format(ofPence / 100);

/** `1 line`, `2 lines`. */
export const count = (number: number, noun: string): string =>
  `${number.toLocaleString('en-GB')} ${noun}${number === 1 ? '' : 's'}`;

function linesOf(
  wanted: readonly (readonly [article: string, quantity: number])[],
): Order['lines'] {
  const lines: { [id: string]: Line } = {};
  for (const [id, quantity] of wanted) {
    const article = articles.find((one) => one.id === id);
    if (article) lines[lineId()] = lineOf(article, quantity);
  }
  return lines;
}

/** What a new visitor finds: two drafts, the second about to be ordered. */
export function firstOrders(): readonly Order[] {
  return [
    {
      customer: '12471',
      note: 'Deliver before the Christmas market opens.',
      lines: linesOf([
        ['22952', 24],
        ['22941', 6],
        ['84946', 12],
        ['21481', 8],
      ]),
    },
    {
      customer: '14911',
      note: '',
      lines: linesOf([
        ['22726', 4],
        ['22568', 6],
      ]),
    },
    {
      customer: '17850',
      note: 'Same as last week.',
      lines: linesOf([
        ['84406B', 8],
        ['22728', 10],
        ['48138', 2],
      ]),
    },
  ];
}
