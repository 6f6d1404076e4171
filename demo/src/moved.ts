/** Marks what has moved on screen without a hand on this device: it lights up for a moment. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { useDevice } from './device';

/** A class name that changes each time `value` was changed elsewhere. */
export function useMoved(value: unknown): '' | 'moved-a' | 'moved-b' {
  const device = useDevice();
  const before = useRef(value);
  const [times, setTimes] = useState(0);
  useEffect(() => {
    if (before.current === value) return;
    before.current = value;
    if (!device.hasJustEdited()) setTimes((number) => number + 1);
  }, [value, device]);
  if (times === 0) return '';
  // Two names, so that the second change in a row begins anew.
  return times % 2 === 0 ? 'moved-a' : 'moved-b';
}
