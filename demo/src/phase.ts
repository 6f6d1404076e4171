/** How far a pending order is: what the order itself says, or else the warehouse's latest report. */

import type { ReadOrder } from './order';
import type { Report } from './progress';

/** The phases, in their order. */
export const PHASES = ['received', 'picked', 'packed', 'shipped'] as const;

export interface PhaseShown {
  readonly phase: (typeof PHASES)[number] | 'placed';
  readonly percent: number;
  readonly message: string;
}

export function phaseOf(order: ReadOrder, report: Report | undefined): PhaseShown {
  if (order.shippedAt || report?.state === 'completed') {
    return { phase: 'shipped', percent: 100, message: 'On its way' };
  }
  const phase = PHASES.find((known) => known === report?.phase);
  if (report?.state === 'running' && phase) {
    return { phase, percent: Math.round(report.percent), message: report.message };
  }
  return { phase: 'placed', percent: 0, message: 'Waiting for the warehouse' };
}
