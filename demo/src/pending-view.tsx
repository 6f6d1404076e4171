/** The pending order that is open: how far it is, and what was ordered. Only to be cancelled. */

import type { Document } from '@draftwire/client';
import { useSyncExternalStore } from 'preact/compat';
import { countryOf, customerName } from './catalogue';
import { useDevice } from './device';
import { count, money, pence, read } from './order';
import { PHASES, phaseOf } from './phase';

interface PendingViewProps {
  readonly order: Document;
  readonly onBack: () => void;
}

export function PendingView({ order: document, onBack }: PendingViewProps) {
  const device = useDevice();
  const order = read(document);
  const { id, synced } = document;
  return (
    <article class="order" aria-label="Pending order">
      <header class="order-head">
        <button type="button" class="back" onClick={onBack}>
          ‹ Orders
        </button>
        <span class="kind pending">Pending order</span>
        {!synced && <span class="unsent">not sent yet</span>}
        <button
          type="button"
          class="danger"
          onClick={() => device.edit('pending', ({ pending }) => pending.delete(id))}
        >
          {order.shippedAt ? 'Delete order' : 'Cancel order'}
        </button>
      </header>
      <Tracker document={document} />
      <dl class="facts">
        <div>
          <dt>Customer</dt>
          <dd>
            {[customerName(order.customer), countryOf(order.customer)].filter(Boolean).join(' · ')}
          </dd>
        </div>
        {order.note && (
          <div>
            <dt>Note</dt>
            <dd>{order.note}</dd>
          </div>
        )}
      </dl>
      <ul class="ordered">
        {order.lines.map((line) => (
          <li key={line.id}>
            <span class="ordered-quantity">{line.quantity} ×</span>
            <span class="line-name">
              <span>{line.description || line.article}</span>
              <span class="faint">
                {line.article} · {money(line.price * 100)}
              </span>
            </span>
            <span class="line-total">{money(pence(line))}</span>
          </li>
        ))}
      </ul>
      <footer class="order-foot">
        <div class="sum">
          <span class="faint">{count(order.lines.length, 'line')}</span>
          <output class="total" aria-label="Total">
            {money(order.pence)}
          </output>
        </div>
      </footer>
    </article>
  );
}

function Tracker({ document }: { document: Document }) {
  const { progress } = useDevice();
  const reports = useSyncExternalStore(progress.subscribe, progress.get);
  const { phase, percent, message } = phaseOf(read(document), reports.get(document.id));
  const reached = PHASES.indexOf(phase as (typeof PHASES)[number]);
  return (
    <section class="tracker" aria-label="Progress">
      <ol>
        {PHASES.map((name, index) => (
          <li
            key={name}
            class={index <= reached ? 'done' : ''}
            aria-current={index === reached ? 'step' : undefined}
          >
            {name}
          </li>
        ))}
      </ol>
      <div
        class="bar"
        role="progressbar"
        aria-label="Progress of the order"
        aria-valuenow={percent}
        aria-valuetext={`${phase}, ${percent} %`}
        style={{ '--percent': `${percent}%` }}
      />
      <p role="status">{message}</p>
    </section>
  );
}
