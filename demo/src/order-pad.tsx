/**
 * The order pad: what is to be done on one side, the order that is open on the other. On a narrow
 * screen one of the two is shown at a time. Owns which order is open; knows nothing of devices.
 */

import type { Document } from '@draftwire/client';
import { useClient, useDrafts, usePending } from '@draftwire/client/react';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type CollectionName, useDevice } from './device';
import { DraftView } from './draft-view';
import type { Order } from './order';
import { OrderList } from './order-list';
import { PendingView } from './pending-view';
import { Refused } from './refused';

/** Where an order is. A draft that is placed keeps its id. */
export interface Place {
  readonly collection: CollectionName;
  readonly id: string;
}

export function OrderPad() {
  const device = useDevice();
  const client = useClient<Order>();
  const drafts = useDrafts();
  const pending = usePending();
  const [open, setOpen] = useState<Place | undefined>();
  /** What has become of the order that was open. */
  const [notice, setNotice] = useState('');
  const [screen, setScreen] = useState<'list' | 'order'>('list');

  const draft = find(open?.collection === 'drafts' ? drafts : [], open);
  const order = find(open?.collection === 'pending' ? pending : [], open);
  const gone = open !== undefined && !draft && !order;

  useEffect(() => {
    if (!gone || !open) return;
    if (open.collection === 'drafts' && client.pending.get(open.id)) {
      setOpen({ collection: 'pending', id: open.id });
      return;
    }
    setOpen(undefined);
    setScreen('list');
    if (!device.hasJustEdited()) setNotice('The order you had open was deleted on another device.');
  }, [gone, open, client, device]);

  // A wide screen has room for an order, the first one; side by side both devices begin with it.
  const [first] = drafts;
  const begun = useRef(device.alone);
  useEffect(() => {
    if (open || !first || (begun.current && device.kind === 'phone')) return;
    begun.current = true;
    setOpen({ collection: 'drafts', id: first.id });
    setScreen('order');
  }, [open, first, device]);

  // Where the other half of the pad goes out of sight, the keyboard follows to this one.
  const side = useRef<HTMLElement>(null);
  const main = useRef<HTMLDivElement>(null);
  const turned = useRef(false);
  useEffect(() => {
    if (!turned.current) return;
    turned.current = false;
    const [here, there] = screen === 'order' ? [main, side] : [side, main];
    if (!there.current?.checkVisibility()) here.current?.focus();
  });

  const turn = (to: typeof screen) => {
    turned.current = true;
    setScreen(to);
  };
  const show = (place: Place) => {
    setNotice('');
    setOpen(place);
    turn('order');
  };
  const create = () => {
    const empty = { customer: '', note: '', lines: {} };
    const { id } = device.edit('drafts', (to) => to.drafts.create(empty));
    show({ collection: 'drafts', id });
  };
  const back = () => turn('list');

  return (
    <div class="pad" data-screen={open ? screen : 'list'}>
      <nav class="side" aria-label="Orders" ref={side} tabIndex={-1}>
        <OrderList drafts={drafts} pending={pending} open={open} onOpen={show} onCreate={create} />
      </nav>
      <div class="main" ref={main} tabIndex={-1}>
        <Refused />
        {notice && (
          <p class="notice" role="status">
            {notice}
            <button type="button" class="quiet" onClick={() => setNotice('')}>
              Dismiss
            </button>
          </p>
        )}
        {draft && <DraftView key={draft.id} draft={draft} onBack={back} />}
        {order && <PendingView key={order.id} order={order} onBack={back} />}
        {!draft && !order && (
          <div class="empty">
            <p>Nothing is open.</p>
            <button type="button" class="primary" onClick={create}>
              New draft
            </button>
          </div>
        )}
      </div>
    </div>
  );
}

function find(documents: readonly Document[], place: Place | undefined): Document | undefined {
  return documents.find(({ id }) => id === place?.id);
}
