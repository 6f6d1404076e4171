/**
 * Makes src/catalogue.json from the real orders: the articles that most orders hold, with the price
 * most often asked for them, and the customers who order most. Run it again when the data changes:
 *
 *     node scripts/catalogue.mjs
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const ARTICLES = 200;
const CUSTOMERS = 60;

const orders = new URL('../../data/orders.csv.gz', import.meta.url);
const target = new URL('../src/catalogue.json', import.meta.url);

/** The cells of a line of CSV. */
function cells(line) {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
  );
}

const count = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
const mostOften = (map) => [...map].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0][0];

/** The file shouts; a page should not. Short words with digits or dashes (T-LIGHT) stay readable. */
function calm(description) {
  const text = description.trim().replace(/\s+/g, ' ').toLowerCase();
  return (text[0].toUpperCase() + text.slice(1))
    .replace(/\bt-light/g, 'T-light')
    .replace(/\bunion (jack|flag)/g, (_, what) => `Union ${what[0].toUpperCase()}${what.slice(1)}`)
    .replace(/\b(england|london|paris|christmas|french|scandinavian|swiss|vip)\b/g, (word) =>
      word === 'vip' ? 'VIP' : word[0].toUpperCase() + word.slice(1),
    );
}

const articles = new Map();
const customers = new Map();
const lines = gunzipSync(readFileSync(orders)).toString('utf8').split(/\r?\n/).slice(1);
for (const line of lines) {
  const [order, article, description, quantity, , price, customer, country] = cells(line);
  // Cancellations, gifts, postage and lines nobody described are no offers.
  if (!description || order.startsWith('C') || quantity <= 0 || price <= 0) continue;
  if (!/^\d{5}[A-Z]?$/.test(article) || description !== description.toUpperCase()) continue;
  const known = articles.get(article) ?? { orders: new Set(), names: new Map(), prices: new Map() };
  articles.set(article, known);
  known.orders.add(order);
  count(known.names, description);
  count(known.prices, price);
  if (!customer) continue;
  const buyer = customers.get(customer) ?? { orders: new Set(), country: countryName(country) };
  customers.set(customer, buyer);
  buyer.orders.add(order);
}

/** The file's own name for Ireland is a code of the time. */
function countryName(country) {
  return country === 'EIRE' ? 'Ireland' : country;
}

const popular = (map, most) =>
  [...map]
    .sort(([a, x], [b, y]) => y.orders.size - x.orders.size || (a < b ? -1 : 1))
    .slice(0, most);

const abroad = popular(customers, customers.size).filter(([, c]) => c.country !== 'United Kingdom');
const home = popular(customers, customers.size).filter(([, c]) => c.country === 'United Kingdom');
const chosen = [...abroad.slice(0, CUSTOMERS / 3), ...home].slice(0, CUSTOMERS);

const catalogue = {
  source:
    'UCI "Online Retail" (Chen, 2015, doi 10.24432/C5BW33), CC BY 4.0; cut, names in small letters',
  articles: popular(articles, ARTICLES)
    .map(([id, { names, prices }]) => [id, calm(mostOften(names)), Number(mostOften(prices))])
    .sort(([, a], [, b]) => (a < b ? -1 : 1)),
  customers: chosen.map(([id, { country }]) => [id, country]).sort(([a], [b]) => (a < b ? -1 : 1)),
};
const rows = (list) => `[\n    ${list.map((row) => JSON.stringify(row)).join(',\n    ')}\n  ]`;
writeFileSync(
  target,
  `{\n  "source": ${JSON.stringify(catalogue.source)},\n  "articles": ${rows(catalogue.articles)},\n` +
    `  "customers": ${rows(catalogue.customers)}\n}\n`,
);
