/** The page around the devices: heading, meter, the two frames, or one device alone. */

import { DraftwireProvider } from '@draftwire/client/react';
import { useSyncExternalStore } from 'preact/compat';
import { type Device, DeviceContext, type Kind } from './device';
import { DeviceBar } from './device-bar';
import type { Meter } from './meter';
import { OrderPad } from './order-pad';

const NAMES: Record<Kind, string> = { tablet: 'Tablet', phone: 'Phone' };

/** One device for the whole page. */
export function Alone({ device }: { device: Device }) {
  return (
    <WithDevice device={device}>
      <main class={`device alone ${device.kind}`} aria-label={NAMES[device.kind]}>
        <DeviceBar name={NAMES[device.kind]} />
        <div class="screen">
          <OrderPad />
        </div>
      </main>
    </WithDevice>
  );
}

interface SideBySideProps {
  readonly devices: readonly [Device, Device];
  readonly meter: Meter;
  readonly user: string;
}

/** Two devices of one user. */
export function SideBySide({ devices, meter, user }: SideBySideProps) {
  return (
    <div class="show">
      <header class="masthead">
        <h1>
          <img src="/mark.svg" alt="" width="34" height="34" />
          draftwire
        </h1>
        <p class="claim">
          One sales rep, two devices. <b>Type on one</b> and it moves on the other.{' '}
          <b>Take one offline</b>, keep working, come back. <b>Place an order</b> and the warehouse
          begins.
        </p>
        <MeterView meter={meter} />
      </header>
      <main class="stage">
        {devices.map((device) => (
          <WithDevice device={device} key={device.kind}>
            <section class={`device ${device.kind}`} aria-label={NAMES[device.kind]}>
              <DeviceBar name={NAMES[device.kind]} alone={`/?device=${device.kind}&user=${user}`} />
              <div class="frame">
                <div class="screen">
                  <OrderPad />
                </div>
              </div>
            </section>
          </WithDevice>
        ))}
      </main>
      <footer class="colophon">
        Each device has a connection and a queue of its own; nothing but the server joins them.
        Articles and customers: UCI “Online Retail” (Chen, 2015), CC BY 4.0.
      </footer>
    </div>
  );
}

function WithDevice({ device, children }: { device: Device; children: preact.ComponentChildren }) {
  return (
    <DeviceContext.Provider value={device}>
      <DraftwireProvider client={device.client}>{children}</DraftwireProvider>
    </DeviceContext.Provider>
  );
}

function MeterView({ meter }: { meter: Meter }) {
  const { last, median, count } = useSyncExternalStore(meter.subscribe, meter.get);
  return (
    <dl class="meter" aria-label="From an edit to the other device">
      <div>
        <dt>edit → other device</dt>
        <dd class="last">{last === undefined ? '–' : milliseconds(last)}</dd>
      </div>
      <div>
        <dt>median of {count < 2 ? 'last 50' : `last ${Math.min(count, 50)}`}</dt>
        <dd class="median">{median === undefined ? '–' : milliseconds(median)}</dd>
      </div>
    </dl>
  );
}

const milliseconds = (ms: number): string => `${ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`;
