// A USB scanner that types like a keyboard (a "wedge"), told apart from hands.

import { bare, isScreenCode, scansIn } from "./codes.js";

const GAP = 60; // milliseconds between a scanner's keys: most take 1 to 20, slow ones 30, hands 80 and more
const SURE = 5; // keys at that pace: it is a scanner
const HELD = 120; // milliseconds that a busy computer may hold a sure scanner's key back …
const HELD_IN_CODE = 400; // … in a code that began as ours do
const WHOLE = 200; // after a whole code: no Enter follows, or a late one that belongs to it
const CUT = 1000; // so long the pieces of a cut scan are put together
const PRESSED = "button, summary, input[type=checkbox], input[type=radio], input[type=button]";
const OTHERS = { Space: " ", Minus: "-", Period: ".", NumpadDecimal: ".", BracketRight: "]" };
const MODIFIERS = /^(?:Shift|CapsLock|Control|Alt|Meta)/;

/** Codes, whole and nothing after them but what a scanner is set to add. */
const isWhole = (text) => scansIn(text).every(isScreenCode);

/** The character of a key by its place on the keyboard; undefined for a key that writes none. */
function characterOf({ code, key, shiftKey }) {
  if (shiftKey && key?.length === 1 && /[^a-z0-9]/i.test(key)) return key.normalize("NFKC");
  const place = /^(?:Key([A-Z])|(?:Digit|Numpad)([0-9]))$/.exec(code);
  if (place) return place[1] ?? place[2];
  // What no code of ours has, or a key without a place, has to be what it says; garbled, it is "?".
  return OTHERS[code] ?? (key?.length === 1 ? key.normalize("NFKC") : key === "Process" ? "?" : undefined);
}

/** What a burst's first keys may have changed before it was clear whose they are. */
class Undo {
  constructor(element) {
    this.element = element;
    this.typing = element?.matches?.("textarea, input:not([type=checkbox], [type=radio], [type=button])") ?? false;
    this.choosing = element instanceof HTMLSelectElement;
    this.value = element?.value;
    if (this.typing) this.selection = [element.selectionStart, element.selectionEnd];
  }

  /** Leave the field: this ends an input method's composition, and keys go nowhere from here. */
  leave() {
    if (this.typing) this.element.blur();
    this.#reset();
  }

  /** Back to the field as it was, with `typed` written into it if that was a hand's after all. */
  back(typed = "") {
    if (!this.element?.isConnected) return;
    this.#reset();
    if (!this.typing) return;
    this.element.focus({ preventScroll: true });
    if (this.selection[0] !== null) {
      this.element.setSelectionRange(...this.selection);
      if (typed) this.element.setRangeText(typed, ...this.selection, "end");
    }
    this.element.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #reset() {
    if (!(this.typing || this.choosing) || this.element.value === this.value) return;
    this.element.value = this.value;
    this.element.dispatchEvent(new Event(this.typing ? "input" : "change", { bubbles: true }));
  }
}

/**
 * Listens to the whole page for a USB scanner, whatever has the focus. Reads `KeyboardEvent.code`,
 * the key's place, because a Chinese input method between scanner and page garbles its meaning;
 * tells a scanner from a hand by its pace; a scan ends on Enter, Tab, a control character (which
 * scanners type as Ctrl and a letter: ETX, LF), or the pause after a whole screen code.
 *
 * A scan leaves no trace: fields and lists get back what they had, Space and Enter press no button.
 * What turns out to be a hand's is written where it was meant to go.
 */
export class KeyboardWedge {
  #text = "";
  #keys = "";
  #last = -Infinity;
  #undo = null;
  #timer;
  #pressed = null;
  #cut = { text: "", undo: null, at: -Infinity };
  #done = -Infinity;

  /** @param {(text: string) => void} onCode @param {number} minimum characters of a scan */
  constructor(onCode, minimum = 8) {
    this.onCode = onCode;
    this.minimum = minimum;
    addEventListener("keydown", (event) => this.#down(event), { capture: true });
    addEventListener("keyup", (event) => this.#up(event), { capture: true });
  }

  get #sure() {
    return this.#text.trim().length >= SURE;
  }

  get #patience() {
    return isWhole(this.#text) ? WHOLE : /^[!-~]{0,3}EZ1/.test(bare(this.#text)) ? HELD_IN_CODE : HELD;
  }

  #down(event) {
    // A held key repeats as fast as a scanner types, and a scanner never holds one.
    if (event.repeat || MODIFIERS.test(event.code) || MODIFIERS.test(event.key)) return;
    const quick = event.timeStamp - this.#last < (this.#sure ? this.#patience : GAP);
    const chord = event.ctrlKey || event.altKey || event.metaKey;
    if (chord && quick && this.#sure) {
      this.#last = event.timeStamp;
      this.#swallow(event);
      return isWhole(this.#text) ? this.#finish(event.timeStamp) : undefined;
    }
    // A browser would open its list of downloads for the LF of a scanner.
    if (chord && event.timeStamp - this.#done < WHOLE) return this.#swallow(event);
    if (!quick || chord) this.#pause(event.timeStamp);
    if (chord) return;
    this.#last = event.timeStamp;
    if (["Enter", "NumpadEnter", "Tab"].includes(event.code || event.key)) {
      if (this.#text.trim().length < this.minimum && !this.#mended) {
        return event.timeStamp - this.#done < WHOLE ? this.#swallow(event) : this.#giveUp();
      }
      this.#swallow(event);
      return this.#finish(event.timeStamp);
    }
    const character = characterOf(event);
    if (character === undefined) return this.#giveUp();
    this.#undo ??= new Undo(document.activeElement);
    const was = this.#sure;
    this.#text += character;
    this.#keys += event.key?.length === 1 ? event.key : character.toLowerCase();
    if (this.#sure) {
      this.#swallow(event);
      this.#pressed = null;
      if (!was) this.#undo.leave();
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#pause(event.timeStamp + this.#patience), this.#patience);
  }

  // Space presses a button when it comes up. A scan may begin with one, so the press waits a moment.
  #up(event) {
    if (event.code !== "Space") return;
    const button = event.target.closest?.(PRESSED);
    if (!button || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (this.#sure) return;
    this.#pressed = button;
    setTimeout(() => {
      if (this.#pressed !== button) return;
      this.#pressed = null;
      if (button.isConnected) button.click();
    }, HELD);
  }

  #swallow(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  /** This and the piece before it as one screen code, if together they are. */
  get #mended() {
    const whole = this.#cut.text + this.#text;
    return this.#last - this.#cut.at < CUT && isScreenCode(whole) ? whole : null;
  }

  #pause(now) {
    if (!isWhole(this.#text)) return this.#giveUp(now);
    this.#finish(now);
  }

  #finish(now) {
    const mended = isWhole(this.#text) ? null : this.#mended;
    const text = mended ?? this.#text;
    this.#done = now;
    this.#undo?.back();
    if (mended) this.#cut.undo?.back();
    this.#forget();
    this.#cut = { text: "", undo: null, at: -Infinity };
    scansIn(text).forEach((scan) => this.onCode(scan));
  }

  /** Not a scan, or a piece of one. */
  #giveUp(now) {
    if (this.#text && now !== undefined) {
      const more = now - this.#cut.at < CUT;
      const [text, undo] = more ? [this.#cut.text, this.#cut.undo] : ["", this.#undo];
      this.#cut = { text: text + this.#text, undo, at: now };
    }
    if (this.#sure) this.#undo.back(this.#keys);
    this.#forget();
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#text = this.#keys = "";
    this.#undo = null;
  }
}
