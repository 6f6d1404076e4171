/** The two lists: drafts, and pending orders with how far they are. Shows; changes nothing. */

import type { Document } from '@draftwire/client';
import { useSyncExternalStore } from 'preact/compat';
import { countryOf, customerName } from './catalogue';
import type { CollectionName } from './device';
import { useDevice } from './device';
import { useMoved } from './moved';
import { count, money, read } from './order';
import type { Place } from './order-pad';
import { phaseOf } from './phase';

interface OrderListProps {
  readonly drafts: readonly Document[];
  readonly pending: readonly Document[];
  readonly open: Place | undefined;
  readonly onOpen: (place: Place) => void;
  readonly onCreate: () => void;
}

export function OrderList({ drafts, pending, open, onOpen, onCreate }: OrderListProps) {
  const row = (collection: CollectionName) => (document: Document) => (
    <li key={document.id}>
      <Row
        document={document}
        collection={collection}
        isOpen={open?.id === document.id && open.collection === collection}
        onOpen={onOpen}
      />
    </li>
  );
  return (
    <>
      <div class="list-head">
        <h3>
          Drafts <span class="number">{drafts.length}</span>
        </h3>
        <button type="button" class="primary small" onClick={onCreate}>
          New draft
        </button>
      </div>
      {drafts.length === 0 ? (
        <p class="hint">No drafts. What you begin here is on every device at once.</p>
      ) : (
        <ul class="rows">{drafts.map(row('drafts'))}</ul>
      )}
      <div class="list-head">
        <h3>
          Pending orders <span class="number">{pending.length}</span>
        </h3>
      </div>
      {pending.length === 0 ? (
        <p class="hint">None yet. Place a draft, and the warehouse takes it from here.</p>
      ) : (
        <ul class="rows">{[...pending].reverse().map(row('pending'))}</ul>
      )}
    </>
  );
}

interface RowProps {
  readonly document: Document;
  readonly collection: CollectionName;
  readonly isOpen: boolean;
  readonly onOpen: (place: Place) => void;
}

function Row({ document, collection, isOpen, onOpen }: RowProps) {
  const { id, synced } = document;
  const order = read(document);
  const moved = useMoved(`${order.customer} ${order.lines.length} ${order.pence}`);
  return (
    <button
      type="button"
      class={`row ${moved}`}
      aria-current={isOpen}
      onClick={() => onOpen({ collection, id })}
    >
      <span class="row-name">{customerName(order.customer)}</span>
      <span class="row-total">{money(order.pence)}</span>
      <span class="row-meta">
        {[count(order.lines.length, 'line'), countryOf(order.customer)].filter(Boolean).join(' · ')}
      </span>
      {!synced && <span class="unsent">not sent yet</span>}
      {synced && collection === 'pending' && <RowPhase document={document} />}
    </button>
  );
}

function RowPhase({ document }: { document: Document }) {
  const { progress } = useDevice();
  const reports = useSyncExternalStore(progress.subscribe, progress.get);
  const { phase, percent } = phaseOf(read(document), reports.get(document.id));
  return (
    <>
      <span class={`phase ${phase}`}>{phase}</span>
      {percent < 100 && <span class="row-bar" style={{ '--percent': `${percent}%` }} />}
    </>
  );
}
