/** The real articles and customers of `catalogue.json`, and the search over them. */

import catalogue from './catalogue.json';

export interface Article {
  readonly id: string;
  readonly description: string;
  /** Pounds. */
  readonly price: number;
}

export interface Customer {
  readonly id: string;
  readonly country: string;
}

export const articles: readonly Article[] = catalogue.articles.map(([id, description, price]) => ({
  id: String(id),
  description: String(description),
  price: Number(price),
}));

export const customers: readonly Customer[] = catalogue.customers.map(([id, country]) => ({
  id: String(id),
  country: String(country),
}));

/** A customer as people see him. */
export function customerName(id: string): string {
  if (id === '') return 'No customer yet';
  const customer = customers.find((one) => one.id === id);
  return customer ? `Customer ${id}` : id;
}

export const countryOf = (id: string): string =>
  customers.find((one) => one.id === id)?.country ?? '';

/** Those that hold every word of `query`, in their order. */
export function search<T>(items: readonly T[], query: string, textOf: (item: T) => string): T[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return items.filter((item) => {
    const text = textOf(item).toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
