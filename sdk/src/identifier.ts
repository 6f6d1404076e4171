/** New names for documents, devices and commands: UUIDv7, so that they sort by their time. */

/** A UUIDv7 of this time. */
export function identifier(now: number, random: () => number): string {
  const hex = (digits: number, value: number) => value.toString(16).padStart(digits, '0');
  const bits = (count: number) => Math.floor(random() * 2 ** count);
  const time = hex(12, Math.max(0, Math.floor(now)) % 2 ** 48);
  const tail = hex(4, 0x8000 + bits(14)) + hex(6, bits(24)) + hex(6, bits(24));
  return (time + hex(4, 0x7000 + bits(12)) + tail).replace(
    /^(.{8})(.{4})(.{4})(.{4})/,
    '$1-$2-$3-$4-',
  );
}
