// The service's time, as NTP finds it: half the delay of a round trip bounds the error. The best is
// kept, worth less as it ages, and given up for one that contradicts it: then a clock was set or
// stood still. It runs on by the monotonic clock, whatever the device's own is set to; that one may
// stop while the device sleeps. Answers that were held back are never asked.

const DRIFT = 1e-4; // how far a device's quartz may run wrong
const ROUNDING = 1; // milliseconds: the service names whole ones
const SLEPT = 1000; // milliseconds by which the clocks part when the device slept

export class Clock {
  #monotonic;
  #wall;
  /** @type {{offset: number, error: number, at: number} | undefined} service less monotonic clock */
  #best;
  #ahead = 0;
  #hidden;
  #last = { monotonic: -Infinity, wall: 0 };

  /** Two clocks in milliseconds: one that only runs on, and the device's own. */
  constructor(monotonic = () => performance.now(), wall = () => Date.now()) {
    this.#monotonic = monotonic;
    this.#wall = wall;
  }

  /** A round trip that began and ended then by the monotonic clock; the service's time within it. */
  learn(sent, received, service) {
    const heard = { offset: service - (sent + received) / 2, error: (received - sent) / 2 + ROUNDING, at: received };
    const known = this.#best && this.#best.error + DRIFT * (received - this.#best.at);
    if (!this.#best || known >= heard.error || Math.abs(this.#best.offset - heard.offset) > known + heard.error) {
      this.#best = heard;
    }
  }

  /** Whether a round trip told it. */
  get known() {
    return this.#best !== undefined;
  }

  /** Unix milliseconds; the device's clock, put right as far as is known, before any round trip. */
  now() {
    const [monotonic, wall] = [this.#monotonic(), this.#wall()];
    // It never runs back; where it does begin anew, the device's own clock says how long ago it was asked.
    if (this.#best && monotonic < this.#last.monotonic) {
      const apart = wall - monotonic - (this.#last.wall - this.#last.monotonic);
      this.#best = { offset: this.#best.offset + apart, error: Infinity, at: monotonic };
    }
    this.#last = { monotonic, wall };
    return this.#best ? Math.round(monotonic + this.#best.offset) : wall + this.#ahead;
  }

  /** How far the service is ahead of the device's clock: what a page without a connection begins with. */
  get ahead() {
    return this.now() - this.#wall();
  }

  set ahead(milliseconds) {
    this.#ahead = milliseconds;
  }

  /** The page is out of sight, or back: nothing runs while a device sleeps, and no page is seen. */
  seen(visible) {
    const apart = this.#wall() - this.#monotonic();
    if (!visible) this.#hidden = apart;
    else if (this.#best && this.#hidden !== undefined && apart - this.#hidden > SLEPT) {
      this.#best = { offset: this.#best.offset + apart - this.#hidden, error: Infinity, at: this.#monotonic() };
    }
    if (visible) this.#hidden = undefined;
  }
}
