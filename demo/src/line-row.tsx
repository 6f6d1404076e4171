/** One line of a draft: quantity and price to change, or the line to remove. */

import type { Patch } from '@draftwire/client';
import { useState } from 'preact/hooks';
import { useMoved } from './moved';
import { type Line, money, PRICE_MAX, pence, QUANTITY_MAX, type ReadOrder } from './order';

interface LineRowProps {
  readonly line: ReadOrder['lines'][number];
  /** `null` removes the line. */
  readonly onChange: (patch: Patch<Line> | null) => void;
}

export function LineRow({ line, onChange }: LineRowProps) {
  const { article, description, quantity, price } = line;
  const name = description || article;
  const moved = useMoved(`${quantity} ${price}`);
  const setQuantity = (value: number) =>
    onChange({ quantity: Math.min(QUANTITY_MAX, Math.max(0, value)) });
  return (
    <li class={`line ${moved}`}>
      <div class="line-name">
        <span>{name}</span>
        <span class="faint">{article}</span>
      </div>
      <div class="stepper">
        <button
          type="button"
          aria-label={`One less of ${name}`}
          disabled={quantity <= 0}
          onClick={() => setQuantity(quantity - 1)}
        >
          −
        </button>
        <NumberField
          label={`Quantity of ${name}`}
          value={quantity}
          format={String}
          parse={(text) => (/^\d{1,5}$/.test(text) ? Number(text) : undefined)}
          onValue={setQuantity}
        />
        <button
          type="button"
          aria-label={`One more of ${name}`}
          onClick={() => setQuantity(quantity + 1)}
        >
          +
        </button>
      </div>
      <div class="price">
        <span aria-hidden="true">£</span>
        <NumberField
          label={`Price of ${name} in pounds`}
          value={price}
          format={(value) => value.toFixed(2)}
          parse={(text) => {
            const value = Number(text);
            return /^\d{1,5}(\.\d{0,2})?$/.test(text) && value <= PRICE_MAX ? value : undefined;
          }}
          onValue={(value) => onChange({ price: value })}
        />
      </div>
      <span class="line-total">{money(pence(line))}</span>
      <button
        type="button"
        class="remove"
        aria-label={`Remove ${name}`}
        onClick={() => onChange(null)}
      >
        ×
      </button>
    </li>
  );
}

interface NumberFieldProps {
  readonly label: string;
  readonly value: number;
  readonly format: (value: number) => string;
  /** Undefined where the text is no number that may stand here. */
  readonly parse: (text: string) => number | undefined;
  readonly onValue: (value: number) => void;
}

/** A number that may be half typed: what is no number yet stays here and is not sent. */
function NumberField({ label, value, format, parse, onValue }: NumberFieldProps) {
  const [typed, setTyped] = useState<string | undefined>();
  const wrong = typed !== undefined && parse(typed) === undefined;
  return (
    <input
      inputMode="decimal"
      autocomplete="off"
      aria-label={label}
      aria-invalid={wrong}
      value={typed ?? format(value)}
      onFocus={({ currentTarget }) => currentTarget.select()}
      onInput={({ currentTarget }) => {
        setTyped(currentTarget.value);
        const number = parse(currentTarget.value.trim());
        if (number !== undefined) onValue(number);
      }}
      onBlur={() => setTyped(undefined)}
    />
  );
}
