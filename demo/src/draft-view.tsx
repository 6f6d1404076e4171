/** The draft that is open: every keystroke is an edit of one member, so that two devices merge. */

import type { Change, Client, Document, Patch } from '@draftwire/client';
import { articles, countryOf, customerName, customers } from './catalogue';
import { Combobox } from './combobox';
import { useDevice } from './device';
import { LineRow } from './line-row';
import { useMoved } from './moved';
import { count, lineId, lineOf, money, NOTE_CHARS_MAX, type Order, read } from './order';

interface DraftViewProps {
  readonly draft: Document;
  readonly onBack: () => void;
}

/** Articles in reach of the eye while one types. */
const SHOWN_MAX = 40;

export function DraftView({ draft, onBack }: DraftViewProps) {
  const device = useDevice();
  const order = read(draft);
  const { id } = draft;
  const edit = (make: (client: Client<Order>) => Change) => device.edit('drafts', make);
  const update = (patch: Patch<Order>) => edit(({ drafts }) => drafts.update(id, patch));
  const movedCustomer = useMoved(order.customer);
  const movedNote = useMoved(order.note);
  const movedTotal = useMoved(order.pence);
  const place = () => {
    device.edit('pending', ({ drafts }) => drafts.convert(id, { pendingId: id }));
  };
  return (
    <article class="order" aria-label="Draft">
      <header class="order-head">
        <button type="button" class="back" onClick={onBack}>
          ‹ Orders
        </button>
        <span class="kind">Draft</span>
        {!draft.synced && <span class="unsent">not sent yet</span>}
        <button type="button" class="danger" onClick={() => edit((to) => to.drafts.delete(id))}>
          Delete draft
        </button>
      </header>

      <div class="fields">
        <div class="field">
          <span class="label">Customer</span>
          <Combobox
            label="Customer"
            class={movedCustomer}
            items={customers}
            shownMax={customers.length}
            keyOf={(customer) => customer.id}
            textOf={(customer) => `${customer.id} ${customer.country}`}
            value={
              order.customer
                ? [customerName(order.customer), countryOf(order.customer)]
                    .filter(Boolean)
                    .join(' · ')
                : ''
            }
            placeholder="Number or country"
            onPick={(customer) => update({ customer: customer.id })}
          >
            {(customer) => (
              <>
                <span>Customer {customer.id}</span>
                <span class="faint">{customer.country}</span>
              </>
            )}
          </Combobox>
        </div>
        <label class="field">
          <span class="label">Note</span>
          <textarea
            class={movedNote}
            rows={2}
            maxLength={NOTE_CHARS_MAX}
            value={order.note}
            placeholder="For the warehouse or the driver"
            onInput={({ currentTarget }) => update({ note: currentTarget.value })}
          />
        </label>
      </div>

      <section class="lines" aria-label="Lines">
        {order.lines.length > 0 && (
          <div class="line-head" aria-hidden="true">
            <span>Article</span>
            <span>Quantity</span>
            <span>Price</span>
            <span>Total</span>
            <span />
          </div>
        )}
        <ul>
          {order.lines.map((line) => (
            <LineRow
              key={line.id}
              line={line}
              onChange={(patch) => update({ lines: { [line.id]: patch } })}
            />
          ))}
        </ul>
        {order.lines.length === 0 && (
          <p class="hint">No lines yet. Find the first article below.</p>
        )}
        <Combobox
          label="Add an article"
          class="add"
          items={articles}
          shownMax={SHOWN_MAX}
          keyOf={(article) => article.id}
          textOf={(article) => `${article.id} ${article.description}`}
          value=""
          placeholder="Add an article: “hot water bottle”, “22632” …"
          onPick={(article) => update({ lines: { [lineId()]: lineOf(article) } })}
        >
          {(article) => (
            <>
              <span>{article.description}</span>
              <span class="faint">
                {article.id} · {money(article.price * 100)}
              </span>
            </>
          )}
        </Combobox>
      </section>

      <footer class="order-foot">
        <div class={`sum ${movedTotal}`}>
          <span class="faint">
            {count(order.lines.length, 'line')},{' '}
            {count(
              order.lines.reduce((sum, { quantity }) => sum + quantity, 0),
              'piece',
            )}
          </span>
          <output class="total" aria-label="Total">
            {money(order.pence)}
          </output>
        </div>
        <button
          type="button"
          class="primary"
          disabled={order.lines.length === 0 || order.customer === ''}
          title={
            order.customer === '' || order.lines.length === 0
              ? 'An order needs a customer and a line'
              : ''
          }
          onClick={place}
        >
          Place order
        </button>
      </footer>
    </article>
  );
}
