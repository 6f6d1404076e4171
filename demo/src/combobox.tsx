/**
 * A field that searches a list while one types (the ARIA pattern of an editable combobox with a list
 * box). Owns the words typed and which item is marked; what a choice means is the caller's business.
 */

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { search } from './catalogue';

interface ComboboxProps<T> {
  readonly label: string;
  readonly class?: string;
  readonly items: readonly T[];
  /** Items listed at a time. */
  readonly shownMax: number;
  readonly keyOf: (item: T) => string;
  /** What is searched. */
  readonly textOf: (item: T) => string;
  /** What stands in the field while nobody types. */
  readonly value: string;
  readonly placeholder: string;
  readonly onPick: (item: T) => void;
  readonly children: (item: T) => ComponentChildren;
}

export function Combobox<T>(props: ComboboxProps<T>) {
  const { label, items, shownMax, keyOf, textOf, value, placeholder, onPick, children } = props;
  const [query, setQuery] = useState<string | undefined>();
  const [marked, setMarked] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const isOpen = query !== undefined;
  const all = isOpen ? search(items, query, textOf) : [];
  const found = all.slice(0, shownMax);

  useEffect(() => {
    if (isOpen) list.current?.children[marked]?.scrollIntoView({ block: 'nearest' });
  }, [marked, isOpen]);

  const close = () => setQuery(undefined);
  const type = (text: string) => {
    setQuery(text);
    setMarked(0);
  };
  const pick = (item: T | undefined) => {
    if (item === undefined) return;
    onPick(item);
    close();
  };
  const press = (event: KeyboardEvent) => {
    const keys: Record<string, () => void> = {
      ArrowDown: () => (isOpen ? setMarked(Math.min(marked + 1, found.length - 1)) : type('')),
      ArrowUp: () => setMarked(Math.max(marked - 1, 0)),
      Enter: () => (isOpen ? pick(found[marked]) : type('')),
      Escape: close,
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  return (
    <div class={`combobox ${props.class ?? ''}`}>
      <input
        role="combobox"
        aria-label={label}
        aria-expanded={isOpen}
        aria-controls={isOpen ? `${id}-list` : undefined}
        aria-autocomplete="list"
        aria-activedescendant={isOpen && found[marked] ? `${id}-${marked}` : undefined}
        autocomplete="off"
        spellcheck={false}
        placeholder={isOpen && value ? value : placeholder}
        value={query ?? value}
        onClick={() => !isOpen && type('')}
        onInput={({ currentTarget }) => type(currentTarget.value)}
        onKeyDown={press}
        onBlur={close}
      />
      {isOpen && (
        <div
          id={`${id}-list`}
          role="listbox"
          aria-label={label}
          ref={list}
          // The field keeps the focus while an item is pressed.
          onMouseDown={(event) => event.preventDefault()}
        >
          {found.map((item, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys
            <div
              key={keyOf(item)}
              id={`${id}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === marked}
              onClick={() => pick(item)}
            >
              {children(item)}
            </div>
          ))}
          {all.length === 0 && <div class="none">Nothing found</div>}
          {all.length > found.length && (
            <div class="none">{all.length - found.length} more: type to narrow it down</div>
          )}
        </div>
      )}
    </div>
  );
}
